#pragma once
// Fill values: text <-> one element, little-endian. Sources: TensorStore's driver/zarr3 and
// driver/zarr, and its documentation of data types.

#include <cairn/codecs/dtype.h>
#include <cairn/codecs/internal/json.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace cairn::internal {

/// Appends the fill value's JSON text; `element` is size_of(dtype) bytes.
void append_fill_value(std::string& out, DType dtype, std::span<const std::byte> element);
/// The element of `value`, the member "fill_value" of `metadata`; throws FormatError.
[[nodiscard]] std::vector<std::byte> decode_fill_value(const JsonMembers& metadata, DType dtype,
                                                       const boost::json::value& value);

/// The same for zarr v2, where no element (empty) is null. Throws std::invalid_argument for an
/// element that v2 has no text for: a NaN with bits of its own (but in a complex number, which is
/// base64 then: TensorStore reads it, zarr-python does not), most of float8_e8m0fnu.
void append_v2_fill_value(std::string& out, DType dtype, std::span<const std::byte> element);
/// `big_endian`: of the array, for elements that are base64.
[[nodiscard]] std::vector<std::byte> decode_v2_fill_value(const JsonMembers& metadata, DType dtype,
                                                          bool big_endian,
                                                          const boost::json::value& value);

}  // namespace cairn::internal

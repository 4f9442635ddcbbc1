#pragma once
// Fill values of zarr v3: text <-> one element, little-endian. Source: TensorStore's driver/zarr3
// and its documentation of data types.

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

}  // namespace cairn::internal

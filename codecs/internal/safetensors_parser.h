#pragma once
// The JSON header of a safetensors file, read event by event: a DOM would keep the last of two
// tensors with one name and say nothing.

#include <cairn/codecs/safetensors.h>

#include <string_view>

namespace cairn::safetensors::internal {

inline constexpr std::string_view kMetadataName = "__metadata__";

/// Structure and types only; offsets are not checked yet. Tensors are in the header's order. Throws
/// FormatError.
[[nodiscard]] Header parse_header(std::string_view json);

/// Where the value of a tensor's field begins in text that parse_header() takes. Reads it again.
[[nodiscard]] std::size_t place_of_field(std::string_view json, std::string_view tensor,
                                         std::string_view field);

}  // namespace cairn::safetensors::internal

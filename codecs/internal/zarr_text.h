#pragma once
// What the readers and writers of zarr.json and .zarray share.

#include <cairn/codecs/array.h>
#include <cairn/codecs/internal/json.h>
#include <cairn/codecs/zarr.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::zarr::internal {

using cairn::internal::JsonMembers;

/// Throws std::invalid_argument when `metadata` breaks the rules of its format.
void check(const ArrayMetadata& metadata);

/// Throws when an object has members beside those known.
void refuse_unknown(const JsonMembers& members, std::initializer_list<std::string_view> known);
/// An integer in a range; without the member, `missing`, or an error when there is none.
[[nodiscard]] std::int64_t integer(const JsonMembers& members, std::string_view name,
                                   std::int64_t low, std::int64_t high,
                                   std::optional<std::int64_t> missing = std::nullopt);
/// An array of at most kMaxRank integers of `least` or more.
[[nodiscard]] Shape decode_extents(const JsonMembers& members, std::string_view name, Index least);
/// '/' or '.'; without the member, `missing`.
[[nodiscard]] char decode_separator(const JsonMembers& members, std::string_view name,
                                    char missing);
/// Shapes of one rank and of fewer than 2^63 bytes; `chunks` names the member of chunk_shape.
void check_sizes(const JsonMembers& root, const ArrayMetadata& metadata, std::string_view chunks);
[[nodiscard]] blosc::Compressor decode_compressor(const JsonMembers& members,
                                                  std::string_view name);

/// zarr.json's codecs; `members`' member `name` holds them. Structure and types only: find_fault()
/// tells the rest.
[[nodiscard]] CodecChain decode_codecs(const JsonMembers& members, std::string_view name,
                                       DType dtype, std::size_t rank);
void append_codecs(std::string& out, const CodecChain& codecs, DType dtype);

/// .zarray.
[[nodiscard]] std::string encode_v2(const ArrayMetadata& metadata);

}  // namespace cairn::zarr::internal

#pragma once
// safetensors: u64 LE header length, JSON header, tensor bytes. Source: huggingface/safetensors
// README and safetensors/src/tensor.rs.

#include <cairn/codecs/array.h>
#include <cairn/codecs/dtype.h>
#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn::safetensors {

inline constexpr std::uint64_t kMaxHeaderBytes =
    100'000'000;  ///< the reference implementation's limit

/// A tensor in a file's header.
struct TensorInfo {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
  std::uint64_t begin = 0;  ///< bytes from the start of the data section
  std::uint64_t end = 0;    ///< likewise
  friend bool operator==(const TensorInfo&, const TensorInfo&) = default;
};

/// What stands before the data of a file.
struct Header {
  std::vector<TensorInfo> tensors;  ///< in the order of the file's offsets
  std::vector<std::pair<std::string, std::string>> metadata;  ///< "__metadata__", in its order
  std::uint64_t data_offset = 0;                              ///< bytes from the start of the file
};

/// The length of the JSON header, from a file's first 8 bytes. Throws FormatError above
/// kMaxHeaderBytes or beyond `file_bytes`.
[[nodiscard]] CAIRN_EXPORT std::uint64_t decode_header_length(std::string_view first8,
                                                              std::uint64_t file_bytes);
/// `json`: the header without its length. Throws FormatError on duplicate names, unknown dtypes, an
/// odd number of F4 elements, offsets that overlap, leave gaps, contradict dtype and shape or leave
/// the file; its own offset is from the start of `json`.
[[nodiscard]] CAIRN_EXPORT Header decode_header(std::string_view json, std::uint64_t file_bytes);

/// Lays tensors out in the given order and returns the file's first bytes: the length and the
/// header, padded with spaces so that data starts at a multiple of `alignment` bytes. Fills begin,
/// end and data_offset of `header`. Throws std::invalid_argument on duplicate names, a reserved
/// name, a dtype that safetensors has no name for, or an odd number of F4 elements.
[[nodiscard]] CAIRN_EXPORT std::string encode_header(Header& header, std::size_t alignment = 64);

/// "F32", "BF16", ...; none where safetensors has no name.
[[nodiscard]] CAIRN_EXPORT std::optional<std::string_view> safetensors_name(DType dtype) noexcept;
[[nodiscard]] CAIRN_EXPORT std::optional<DType> dtype_from_safetensors(
    std::string_view name) noexcept;

/// Elements that share a byte of a file: 2 of float4_e2m1fn (F4), 1 of every other dtype. In memory
/// none share: there a tensor has so many times the bytes that it has in the file.
[[nodiscard]] CAIRN_EXPORT std::uint64_t packing_of(DType dtype) noexcept;
/// Elements of F4, from element `first` of `packed` on, one byte each. Of a byte the low four bits
/// are first (torch/headeronly/util/Float4_e2m1fn_x2.h).
CAIRN_EXPORT void unpack_float4(const std::byte* packed, std::size_t first,
                                std::span<std::byte> elements) noexcept;
/// The inverse, of an even number of elements. `packed` may be where they are, or else overlaps
/// nothing of them. A byte above 15 is no element: its index is returned and the rest left out.
[[nodiscard]] CAIRN_EXPORT std::optional<std::size_t> pack_float4(
    std::span<const std::byte> elements, std::byte* packed) noexcept;

/// An index of several files ("model.safetensors.index.json"): which file has which tensor.
inline constexpr std::string_view kFileSuffix = ".safetensors";
inline constexpr std::string_view kIndexSuffix = ".safetensors.index.json";
inline constexpr std::uint64_t kMaxIndexBytes = 256u << 20;  ///< a million tensors take 100 MB
inline constexpr std::size_t kMaxShards = 99'999;            ///< five digits in a shard's name

/// Which tensor is in which of several files.
struct ShardIndex {
  std::vector<std::pair<std::string, std::string>> weight_map;  ///< tensor -> file, in its order
  /// Bytes of all tensors, as the writer says; others get it wrong, so nothing depends on it.
  std::optional<std::uint64_t> total_size;
};

/// Throws FormatError on what is not JSON in UTF-8, a missing weight_map, a tensor or field named
/// twice, more than kMaxShards files, or a file name that could leave the index's directory: with a
/// slash, "." or "..". Fields beside weight_map and metadata are passed over.
[[nodiscard]] CAIRN_EXPORT ShardIndex decode_index(std::string_view json);
/// The text, as huggingface_hub lays it out: keys sorted, two spaces of indentation.
[[nodiscard]] CAIRN_EXPORT std::string encode_index(const ShardIndex& index);

/// "model-00002-of-00005.safetensors": shard `number`, from 1, of `count`.
[[nodiscard]] CAIRN_EXPORT std::string shard_name(std::string_view stem, std::size_t number,
                                                  std::size_t count);
/// What shard_name() made a name of; none for any other name.
struct ShardName {
  std::string_view stem;  ///< points into the name
  std::size_t number = 0;
  std::size_t count = 0;
};
/// The parts of a name that shard_name() made; none for any other name.
[[nodiscard]] CAIRN_EXPORT std::optional<ShardName> parse_shard_name(
    std::string_view name) noexcept;

}  // namespace cairn::safetensors

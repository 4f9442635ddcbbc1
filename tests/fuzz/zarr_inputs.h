#pragma once
// Inputs of the zarr targets: metadata, and chunks with the metadata that they are decoded by.

#include <cairn/codecs/zarr.h>
#include <fuzz/harness.h>

#include <span>
#include <string>
#include <string_view>

namespace cairn::fuzz {

/// Names and strings of zarr.json and .zarray.
[[nodiscard]] std::span<const std::string_view> zarr_words();

/// Either format, by what it decodes as; none of neither.
[[nodiscard]] std::optional<zarr::ArrayMetadata> decoded_metadata(std::string_view text);
/// As our encoder writes it: little-endian, and without what the text does not keep.
[[nodiscard]] zarr::ArrayMetadata written_form(zarr::ArrayMetadata metadata);
/// Elements of one chunk, none where they are too many to try.
[[nodiscard]] std::optional<std::size_t> chunk_bytes(const zarr::ArrayMetadata& metadata);
/// What the codecs of a chunk may take: buffers of its size between codecs, and of its indices.
[[nodiscard]] std::size_t chunk_memory(const zarr::ArrayMetadata& metadata, std::size_t stored);
[[nodiscard]] std::string encoded_chunk(const zarr::ArrayMetadata& metadata,
                                        std::string_view elements);

/// An input that is the text of metadata, a byte 0, and a stored chunk.
struct ChunkInput {
  std::string text;
  std::string stored;
};
[[nodiscard]] ChunkInput split(std::string_view input);
[[nodiscard]] std::string joined(const ChunkInput& input);
/// Changes the metadata, the elements or the stored bytes, and mostly makes the chunk one of the
/// metadata, or at least its last checksum true.
[[nodiscard]] std::string mutate_chunk(std::string_view input, Mutation& mutation);
/// The chunks that TensorStore and zarr-python wrote, and a few of other chains.
[[nodiscard]] Seeds golden_chunks(const TestData& data);

}  // namespace cairn::fuzz

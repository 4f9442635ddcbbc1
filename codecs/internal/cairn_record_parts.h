#pragma once
// The parts of a `_CAIRN` record that are structures (codecs/cairn_record_format.md, "Parts").
// Decoders get where their bytes begin in the file, for messages.

#include <cairn/codecs/cairn_record.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::internal {

/// What errors about a part call it.
inline constexpr std::string_view kRecordStructure = "_CAIRN record";

[[nodiscard]] std::string encode_paths(const std::vector<KeyNames>& paths);
[[nodiscard]] std::vector<KeyNames> decode_paths(std::string_view bytes, std::uint64_t start);
[[nodiscard]] std::string encode_files(const std::vector<FileHash>& files);
[[nodiscard]] std::vector<FileHash> decode_files(std::string_view bytes, std::uint64_t start);
[[nodiscard]] std::string encode_metadata_hashes(const std::vector<ArrayMetadataHash>& arrays);
[[nodiscard]] std::vector<ArrayMetadataHash> decode_metadata_hashes(std::string_view bytes,
                                                                    std::uint64_t start);
[[nodiscard]] std::string encode_checksums(const std::vector<ChunkChecksums>& arrays);
[[nodiscard]] std::vector<ChunkChecksums> decode_checksums(std::string_view bytes,
                                                           std::uint64_t start);
[[nodiscard]] std::string encode_codecs(const std::vector<CodecRecord>& arrays);
[[nodiscard]] std::vector<CodecRecord> decode_codecs(std::string_view bytes, std::uint64_t start);
[[nodiscard]] std::string encode_traces(const ChunkTraces& traces);
[[nodiscard]] ChunkTraces decode_traces(std::string_view bytes, std::uint64_t start);

}  // namespace cairn::internal

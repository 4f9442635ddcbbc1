#pragma once
// Inputs of the OCDBT targets: envelopes that are opened, changed inside and sealed again, and the
// structures of the golden databases.

#include <fuzz/harness.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace cairn::fuzz {

/// Decoded bytes that the targets allow a node: the decoder's own slack of 4 MiB comes on top.
inline constexpr std::uint64_t kNodeBytesMax = std::uint64_t{1} << 20;

/// The body of an envelope, decompressed; none when there is none that can be opened. Neither magic
/// nor checksum need be right.
struct OpenedEnvelope {
  std::string body;
  bool compressed = false;
};
[[nodiscard]] std::optional<OpenedEnvelope> open_envelope(std::string_view envelope);
[[nodiscard]] std::string seal_envelope(std::uint32_t magic, const OpenedEnvelope& opened);
/// Mostly changes the body, compresses it again and makes length and checksum true; sometimes the
/// compressed bytes below a true checksum; seldom the envelope.
[[nodiscard]] std::string mutate_envelope(std::string_view envelope, std::uint32_t magic,
                                          Mutation& mutation);
/// What a structure of these bytes may take in memory: keys and paths by the decoder's documented
/// expansion, and records by the decoded body's size.
[[nodiscard]] std::size_t structure_memory(std::string_view envelope);

/// Every manifest, B+tree node and version tree node of the databases under tests/data.
struct GoldenStructures {
  Seeds manifests;
  Seeds nodes;
  Seeds version_nodes;
};
[[nodiscard]] GoldenStructures golden_structures(const TestData& data);

}  // namespace cairn::fuzz

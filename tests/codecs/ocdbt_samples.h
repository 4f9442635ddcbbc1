#pragma once
// Structures and byte surgery that several tests of OCDBT share.

#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/ocdbt.h>

#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace cairn::ocdbt::testing {

inline constexpr std::size_t kBodyOffset = 14;
inline constexpr std::size_t kChecksumBytes = 4;

inline Config raw_config() {
  Config config;
  config.compression = Compression::none;
  return config;
}

/// `bytes` with the length and the checksum that they should have: damage behind the checksum.
inline std::string resealed(std::string bytes) {
  bytes.resize(bytes.size() - kChecksumBytes);
  const std::uint64_t length = bytes.size() + kChecksumBytes;
  std::memcpy(bytes.data() + 4, &length, sizeof(length));
  const auto crc = crc32c(std::as_bytes(std::span(bytes)));
  bytes.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
  return bytes;
}

/// An enveloped structure with `body`, which is compressed already if `compression` is 1.
inline std::string sealed(std::uint32_t magic, std::string_view body, char compression = 0) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(magic >> shift);
  bytes.append(8, '\0');
  bytes += '\0';
  bytes += compression;
  bytes += body;
  return resealed(bytes + "crc!");
}

inline std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

inline Node sample_leaf() {
  Node node;
  node.files = {{"", "d/1"}, {"base/", "d/2"}};
  node.entries = std::vector<Entry>{{"", "empty key"},
                                    {"a", Reference{1, 1 << 20, 300}},
                                    {"a/b", ""},
                                    {"a/c", Reference{0, 0, 1}},
                                    {"b", std::string(200, 'v')}};
  return node;
}

inline Child child(std::string key, std::uint32_t common, Reference at, Statistics statistics) {
  Child result;
  result.key = std::move(key);
  result.common_prefix = common;
  result.location = at;
  result.statistics = statistics;
  return result;
}

inline Node sample_interior() {
  Node node;
  node.height = 3;
  node.files = {{"", "d/1"}, {"x/", "d/2"}};
  node.entries = std::vector<Child>{child("", 0, {0, 0, 100}, {3, 100, 5}),
                                    child("abc", 2, {1, 300, 4000}, {70, 4000, 1 << 30}),
                                    child("abd", 3, {0, 100, 50}, {1, 50, 0})};
  return node;
}

inline Version version(std::uint64_t generation) {
  Version result;
  result.generation = generation;
  result.root = Reference{0, generation * 100, 90};
  result.root_height = 1;
  result.statistics = {generation, 90, 7};
  result.commit_time_ns = 1700000000000000000 + generation;
  return result;
}

inline VersionNodeReference version_node(std::uint64_t generation, std::uint8_t height,
                                         std::uint64_t num_generations) {
  VersionNodeReference result;
  result.generation = generation;
  result.location = {0, generation * 10, 80};
  result.num_generations = num_generations;
  result.commit_time_ns = 1600000000000000000;
  result.height = height;
  return result;
}

/// Generations 1 to 23 at arity 4: 1 to 16 in a node of height 2, 17 to 20 in one of height 1.
inline Manifest sample_manifest() {
  Manifest manifest;
  manifest.config = raw_config();
  manifest.config.version_tree_arity_log2 = 2;
  manifest.files = {{"", "d/1"}, {"", ""}};
  manifest.versions = {version(21), version(22), version(23)};
  manifest.versions[1].root.reset();
  manifest.versions[1].root_height = 0;
  manifest.versions[1].statistics = {};
  manifest.version_nodes = {version_node(16, 2, 16), version_node(20, 1, 4)};
  return manifest;
}

inline VersionNode sample_version_leaf() {
  VersionNode node;
  node.arity_log2 = 2;
  node.files = {{"", "d/1"}};
  node.entries = std::vector<Version>{version(5), version(6), version(8)};
  return node;
}

inline VersionNode sample_version_interior() {
  VersionNode node;
  node.arity_log2 = 2;
  node.height = 1;
  node.files = {{"", "d/1"}};
  node.entries = std::vector<VersionNodeReference>{version_node(20, 0, 4), version_node(28, 0, 2)};
  return node;
}

/// `count` entries below directories whose names share prefixes of all lengths.
inline std::vector<Entry> random_entries(std::mt19937_64& random, std::size_t count,
                                         std::uint64_t files) {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < count; ++i) {
    std::string key;
    for (auto depth = random() % 4 + 1; depth > 0; --depth) {
      key.append(random() % 6, static_cast<char>('a' + random() % 2));
      key += '.';
    }
    // The number makes it unique; bytes above 127 must sort as unsigned.
    key += static_cast<char>(0xf0 + random() % 8) + std::to_string(i) + "/c";
    if (random() % 2 == 0) {
      entries.emplace_back(key, std::string(random() % 30, static_cast<char>(random())));
    } else {
      entries.emplace_back(key, Reference{random() % files, random() >> (random() % 60 + 2),
                                          random() % (1 << 20) + 1});
    }
  }
  return entries;
}

}  // namespace cairn::ocdbt::testing

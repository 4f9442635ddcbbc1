#pragma once
// Items written by the codecs alone: arrays in plain directories and in OCDBT databases, with
// whatever keys and values a test wants.

#include <cairn/codecs/ocdbt.h>
#include <cairn/codecs/zarr.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/files.h"

namespace cairn::test {

/// Makes the directories on the way.
inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// zarr v3, `bytes` alone.
inline zarr::ArrayMetadata raw_array(DType dtype, Shape shape, Shape chunk_shape) {
  zarr::ArrayMetadata metadata;
  metadata.dtype = dtype;
  metadata.shape = std::move(shape);
  metadata.chunk_shape = std::move(chunk_shape);
  metadata.codecs = {zarr::Bytes{}};
  return metadata;
}

/// Shards of `shard_shape` with inner chunks that have checksums.
inline zarr::ArrayMetadata sharded_array(DType dtype, Shape shape, Shape shard_shape,
                                         Shape inner_shape) {
  zarr::ArrayMetadata metadata = raw_array(dtype, std::move(shape), std::move(shard_shape));
  zarr::Sharding sharding;
  sharding.chunk_shape = std::move(inner_shape);
  sharding.codecs = {zarr::Bytes{}, zarr::Crc32c{}};
  sharding.index_codecs = {zarr::Bytes{}, zarr::Crc32c{}};
  metadata.codecs = {sharding};
  return metadata;
}

inline std::string encoded_chunk(const zarr::ArrayMetadata& metadata,
                                 std::span<const std::byte> elements) {
  std::vector<std::byte> bytes(zarr::chunk_size_bound(metadata));
  bytes.resize(zarr::encode_chunk(metadata, elements, bytes));
  return std::string(text_of(bytes));
}

/// An OCDBT database that has nothing but these nodes: the last is the root.
inline void write_nodes(const std::filesystem::path& folder, std::uint8_t root_height,
                        const std::vector<std::string>& nodes) {
  std::string data;
  ocdbt::Reference root;
  for (const std::string& node : nodes) {
    root.offset = data.size();
    root.length = node.size();
    data += node;
  }
  ocdbt::Manifest manifest;
  manifest.files = {ocdbt::DataFile("", "d/nodes")};
  ocdbt::Version version;
  version.generation = 1;
  version.root_height = root_height;
  version.root = root;
  manifest.versions = {version};
  write_file(folder / "d/nodes", data);
  write_file(folder / "manifest.ocdbt", ocdbt::encode(manifest));
}

/// One whose values are all in it.
inline void write_database(const std::filesystem::path& folder,
                           std::vector<std::pair<std::string, std::string>> values) {
  std::ranges::sort(values);
  std::vector<ocdbt::Entry> entries;
  for (auto& [key, value] : values) entries.emplace_back(key, std::move(value));
  ocdbt::Node leaf;
  leaf.entries = std::move(entries);
  write_nodes(folder, 0, {ocdbt::encode(leaf, ocdbt::Config())});
}

/// The most memory that this process had resident since `work` began, above what it had before,
/// bytes.
template <class Work>
std::uint64_t peak_growth(Work work) {
  const auto resident = [](std::string_view line) {
    const std::string status = read_file("/proc/self/status");
    const auto at = status.find(line);
    if (at == std::string::npos) throw std::runtime_error("no " + std::string(line));
    return std::strtoull(status.c_str() + at + line.size(), nullptr, 10) << 10;
  };
  write_file("/proc/self/clear_refs", "5");  // proc(5): sets the peak to what there is now
  const std::uint64_t before = resident("VmRSS:");
  work();
  const std::uint64_t peak = resident("VmHWM:");
  return peak > before ? peak - before : 0;
}

}  // namespace cairn::test

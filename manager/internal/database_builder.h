#pragma once
// The database of an item, encoded. Pure; runs on the CPU pool.

#include <cairn/codecs/ocdbt.h>
#include <cairn/manager/internal/chunk_store.h>
#include <cairn/manager/internal/data_files.h>

#include <cstdint>
#include <memory_resource>
#include <string>
#include <vector>

namespace cairn::internal {

struct EncodedDatabase {
  EncodedDatabase() = default;
  std::string nodes;     ///< B+tree nodes, for `nodes_path`
  std::string manifest;  ///< for manifest.ocdbt
};

/// In the order of the members; leaves may be encoded side by side.
class DatabaseBuilder {
 public:
  /// Of chunks that all have their places; `content` outlives it.
  DatabaseBuilder(const ItemContent& content, const std::vector<DataFileState>& files,
                  const std::string& nodes_path);
  /// As those of ocdbt::TreeBuilder.
  [[nodiscard]] std::size_t leaves() const noexcept { return tree_.leaves(); }
  void encode_leaf(std::size_t leaf, std::string& scratch) { tree_.encode_leaf(leaf, scratch); }
  /// `now_ns`: the version's time.
  [[nodiscard]] EncodedDatabase finish(std::int64_t now_ns);

 private:
  ocdbt::FileTable table_;
  ocdbt::Config config_;
  std::pmr::monotonic_buffer_resource keys_;
  ocdbt::TreeBuilder tree_;
};

}  // namespace cairn::internal

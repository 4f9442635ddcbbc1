#pragma once
// The database of an item, encoded. Pure; runs on the CPU pool.

#include <cairn/manager/internal/chunk_store.h>
#include <cairn/manager/internal/data_files.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cairn::internal {

struct EncodedDatabase {
  EncodedDatabase() = default;
  std::string nodes;     ///< B+tree nodes, for `nodes_path`
  std::string manifest;  ///< for manifest.ocdbt
};

/// Takes the values in `content`, which are moved out. `now_ns`: the version's time.
[[nodiscard]] EncodedDatabase build_database(ItemContent& content,
                                             const std::vector<DataFileState>& files,
                                             const std::string& nodes_path, std::int64_t now_ns);

}  // namespace cairn::internal

#pragma once
// Reading an OCDBT database: manifest and B+tree become one sorted list of entries.

#include <cairn/codecs/ocdbt.h>
#include <cairn/manager/internal/storage.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::internal {

/// A value: inline, or a range of a data file.
struct DatabaseEntry {
  DatabaseEntry() = default;
  std::string key;
  bool inlined = false;
  std::string value;       ///< inlined
  std::uint32_t file = 0;  ///< index into Database::files
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// The newest version of a database.
struct ItemDatabase {
  ItemDatabase() = default;
  std::vector<DatabaseEntry> entries;  ///< ascending by key
  std::vector<std::string> files;      ///< paths below the item
  std::string manifest;                ///< as stored
  [[nodiscard]] const DatabaseEntry* find(std::string_view key) const;
};

/// Reads all of it. Errors: data_loss naming file and field; not_supported for numbered manifests.
Task<ItemDatabase> read_database(FolderPtr item);

}  // namespace cairn::internal

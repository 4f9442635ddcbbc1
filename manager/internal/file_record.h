#pragma once
// The files of items that are no trees, held against the item's `_CAIRN`: formats that are text
// have no checksum of their own.

#include <cairn/codecs/cairn_record.h>
#include <cairn/manager/internal/item_database.h>
#include <cairn/manager/internal/storage.h>
#include <cairn/manager/item_files.h>

#include <functional>
#include <string>
#include <string_view>

namespace cairn::internal {

/// The record of an item that has these files. Throws std::invalid_argument where there are so many
/// that no reader would take it.
[[nodiscard]] std::string encode_file_record(const ItemFiles& files);

/// Of a file's name.
using FileChooser = std::function<bool(std::string_view)>;

/// Checks `files`, which were read from `folder`, by the record there. Without a record (Orbax's
/// items, and those of versions that wrote none) everything is right. `damage` gets a record that
/// cannot be read, files that are not those that were recorded, and recorded ones that `expected`
/// chooses (empty: none) and `files` has not. `item`: its name, for messages.
Task<void> check_files(FolderPtr folder, std::string item, const ItemFiles* files,
                       FileChooser expected, DamageSink damage);
/// Reads and checks every file that the record in `folder` names, whatever they mean.
Task<void> verify_recorded_files(FolderPtr folder, std::string item, DamageSink damage);

}  // namespace cairn::internal

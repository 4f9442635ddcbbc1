#pragma once
// ROOT/_ROOT_METADATA: written once, never replaced.

#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/storage.h>

#include <boost/json/object.hpp>
#include <optional>
#include <string_view>

namespace cairn::internal {

/// Whether it is the name that a file of write_root_metadata() has until it is whole.
[[nodiscard]] bool is_root_metadata_leftover(std::string_view name);

/// Writes the file unless there is one, Orbax's older directory of that purpose included. Needs no
/// lock: of several processes the first one's stays.
Task<void> write_root_metadata(FolderPtr root, boost::json::object custom);
/// None where there is none. Errors: data_loss.
Task<std::optional<orbax::RootMetadata>> read_root_metadata(FolderPtr root);

}  // namespace cairn::internal

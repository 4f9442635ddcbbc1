#pragma once
// Reading a step: which items it has, by which handler, and their values.

#include <cairn/codecs/orbax.h>
#include <cairn/manager/args.h>
#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/held_lock.h>
#include <cairn/manager/internal/storage.h>

#include <optional>
#include <string>
#include <vector>

namespace cairn::internal {

/// A committed step, held open; deletions wait while `lock` is.
struct OpenStep {
  OpenStep() = default;
  FolderPtr folder;
  std::unique_ptr<HeldLock>
      lock;  ///< _CHECKPOINT_METADATA under a shared lock; none where the file is absent
  std::optional<orbax::StepMetadata> metadata;
  std::vector<std::string> items;  ///< sub-directories, sorted
};
using OpenStepPtr = std::shared_ptr<OpenStep>;

enum class ItemKind : std::uint8_t { tree, json, unknown };

/// Opens the step at `path`. Errors: not_found, incomplete_checkpoint for a temporary directory.
Task<OpenStepPtr> open_step(EnginePtr engine, std::string path);
/// Items that the step's metadata names and that have no directory. Orbax names handlers of items
/// that it never wrote too, as its descriptor: only those count that hold data we would read.
[[nodiscard]] std::vector<std::string> missing_items(const OpenStep& step);
Task<ItemKind> item_kind(OpenStepPtr step, std::string item);
Task<Restored::Item> restore_item(OpenStepPtr step, std::string item, args::ItemRestore how);
/// What `args` asks for. `item_name`: the manager's name of a single item.
Task<Restored> restore_step(EnginePtr engine, std::string path, Step number, args::RestoreArgs args,
                            std::string item_name);
Task<boost::json::object> read_metrics(EnginePtr engine, std::string path);

}  // namespace cairn::internal

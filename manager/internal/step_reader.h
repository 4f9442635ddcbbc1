#pragma once
// Reading a step: which items it has, by which handler, and their values.

#include <cairn/codecs/orbax.h>
#include <cairn/manager/args.h>
#include <cairn/manager/handler_registry.h>
#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/held_lock.h>
#include <cairn/manager/internal/item_index.h>
#include <cairn/manager/internal/path_kind.h>
#include <cairn/manager/internal/step_rules.h>
#include <cairn/manager/internal/storage.h>

#include <any>
#include <functional>
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
  std::string metadata_fault;  ///< why the file that is there counts as absent
  std::optional<std::uint64_t> metadata_fault_offset;  ///< bytes into it, where that is known
  /// The step is one item itself, as Orbax's Checkpointer makes them; its name is empty.
  bool direct = false;
  std::vector<std::string> items;  ///< sub-directories, sorted; "" alone where `direct`
};
using OpenStepPtr = std::shared_ptr<OpenStep>;

[[nodiscard]] Error step_error(ErrorCode code, std::string reason, const std::string& path,
                               std::string item = "", std::string remedy = "");
/// "a, b", or "none".
[[nodiscard]] std::string names_of(const std::vector<std::string>& names);

/// Throws what a user needs to know of a step that is not there under this name: a save that never
/// committed, or the steps there are.
Task<void> explain_missing_step(FolderPtr root, StepRules rules, std::string name);
/// Opens the step at `path`. Errors: not_found, incomplete_checkpoint for a temporary directory.
Task<OpenStepPtr> open_step(EnginePtr engine, std::string path);
/// The same for a directory that is open, whatever its name.
Task<OpenStepPtr> open_step_in(FolderPtr folder);
/// Items that the step's metadata names and that have no directory. Orbax names handlers of items
/// that it never wrote too, as its descriptor: only those count that hold data we would read.
[[nodiscard]] std::vector<std::string> missing_items(const OpenStep& step);
[[nodiscard]] Error missing_item(const OpenStep& step, const std::string& item);
/// A directory that may be a step or an item: what it has of a step is optional. Errors as above;
/// an item of a temporary directory is incomplete too.
Task<OpenStepPtr> open_step_or_item(EnginePtr engine, std::string path);
/// Lets deletions go on: what was to be read is read. Where it is not called, that comes a little
/// after the last owner of `step` has gone.
Task<void> close_step(OpenStepPtr step);
/// The directory of an item.
Task<FolderPtr> item_folder(OpenStepPtr step, std::string item);
/// What a handler that we know keeps; none for others.
[[nodiscard]] std::optional<ItemKind> kind_by_handler(std::string_view handler);
/// By the handler in the step's metadata, else by the item's files.
Task<ItemKind> item_kind(OpenStepPtr step, std::string item);
[[nodiscard]] ItemForm item_form(const OpenStep& step, const std::string& item);
/// The item that a restore of a single tree means: the manager's, else Orbax v1's, else the only
/// tree.
Task<std::string> single_item(OpenStepPtr step, std::string item_name);
/// Whether the directory was renamed or removed since it was opened.
Task<bool> is_gone(FolderPtr folder);
/// What a read of the step, or item, in `folder` failed with: step_deleted where it is gone by now.
Task<std::exception_ptr> explain_failure(FolderPtr folder, std::exception_ptr failure);
Task<std::any> restore_item(OpenStepPtr step, std::string item, args::ItemRestore how,
                            HandlerRegistry registry);

/// What of a manager counts for its reading.
struct ReaderSettings {
  ReaderSettings() = default;
  HandlerRegistry registry;
  std::string item_name;                  ///< of a single item
  std::function<void(std::string)> warn;  ///< may be empty
  /// Warns where the step's metadata counts as absent because it cannot be read.
  void report_fault(const OpenStep& step) const {
    if (step.metadata_fault.empty() || !warn) return;
    warn("the step's metadata cannot be read and counts as absent: " + step.metadata_fault);
  }
};
/// What `args` asks for.
Task<Restored> restore_step(EnginePtr engine, std::string path, Step number, args::RestoreArgs args,
                            ReaderSettings settings);
Task<boost::json::object> read_metrics(OpenStepPtr step);

}  // namespace cairn::internal

#pragma once
// One item of a step while it is being saved. The save job calls, in this order: agree(); plan() on
// the CPU pool; then capture() and open() side by side on the strand; then finish_data(); then
// finish_metadata().

#include <cairn/codecs/orbax.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/encode_gate.h>
#include <cairn/manager/internal/process_group.h>
#include <cairn/manager/internal/save_state.h>
#include <cairn/manager/internal/step_rules.h>
#include <cairn/manager/internal/storage.h>
#include <cairn/manager/internal/synced_files.h>
#include <cairn/manager/item_files.h>
#include <cairn/manager/options.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::internal {

/// Largest file of an item that is saved, and read, whole.
inline constexpr std::uint64_t kItemFileBytesMax = std::uint64_t{1} << 30;

class ItemSaver {
 public:
  virtual ~ItemSaver() = default;
  /// Decides with the other processes who writes what of it, where several do. `disk_rate`: Pace's,
  /// as it is by now.
  virtual Task<void> agree(double /*disk_rate*/) { co_return; }
  /// Whether processes that are not the primary write their part of it. Of other items they call
  /// nothing.
  [[nodiscard]] virtual bool is_shared() const { return false; }
  /// Validates and lays out; throws Error(invalid_argument).
  virtual void plan(double disk_rate) = 0;
  /// Bytes of staging that the item asks for.
  [[nodiscard]] virtual std::uint64_t staging_bytes() const = 0;
  [[nodiscard]] virtual std::uint64_t element_bytes() const = 0;
  /// Returns when the arrays are the caller's again; writing goes on in children of `nursery`.
  virtual Task<void> capture(engine::Nursery* nursery) = 0;
  /// Makes the item's directory below `step`, a directory of `root`, and lets the writers start.
  virtual Task<void> open(FolderPtr root, FolderPtr step) = 0;
  /// Everything captured is written: make data durable.
  virtual Task<void> finish_data() = 0;
  /// Metadata, marker and directories, durable.
  virtual Task<void> finish_metadata() = 0;
  /// Orbax's name for what reads the item.
  [[nodiscard]] virtual std::string_view handler() const = 0;
  /// What became of its arrays, for the save's result; none for what has none. After
  /// finish_metadata().
  [[nodiscard]] virtual std::optional<ItemSummary> summary() const { return std::nullopt; }
};

/// How trees are saved when they do not say.
struct TreeSettings {
  TreeSettings() = default;
  std::string_view handler = orbax::kStandardHandler;  ///< Orbax's name for what reads the item
  bool strings = false;                                ///< may be leaves
  Codec codec = Codec::raw();
  Layout layout = Layout::ocdbt_zarr3;
  Capture capture = Capture::copy;
  EncodePolicy encode_policy;
  std::shared_ptr<Pace> pace;
  std::shared_ptr<SyncedFiles> synced;
  bool incremental = false;
  std::int64_t max_link_age = 0;
  std::uint64_t linkable_file_bytes = 0;
  StepRules rules;                        ///< of the root whose steps may be linked from
  std::function<void(std::string)> warn;  ///< of what costs no step
  GroupScopePtr scope;                    ///< of the save's processes; none where there is one
  std::string number;                     ///< of the item, in the names of what they do together
};

std::shared_ptr<ItemSaver> make_tree_saver(std::string item, args::TreeSave args,
                                           TreeSettings settings, std::shared_ptr<SaveState> state);
/// Called once, in plan(); what it throws fails the save.
using FileEncoder = std::function<ItemFiles()>;
std::shared_ptr<ItemSaver> make_file_saver(std::string item, std::string handler,
                                           FileEncoder encode, std::shared_ptr<SaveState> state);

}  // namespace cairn::internal

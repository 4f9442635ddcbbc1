#pragma once
// The commit and delete protocols: how a step comes to be there whole or not there, at any moment.
//
// Saving step n:
//   1. Remove a leftover `n.orbax-checkpoint-tmp`; make it anew; write the owner record into it.
//   2. (The items are written, synced; their directories synced.)
//   3. Check, through the open directory, that it is still ours; remove the owner record; sync the
//   directory.
//   4. Rename it to `n` and sync the root. The step is committed when that sync returned.
// Overwriting: before 4 the directory takes a trash name; 4 exchanges it with `n`, so that the old
// step is trash at once, and a crash leaves nothing that looks like a step or a save. Deleting:
// rename `n` to a trash name, sync the root, unlink what is in it. Trash names are
// `n.orbax-checkpoint-tmp-deleted-<random>`: Orbax ignores them, the next writer removes them.

#include <cairn/manager/internal/storage.h>
#include <cairn/manager/save_future.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::internal {

/// Who writes: in owner records, lock files and messages.
struct Owner {
  Owner();  ///< this process, a new incarnation
  std::string incarnation;
  std::string host;
  std::int64_t pid = 0;
  [[nodiscard]] std::string text() const;  ///< JSON
};
/// Whom an owner record names, for a message: "host H, pid P", or why that cannot be told.
[[nodiscard]] std::string describe_owner(const std::string& text);

[[nodiscard]] std::string step_name(Step step);
[[nodiscard]] std::string temporary_name(Step step);
/// A fresh trash name.
[[nodiscard]] std::string trash_name(Step step);
[[nodiscard]] bool is_trash_name(std::string_view name);

/// A step being written.
class StepDirectory {
 public:
  StepDirectory(FolderPtr root, Step step, std::string owner);
  /// Step 1 of saving. Throws already_exists when the step is there and `overwrite` is not set.
  /// After any other failure discard() has something to do.
  Task<void> create(bool overwrite);
  [[nodiscard]] const FolderPtr& folder() const noexcept { return folder_; }
  /// Step 3.
  Task<void> seal();
  /// Step 4. Throws commit_unknown when only the last sync failed, or when a rename failed and it
  /// may have been carried out. With `overwrite`, returns the
  /// trash name of the old step, if there was one.
  Task<std::optional<std::string>> commit(bool overwrite);
  /// Removes the directory after a failure, unless it is no longer ours.
  Task<void> discard();

 private:
  Task<void> check_owner();
  /// The rename or exchange that gives the step its name failed: throws why, or commit_unknown.
  Task<void> explain_failed_rename(std::exception_ptr failure);
  FolderPtr root_;
  Step step_;
  std::string owner_;
  std::string name_;
  bool begun_ = false;  ///< there may be a directory of ours
  FolderPtr folder_;    ///< none until it has been made and opened
};

/// Renames a step to trash, durably; returns the trash name. Errors: not_found; busy when a reader
/// holds it.
Task<std::string> move_step_to_trash(FolderPtr root, Step step);
/// Removes trash that earlier writers left; returns how many directories.
Task<std::size_t> remove_leftover_trash(FolderPtr root);
/// Committed steps, ascending.
Task<std::vector<Step>> list_committed_steps(FolderPtr root);

}  // namespace cairn::internal

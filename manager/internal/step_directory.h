#pragma once
// The commit and delete protocols: how a step comes to be there whole or not there, at any moment.
//
// Saving step n (Atomicity::rename):
//   1. Remove a leftover `n.orbax-checkpoint-tmp`; make it anew; write the owner record into it.
//   2. (The items are written, synced; their directories synced.)
//   3. Check, through the open directory, that it is still ours; remove the owner record; sync the
//   directory.
//   4. Rename it to `n` and sync the root. The step is committed when that sync returned.
// Atomicity::commit_file: the directory is `n` from the start, and not a step without the marker
// `commit_success.txt`. 1 removes one that is known to be of a save (begun_step.h), refuses any
// other, and syncs the directory once the owner record is in it; 3 leaves the record there, and
// also syncs the root; 4 writes the marker and syncs it and then the directory, and that sync is
// the commit; then the record goes.
// Overwriting: before 4 the directory takes a trash name; 4 exchanges it with `n`, so that the old
// step is trash at once, and a crash leaves nothing that looks like a step or a save. Deleting:
// rename `n` to a trash name, sync the root, unlink what is in it. Trash names are
// `n.orbax-checkpoint-tmp-deleted-<random>`: Orbax ignores them, the next writer removes them.

#include <cairn/manager/internal/held_lock.h>
#include <cairn/manager/internal/step_rules.h>

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
/// Where the owner record of a save is, in its directory, until it commits. A crash just after that
/// may leave it in a step.
inline constexpr std::string_view kOwnerFile = ".cairn_owner";
inline constexpr std::uint64_t kOwnerFileBytesMax = 4096;
/// Whom an owner record names, for a message: "host H, pid P", or why that cannot be told.
[[nodiscard]] std::string describe_owner(const std::string& text);

/// A step being written.
class StepDirectory {
 public:
  StepDirectory(FolderPtr root, StepRules rules, Step step, std::string owner);
  /// Step 1 of saving. Throws already_exists when the step is there and `overwrite` is not set, and
  /// where something has its name that is neither a step nor known to be of a save.
  /// After any other failure discard() has something to do.
  Task<void> create(bool overwrite);
  [[nodiscard]] const FolderPtr& folder() const noexcept { return folder_; }
  /// The directory's name at the moment.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// There is a step that the commit will take the place of.
  [[nodiscard]] bool replaces() const noexcept { return !replaces_.empty(); }
  /// Step 3.
  Task<void> seal();
  /// Step 4. Throws commit_unknown when only the last sync failed, or when a rename failed and it
  /// may have been carried out. With `overwrite`, returns the
  /// trash name of the old step, if there was one.
  Task<std::optional<std::string>> commit(bool overwrite);
  /// Removes the directory after a failure, unless it is no longer ours.
  Task<void> discard();

 private:
  [[nodiscard]] bool renames() const noexcept { return rules_.atomicity == Atomicity::rename; }
  Task<void> refuse_existing(bool overwrite);
  /// commit_file: removes what an earlier save has left under the step's name.
  Task<void> remove_begun();
  Task<void> check_owner();
  Task<void> write_marker();
  /// commit_file: the marker was not written well. Throws why once it is gone for certain; else,
  /// and where a reader has seen it and holds the step, commit_unknown.
  Task<void> take_marker_back(std::exception_ptr failure);
  /// The rename or exchange that gives the step its name failed: throws why, or commit_unknown.
  Task<void> explain_failed_rename(std::exception_ptr failure);
  FolderPtr root_;
  StepRules rules_;
  Step step_;
  std::string owner_;
  std::string final_;                   ///< the step's name
  std::string name_;                    ///< the directory's at the moment
  bool begun_ = false;                  ///< there may be a directory of ours
  FolderPtr folder_;                    ///< none until it has been made and opened
  std::string replaces_;                ///< the directory of the step that is overwritten
  std::unique_ptr<HeldLock> excluded_;  ///< readers, from the end of the marker to that of the rest
};

/// Renames a step to trash, durably; returns the trash name. `name` is its directory's. Errors:
/// not_found; busy when a reader holds it.
Task<std::string> move_step_to_trash(FolderPtr root, std::string name);
/// Renames a step into a sub-directory of the root, made where it is missing, durably. Where its
/// name is taken there it gets a fresh one. Errors as above.
Task<void> move_step_aside(FolderPtr root, std::string name, std::string subdir);
/// Whether a reader holds what had been a step, and was overwritten: the next writer asks again.
/// Throws where that cannot be told: then it must not be removed either.
Task<bool> is_held_by_reader(FolderPtr root, std::string name);
/// Removes trash that earlier writers left, unless a reader holds it, and what they left of the
/// root's metadata; returns how many directories. Once `gate` is closed it leaves the rest, and may
/// throw operation_aborted.
Task<std::size_t> remove_leftover_trash(FolderPtr root, StepRules rules,
                                        std::shared_ptr<PauseGate> gate);
/// Removes every temporary directory of a step's that Cairn or Orbax left, and where steps commit
/// by file what is known to be of a save that never did, unless a reader holds it; returns how
/// many. The caller holds the root's lock.
Task<std::size_t> remove_leftovers(FolderPtr root, StepRules rules);

}  // namespace cairn::internal

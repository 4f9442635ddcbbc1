#pragma once
// Atomicity::commit_file: a directory that has a step's name and no marker is of a save that has
// not ended, or somebody else's: a whole step of an Orbax that wrote no markers, say. What tells
// the one from the other, and how such a save is removed.

#include <cairn/manager/internal/step_rules.h>

#include <optional>
#include <string>

namespace cairn::internal {

/// The file that tells that a directory without a marker is of a save that never committed: our
/// owner record, or step metadata in which Orbax or Cairn has put no time of commit yet. Empty
/// where the directory is; none where nothing tells, and it is not to be touched.
Task<std::optional<std::string>> find_evidence(FolderPtr folder);
/// The same of what has a step's name in the root; none, too, where it has the marker, or cannot be
/// looked into.
Task<std::optional<std::string>> find_begun_step(FolderPtr root, std::string name);
/// Removes such a directory, the evidence last, so that what a crash leaves of it can be told, too.
/// A marker in it, of a commit that failed, goes first: it never stands beside less than a step.
Task<void> remove_begun_step(FolderPtr root, std::string name, std::string evidence);

}  // namespace cairn::internal

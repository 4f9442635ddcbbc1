#pragma once
// Checking a step, for verify_step() and before older steps are deleted.

#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/storage.h>

#include <string>

namespace cairn::internal {

/// Reads back the metadata, indexes and databases of the step at `path`, and with `values` every
/// byte of its arrays against its checksum. Damage is in the report; what says nothing about the
/// step is thrown.
Task<VerifyReport> check_step(EnginePtr engine, std::string path, bool values);
/// The same of a save that is about to commit, in its temporary directory.
Task<VerifyReport> check_step_in(FolderPtr folder, bool values);
/// Throws data_loss where something is damaged or could not be checked; `stays`: what is not
/// deleted because of that.
void refuse_damaged(const VerifyReport& report, Step step, const std::string& stays);

}  // namespace cairn::internal

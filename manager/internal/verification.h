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

}  // namespace cairn::internal

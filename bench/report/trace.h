#pragma once
// What the disk and the cores do during a save, on one line of time.

#include "report/context.h"

namespace cairn::bench {

/// Saves a state raw and bf16 weights with `auto`, each once to warm up and once under watch.
/// Writes a trace of the latter two to `file`, in the Trace Event Format that chrome://tracing and
/// Perfetto show, and prints how long each of the two left the disk without a write.
void trace_saves(const Settings& settings, const std::filesystem::path& file);

}  // namespace cairn::bench

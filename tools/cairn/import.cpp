// cairn import: a safetensors file becomes a step.

#include <cairn/manager/checkpoint_manager.h>
#include <fmt/format.h>

#include <chrono>

#include "common.h"
#include "safetensors_file.h"
#include "table.h"

namespace cairn::cli {
namespace {

SaveOptions save_options(const ImportOptions& options, const safetensors::Header& header) {
  SaveOptions out;
  // The step asked for is made, also below steps that are there.
  out.force = true;
  out.overwrite = options.overwrite;
  for (const auto& [key, value] : header.metadata) out.custom_metadata[key] = value;
  return out;
}

void report(const Settings& settings, const ImportOptions& options, const SaveResult& result,
            std::size_t tensors, double seconds) {
  if (settings.json) {
    boost::json::object out;
    out["file"] = options.file;
    out["root"] = options.root;
    out["step"] = result.step;
    out["tensors"] = tensors;
    out["bytes"] = result.bytes;
    out["stored_bytes"] = result.stored_bytes;
    out["seconds"] = seconds;
    out["warning"] = result.warning;
    return print_json(out);
  }
  print(fmt::format("step {}: {}, {} in {:.2f} s\n", result.step, counted(tensors, "tensor"),
                    human_bytes(result.bytes), seconds));
  if (!result.warning.empty()) print(fmt::format("warning: {}\n", printable(result.warning)));
}

}  // namespace

int run_import(const Settings& settings, const ImportOptions& options) {
  const auto engine = make_engine(settings);
  // First the file: a bad one leaves no empty root behind.
  SafetensorsFile file = open_safetensors(engine, options.file);
  const std::size_t tensors = file.header.tensors.size();
  if (tensors == 0) {
    throw make_error(ErrorCode::invalid_argument,
                     "the file has no tensors, and a step holds at least one", options.file);
  }
  ManagerOptions manager_options;
  manager_options.engine = engine;
  CheckpointManager manager(options.root, std::move(manager_options));
  const auto start = std::chrono::steady_clock::now();
  const SaveResult result =
      manager.save(options.step, std::move(file.tree), save_options(options, file.header)).get();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  report(settings, options, result, tensors, elapsed.count());
  return kGood;
}

}  // namespace cairn::cli

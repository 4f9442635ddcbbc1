// cairn import: a safetensors file, or several, become a step.

#include <cairn/manager/checkpoint_manager.h>
#include <cairn/manager/safetensors.h>
#include <fmt/format.h>

#include <chrono>

#include "codecs.h"
#include "common.h"
#include "table.h"

namespace cairn::cli {
namespace {

SaveOptions save_options(const ImportOptions& options, const SafetensorsMetadata& metadata) {
  SaveOptions out;
  // The step asked for is made, also below steps that are there.
  out.force = true;
  out.overwrite = options.overwrite;
  for (const auto& [key, value] : metadata) out.custom_metadata[key] = value;
  return out;
}

void report(const Settings& settings, const ImportOptions& options, const SaveResult& result,
            const std::vector<std::string>& files, std::size_t tensors, double seconds) {
  const std::vector<CodecSummary>& codecs = result.items.at(0).codecs;
  if (settings.json) {
    boost::json::object out;
    out["file"] = options.file;
    out["files"] = to_json(files);
    out["root"] = options.root;
    out["step"] = result.step;
    out["tensors"] = tensors;
    out["bytes"] = result.bytes;
    out["stored_bytes"] = result.stored_bytes;
    out["codecs"] = codecs_json(codecs);
    out["seconds"] = seconds;
    out["warning"] = result.warning;
    return print_json(out);
  }
  print(fmt::format("step {}: {}, {} in {:.2f} s\n", result.step, counted(tensors, "tensor"),
                    human_bytes(result.bytes), seconds));
  if (options.codec != Codec::raw()) print(codecs_text(codecs));
  if (!result.warning.empty()) print(fmt::format("warning: {}\n", printable(result.warning)));
}

}  // namespace

int run_import(const Settings& settings, const ImportOptions& options) {
  const auto engine = make_engine(settings);
  // First the files: a bad one leaves no empty root behind.
  SafetensorsReadOptions read_options;
  read_options.follow_links = options.follow_links;
  SafetensorsContent content =
      open_safetensors(engine, options.file, std::move(read_options)).get();
  const std::size_t tensors = content.tree.as<Dict>().size();
  if (tensors == 0) {
    throw make_error(ErrorCode::invalid_argument,
                     "the file has no tensors, and a step holds at least one", options.file);
  }
  ManagerOptions manager_options;
  manager_options.engine = engine;
  manager_options.codec = options.codec;
  manager_options.layout = options.layout;
  CheckpointManager manager(options.root, std::move(manager_options));
  const auto start = std::chrono::steady_clock::now();
  const SaveResult result =
      manager.save(options.step, std::move(content.tree), save_options(options, content.metadata))
          .get();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  report(settings, options, result, content.files, tensors, elapsed.count());
  return kGood;
}

}  // namespace cairn::cli

// cairn export: a tree of a step becomes a safetensors file, or several.

#include <cairn/manager/read_tree.h>
#include <cairn/manager/safetensors.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <filesystem>

#include "common.h"
#include "table.h"

namespace cairn::cli {
namespace {

/// The item asked for, or the only tree of the step.
std::string pick_item(const StepInfo& step, const std::string& asked) {
  std::vector<std::string> trees;
  std::string all;
  for (const ItemInfo& item : step.items) {
    all += fmt::format("{}{} ({})", all.empty() ? "" : ", ", item.name, item.kind);
    if (item.kind == "tree") trees.push_back(item.name);
  }
  if (asked.empty() && trees.size() == 1) return trees[0];
  if (!asked.empty() && std::ranges::count(trees, asked) > 0) return asked;
  std::string reason = !asked.empty()  ? fmt::format("there is no tree '{}'", asked)
                       : trees.empty() ? "there is no tree of arrays"
                                       : "there are several trees";
  reason += fmt::format("; items: {}", all.empty() ? "none" : all);
  throw make_error(ErrorCode::not_found, std::move(reason), step.path,
                   trees.empty() ? "" : "Name a tree with --item");
}

/// Tried before anything is read: a large step takes long. What is wrong otherwise, or comes to be,
/// the write finds.
void check_target(const ExportOptions& options) {
  const std::filesystem::path file(options.file);
  for (const std::string& name : {options.file, options.file + ".index.json"}) {
    std::error_code ignored;
    const std::filesystem::file_status status = std::filesystem::symlink_status(name, ignored);
    if (!std::filesystem::exists(status)) continue;
    if (std::filesystem::is_directory(status)) {
      throw make_error(ErrorCode::invalid_argument, "is a directory", name, "Name a file");
    }
    if (!std::filesystem::is_regular_file(status)) {
      throw make_error(ErrorCode::invalid_argument, "is a link, FIFO, socket or device, not a file",
                       name, "Name a file");
    }
    if (options.force) continue;
    throw make_error(ErrorCode::already_exists, "the file is there already", name,
                     "Give --force to replace it, or another name");
  }
  const std::string directory = file.has_parent_path() ? file.parent_path().string() : ".";
  if (::access(directory.c_str(), W_OK | X_OK) != 0) {
    throw system_error(errno, "write into", directory);
  }
}

/// safetensors has strings only: what is none goes as JSON text.
SafetensorsMetadata to_strings(const boost::json::object& metadata) {
  SafetensorsMetadata strings;
  for (const auto& [key, value] : metadata) {
    strings.emplace_back(std::string(key), value.is_string() ? std::string(value.get_string())
                                                             : boost::json::serialize(value));
  }
  return strings;
}

SafetensorsWriteOptions write_options(const ExportOptions& options, const std::string& item,
                                      const boost::json::object& metadata) {
  SafetensorsWriteOptions out;
  out.metadata = to_strings(metadata);
  out.max_shard_bytes = options.max_shard_bytes;
  out.alignment = options.alignment;
  out.overwrite = options.force;
  out.drop_empty = options.drop_empty;
  out.root_name = item;
  return out;
}

/// open_tree() passes them over, and a file without them is not the whole of the item.
void refuse_foreign_leaves(const StepInfo& info, const std::string& item) {
  for (const ItemInfo& one : info.items) {
    if (one.name != item) continue;
    for (const LeafInfo& leaf : one.leaves)
      if (leaf.kind == "foreign" && leaf.fault) throw Error(*leaf.fault);
  }
}

void report(const Settings& settings, const ExportOptions& options, Step step,
            const std::string& item, const SafetensorsWritten& written) {
  if (settings.json) {
    boost::json::object out;
    out["root"] = options.root;
    out["step"] = step;
    out["item"] = item;
    out["file"] = options.file;
    out["files"] = to_json(written.files);
    out["tensors"] = written.tensors;
    out["bytes"] = written.bytes;
    return print_json(out);
  }
  const std::string place =
      written.files.size() == 1
          ? options.file
          : fmt::format("{} files, {}", written.files.size() - 1, written.files.back());
  print(fmt::format("{}: {}, {} of step {}\n", printable(place), counted(written.tensors, "tensor"),
                    human_bytes(written.bytes), step));
}

}  // namespace

int run_export(const Settings& settings, const ExportOptions& options) {
  check_target(options);
  const auto engine = make_roomy_engine(settings);
  const StepEntry step = pick_step(engine, options.root, options.step);
  const StepInfo info = inspect_step(engine, join_path(options.root, step.name)).get();
  const std::string item = pick_item(info, options.item);
  refuse_foreign_leaves(info, item);

  ReadOptions read_options;
  read_options.item = item;
  Tree tree = open_tree(engine, info.path, std::move(read_options)).get();
  const SafetensorsWritten written =
      write_safetensors(engine, std::move(tree), options.file,
                        write_options(options, item, info.custom_metadata))
          .get();
  report(settings, options, step.step, item, written);
  return kGood;
}

}  // namespace cairn::cli

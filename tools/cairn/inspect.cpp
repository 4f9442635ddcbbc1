// cairn inspect: what a step holds, down to leaves and files.

#include <fmt/format.h>

#include <boost/json/serialize.hpp>

#include "common.h"
#include "table.h"

namespace cairn::cli {
namespace {

/// Null and empty containers have no elements, and so no dtype.
bool has_data(const LeafInfo& leaf) {
  return leaf.kind == "array" || leaf.kind == "scalar";
}

boost::json::array to_json(const Shape& shape) {
  boost::json::array out;
  for (const Index extent : shape) out.emplace_back(extent);
  return out;
}

boost::json::object leaf_json(const LeafInfo& leaf) {
  boost::json::object out;
  out["key_path"] = leaf.key_path;
  out["kind"] = leaf.kind;
  if (!has_data(leaf)) return out;
  out["dtype"] = name_of(leaf.dtype);
  out["shape"] = to_json(leaf.shape);
  out["chunk_shape"] = to_json(leaf.chunk_shape);
  out["codecs"] = cli::to_json(leaf.codecs);
  out["chunks"] = leaf.chunks;
  out["bytes"] = leaf.bytes;
  out["stored_bytes"] = leaf.stored_bytes;
  return out;
}

boost::json::object item_json(const ItemInfo& item) {
  boost::json::object out;
  out["name"] = item.name;
  out["kind"] = item.kind;
  out["handler"] = item.handler;
  out["writer_version"] = item.writer_version;
  boost::json::array leaves;
  for (const LeafInfo& leaf : item.leaves) leaves.push_back(leaf_json(leaf));
  out["leaves"] = std::move(leaves);
  boost::json::array files;
  for (const FileInfo& file : item.files) {
    boost::json::object entry;
    entry["path"] = file.path;
    entry["bytes"] = file.bytes;
    files.push_back(std::move(entry));
  }
  out["files"] = std::move(files);
  return out;
}

boost::json::object step_json(const StepInfo& info, Step step) {
  boost::json::object out;
  out["step"] = step;
  out["path"] = info.path;
  out["init_timestamp_ns"] = optional_json(info.init_timestamp_ns);
  out["commit_timestamp_ns"] = optional_json(info.commit_timestamp_ns);
  out["bytes"] = info.bytes;
  out["stored_bytes"] = info.stored_bytes;
  out["metrics"] = info.metrics;
  out["custom_metadata"] = info.custom_metadata;
  boost::json::array items;
  for (const ItemInfo& item : info.items) items.push_back(item_json(item));
  out["items"] = std::move(items);
  return out;
}

std::string shape_text(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string leaves_text(const ItemInfo& item) {
  Table table({{"LEAF"},
               {"KIND"},
               {"DTYPE"},
               {"SHAPE"},
               {"CHUNK"},
               {"CODECS"},
               {"CHUNKS", Align::right},
               {"BYTES", Align::right},
               {"STORED", Align::right}});
  for (const LeafInfo& leaf : item.leaves) {
    if (!has_data(leaf)) {
      table.add({leaf.key_path, leaf.kind, "-", "-", "-", "-", "-", "-", "-"});
      continue;
    }
    table.add({leaf.key_path, leaf.kind, std::string(name_of(leaf.dtype)), shape_text(leaf.shape),
               shape_text(leaf.chunk_shape), fmt::format("{}", fmt::join(leaf.codecs, ",")),
               std::to_string(leaf.chunks), human_bytes(leaf.bytes),
               human_bytes(leaf.stored_bytes)});
  }
  return table.text(2);
}

void print_item(const ItemInfo& item) {
  std::string line = fmt::format("item {} ({})", item.name, item.kind);
  if (!item.writer_version.empty())
    line += fmt::format(", written by Cairn {}", item.writer_version);
  print("\n" + printable(line) + "\n");
  if (!item.leaves.empty()) print(leaves_text(item));
  Table files({{"FILE"}, {"BYTES", Align::right}});
  for (const FileInfo& file : item.files) files.add({file.path, human_bytes(file.bytes)});
  if (!files.empty()) print("\n" + files.text(2));
}

void print_step(const StepInfo& info, Step step) {
  const auto line = [](std::string_view name, const std::string& value) {
    print(fmt::format("{:<10}{}\n", name, printable(value)));
  };
  line("step", std::to_string(step));
  line("path", info.path);
  line("committed", info.commit_timestamp_ns ? human_time(*info.commit_timestamp_ns) : "unknown");
  line("elements", human_bytes(info.bytes));
  line("stored", human_bytes(info.stored_bytes));
  if (!info.metrics.empty()) line("metrics", boost::json::serialize(info.metrics));
  if (!info.custom_metadata.empty()) line("metadata", boost::json::serialize(info.custom_metadata));
  for (const ItemInfo& item : info.items) print_item(item);
}

}  // namespace

int run_inspect(const Settings& settings, const InspectOptions& options) {
  const auto engine = make_engine(settings);
  const Step step = pick_step(engine, options.root, options.step);
  const StepInfo info = inspect_step(engine, step_path(options.root, step)).get();
  if (settings.json) {
    print_json(step_json(info, step));
  } else {
    print_step(info, step);
  }
  return kGood;
}

}  // namespace cairn::cli

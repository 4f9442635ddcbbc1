// cairn inspect: what a step, an item or safetensors hold, down to leaves, files and, asked for,
// values.

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <map>

#include "codecs.h"
#include "common.h"
#include "table.h"

namespace cairn::cli {
namespace {

/// Null and empty containers have no elements, and so no dtype; of an array that cannot be read it
/// is not known.
bool is_described(const LeafInfo& leaf) {
  return (leaf.kind == "array" || leaf.kind == "scalar") && !leaf.fault;
}

boost::json::array to_json(const Shape& shape) {
  boost::json::array out;
  for (const Index extent : shape) out.emplace_back(extent);
  return out;
}

/// By key path.
using Values = std::map<std::string, LeafValues>;

/// Extremes of integers are shown to the last digit, which a double does not have.
bool has_integers(DType dtype) {
  return dtype == DType::boolean || (dtype >= DType::int2 && dtype <= DType::uint64);
}

/// `value`: within the range of the dtype.
boost::json::value extreme_json(DType dtype, long double value) {
  if (!has_integers(dtype)) return static_cast<double>(value);
  if (value < 0) return static_cast<std::int64_t>(value);
  return static_cast<std::uint64_t>(value);
}

boost::json::object values_json(const LeafValues& values) {
  const Statistics& statistics = values.statistics;
  boost::json::object out;
  out["count"] = statistics.count;
  out["nan"] = statistics.nans;
  out["infinite"] = statistics.infinite;
  const bool any = statistics.count > statistics.nans;
  const boost::json::value none(nullptr);
  out["min"] = any ? extreme_json(values.dtype, statistics.min) : none;
  out["max"] = any ? extreme_json(values.dtype, statistics.max) : none;
  out["mean"] =
      statistics.finite() > 0 ? boost::json::value(static_cast<double>(statistics.mean())) : none;
  return out;
}

boost::json::object leaf_json(const LeafInfo& leaf, const Values& values) {
  boost::json::object out;
  out["key_path"] = leaf.key_path;
  out["kind"] = leaf.kind;
  if (leaf.fault)
    out["error"] = error_json(to_string(leaf.fault->code()), leaf.fault->what()).at("error");
  if (!is_described(leaf)) return out;
  out["dtype"] = name_of(leaf.dtype);
  out["shape"] = to_json(leaf.shape);
  if (leaf.zarr_format != 0) {
    out["chunk_shape"] = to_json(leaf.chunk_shape);
    out["zarr_format"] = leaf.zarr_format;
    out["codecs"] = cli::to_json(leaf.codecs);
    out["chunks"] = leaf.chunks;
  }
  out["bytes"] = leaf.bytes;
  out["stored_bytes"] = leaf.stored_bytes;
  const auto found = values.find(leaf.key_path);
  if (found != values.end()) out["values"] = values_json(found->second);
  return out;
}

/// Bytes of an item's files that have other names too, and of those that have not.
struct Shares {
  std::uint64_t shared = 0;
  std::uint64_t own = 0;
};

Shares shares_of(const ItemInfo& item) {
  Shares shares;
  for (const FileInfo& file : item.files)
    (file.links > 1 ? shares.shared : shares.own) += file.bytes;
  return shares;
}

boost::json::object item_json(const ItemInfo& item, const Values& values) {
  boost::json::object out;
  out["name"] = item.name;
  out["kind"] = item.kind;
  out["layout"] = item.layout;
  out["handler"] = item.handler;
  out["writer_version"] = item.writer_version;
  out["codecs"] = codecs_json(item.codecs);
  boost::json::array leaves;
  for (const LeafInfo& leaf : item.leaves) leaves.push_back(leaf_json(leaf, values));
  out["leaves"] = std::move(leaves);
  boost::json::array files;
  for (const FileInfo& file : item.files) {
    boost::json::object entry;
    entry["path"] = file.path;
    entry["bytes"] = file.bytes;
    entry["links"] = file.links;
    files.push_back(std::move(entry));
  }
  out["files"] = std::move(files);
  const Shares shares = shares_of(item);
  out["shared_bytes"] = shares.shared;
  out["own_bytes"] = shares.own;
  return out;
}

/// What is shown: a step, or an item as the one of a step that has nothing else.
struct Shown {
  PathKind kind = PathKind::step;
  StepInfo info;
  std::vector<Values> values;  ///< of each item
  [[nodiscard]] bool is_step() const { return kind == PathKind::root || kind == PathKind::step; }
};

boost::json::object shown_json(const Shown& shown) {
  const StepInfo& info = shown.info;
  boost::json::object out;
  out["taken_for"] = to_string(shown.kind);
  out["step"] = optional_json(info.step);
  out["path"] = info.path;
  out["init_timestamp_ns"] = optional_json(info.init_timestamp_ns);
  out["commit_timestamp_ns"] = optional_json(info.commit_timestamp_ns);
  out["bytes"] = info.bytes;
  out["stored_bytes"] = info.stored_bytes;
  out["metrics"] = info.metrics;
  out["custom_metadata"] = info.custom_metadata;
  boost::json::array items;
  for (std::size_t i = 0; i < info.items.size(); ++i)
    items.push_back(item_json(info.items[i], shown.values[i]));
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
               {"ZARR", Align::right},
               {"CODECS"},
               {"CHUNKS", Align::right},
               {"BYTES", Align::right},
               {"STORED", Align::right}});
  for (const LeafInfo& leaf : item.leaves) {
    if (!is_described(leaf)) {
      table.add({leaf.key_path, leaf.kind, "-", "-", "-", "-", "-", "-", "-", "-"});
      continue;
    }
    const bool zarr = leaf.zarr_format != 0;
    table.add({leaf.key_path, leaf.kind, std::string(name_of(leaf.dtype)), shape_text(leaf.shape),
               zarr ? shape_text(leaf.chunk_shape) : "-",
               zarr ? std::to_string(leaf.zarr_format) : "-",
               zarr ? fmt::format("{}", fmt::join(leaf.codecs, ",")) : "-",
               zarr ? std::to_string(leaf.chunks) : "-", human_bytes(leaf.bytes),
               human_bytes(leaf.stored_bytes)});
  }
  return table.text(2);
}

std::string number_text(bool any, long double value) {
  return any ? fmt::format("{:.6g}", static_cast<double>(value)) : "-";
}

std::string extreme_text(DType dtype, bool any, long double value) {
  if (!any || !has_integers(dtype)) return number_text(any, value);
  return value < 0 ? std::to_string(static_cast<std::int64_t>(value))
                   : std::to_string(static_cast<std::uint64_t>(value));
}

std::string values_text(const Values& values) {
  Table table({{"LEAF"},
               {"DTYPE"},
               {"ELEMENTS", Align::right},
               {"MIN", Align::right},
               {"MAX", Align::right},
               {"MEAN", Align::right},
               {"NAN", Align::right},
               {"INF", Align::right}});
  for (const auto& [key_path, leaf] : values) {
    const Statistics& statistics = leaf.statistics;
    const bool any = statistics.count > statistics.nans;
    table.add({key_path, std::string(name_of(leaf.dtype)), std::to_string(statistics.count),
               extreme_text(leaf.dtype, any, statistics.min),
               extreme_text(leaf.dtype, any, statistics.max),
               number_text(statistics.finite() > 0, statistics.mean()),
               std::to_string(statistics.nans), std::to_string(statistics.infinite)});
  }
  return table.text(2);
}

void print_item(const ItemInfo& item, const Values& values) {
  std::string line =
      fmt::format("item {} ({})", item.name.empty() ? "of the step itself" : item.name,
                  item.layout.empty() ? item.kind : item.kind + ", " + item.layout);
  if (!item.writer_version.empty())
    line += fmt::format(", written by Cairn {}", item.writer_version);
  print("\n" + printable(line) + "\n");
  if (!item.leaves.empty()) print(leaves_text(item));
  for (const LeafInfo& leaf : item.leaves)
    if (leaf.fault)
      print(printable(fmt::format("  CANNOT BE READ: {}", leaf.fault->what())) + "\n");
  if (!values.empty()) print("\n" + values_text(values));
  if (!item.codecs.empty()) print("\n" + codecs_text(item.codecs));
  Table files({{"FILE"}, {"BYTES", Align::right}, {"NAMES", Align::right}});
  for (const FileInfo& file : item.files)
    files.add({file.path, human_bytes(file.bytes), std::to_string(file.links)});
  if (!files.empty()) print("\n" + files.text(2));
  const Shares shares = shares_of(item);
  if (shares.shared > 0) {
    print(fmt::format("  {} in files shared with other steps (more than one name), {} its own\n",
                      human_bytes(shares.shared), human_bytes(shares.own)));
  }
}

void print_shown(const Shown& shown) {
  const StepInfo& info = shown.info;
  const auto line = [](std::string_view name, const std::string& value) {
    print(fmt::format("{:<10}{}\n", name, printable(value)));
  };
  if (shown.is_step())
    line("step", info.step ? std::to_string(*info.step) : step_label(info.path).substr(5));
  line("path", info.path);
  line("taken for", shown.kind == PathKind::root ? "a step of a root" : with_article(shown.kind));
  if (shown.is_step())
    line("committed", info.commit_timestamp_ns ? human_time(*info.commit_timestamp_ns) : "unknown");
  line("elements", human_bytes(info.bytes));
  line("stored", human_bytes(info.stored_bytes));
  if (!info.metrics.empty()) line("metrics", metrics_text(info.metrics));
  if (!info.custom_metadata.empty()) line("metadata", boost::json::serialize(info.custom_metadata));
  for (std::size_t i = 0; i < info.items.size(); ++i) print_item(info.items[i], shown.values[i]);
}

/// The leaves to read, where an empty list stands for all; none where none can be read.
std::optional<std::vector<args::Selection>> choose_leaves(const ItemInfo& item,
                                                          const std::vector<std::string>& asked) {
  std::vector<args::Selection> chosen;
  for (const std::string& leaf : asked) chosen.emplace_back(leaf);
  const auto is_faulty = [](const LeafInfo& leaf) { return leaf.fault.has_value(); };
  if (!asked.empty() || std::ranges::none_of(item.leaves, is_faulty)) return chosen;
  for (const LeafInfo& leaf : item.leaves)
    if (is_described(leaf)) chosen.emplace_back(leaf.key_path);
  if (chosen.empty()) return std::nullopt;
  return chosen;
}

/// The values of the arrays of tree items, or of those leaves that were asked for, which need not
/// be in all of them.
std::vector<Values> read_values(const std::shared_ptr<engine::Engine>& engine, const Shown& shown,
                                const InspectOptions& options) {
  const std::vector<std::string>& leaves = options.leaves;
  std::vector<Values> values(shown.info.items.size());
  std::optional<Error> missed;
  bool any = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const ItemInfo& item = shown.info.items[i];
    if (item.kind != "tree") continue;
    const std::string name = shown.is_step() ? item.name : "";
    const auto chosen = choose_leaves(item, leaves);
    if (!chosen) continue;
    try {
      for (LeafValues& leaf :
           inspect_values(engine, shown.info.path, name, *chosen, options.follow_links).get())
        values[i].emplace(leaf.key_path, std::move(leaf));
      any = true;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::not_found || leaves.empty()) throw;
      missed = error;
    }
  }
  if (missed && !any) throw Error(*missed);
  return values;
}

/// The step asked for, or the latest that is not deleted while it is looked at. One that is being
/// deleted may be listed for long: each is tried once.
StepInfo inspect_step_of(const std::shared_ptr<engine::Engine>& engine, const std::string& root,
                         std::optional<Step> asked) {
  std::optional<Step> below;
  for (;;) {
    const StepEntry step = pick_step(engine, root, asked, below);
    try {
      return inspect_step(engine, join_path(root, step.name)).get();
    } catch (const Error& error) {
      if (asked || !was_deleted(engine, root, step.name, error)) throw;
      below = step.step;
    }
  }
}

Shown look(const std::shared_ptr<engine::Engine>& engine, const InspectOptions& options) {
  Shown shown;
  shown.kind = kind_of(engine, options.path, options.step);
  if (!shown.is_step()) {
    ItemInfo item = inspect_item(engine, options.path, options.follow_links).get();
    for (const LeafInfo& leaf : item.leaves) shown.info.bytes += leaf.bytes;
    for (const FileInfo& file : item.files) shown.info.stored_bytes += file.bytes;
    shown.info.path = options.path;
    shown.info.custom_metadata = item.metadata;
    shown.info.items.push_back(std::move(item));
    return shown;
  }
  shown.info = shown.kind == PathKind::step ? inspect_step(engine, options.path).get()
                                            : inspect_step_of(engine, options.path, options.step);
  return shown;
}

}  // namespace

int run_inspect(const Settings& settings, const InspectOptions& options) {
  const auto engine = make_engine(settings);
  Shown shown = look(engine, options);
  shown.values = options.values ? read_values(engine, shown, options)
                                : std::vector<Values>(shown.info.items.size());
  if (settings.json) {
    print_json(shown_json(shown));
  } else {
    print_shown(shown);
  }
  int status = kGood;
  for (const ItemInfo& item : shown.info.items)
    for (const LeafInfo& leaf : item.leaves)
      if (leaf.fault) status = worse_status(status, exit_status(leaf.fault->code()));
  return status;
}

}  // namespace cairn::cli

// cairn ls: the steps of a root.

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "common.h"
#include "table.h"

namespace cairn::cli {
namespace {

struct Row {
  StepEntry step;
  StepInfo info;
  std::optional<Error> error;  ///< why the step cannot be read
};

boost::json::object row_json(const Row& row, const std::string& root) {
  boost::json::object out;
  out["step"] = row.step.step;
  out["path"] = join_path(root, row.step.name);
  if (row.error) {
    out["error"] = error_json(to_string(row.error->code()), row.error->what()).at("error");
    return out;
  }
  out["commit_timestamp_ns"] = optional_json(row.info.commit_timestamp_ns);
  out["bytes"] = row.info.bytes;
  out["stored_bytes"] = row.info.stored_bytes;
  boost::json::array items;
  for (const ItemInfo& item : row.info.items) items.emplace_back(item.name);
  out["items"] = std::move(items);
  out["metrics"] = row.info.metrics;
  return out;
}

std::string names_of(const std::vector<ItemInfo>& items) {
  std::string text;
  for (const ItemInfo& item : items) text += (text.empty() ? "" : ", ") + item.name;
  return text;
}

boost::json::object leftover_json(const Leftover& leftover, const std::string& root,
                                  std::int64_t now) {
  boost::json::object out;
  out["name"] = leftover.name;
  out["path"] = join_path(root, leftover.name);
  out["step"] = leftover.step;
  out["kind"] = leftover.deletion ? "deletion" : "save";
  out["modified_ns"] = leftover.modified_ns;
  out["age_s"] = static_cast<double>(now - leftover.modified_ns) * 1e-9;
  out["writer"] = leftover.writer;
  return out;
}

void print_leftovers(const std::vector<Leftover>& leftovers, std::int64_t now) {
  for (const Leftover& leftover : leftovers) {
    print(fmt::format("incomplete: {}: {}\n", printable(leftover.name),
                      printable(describe(leftover, now))));
  }
}

void print_table(const std::vector<Row>& rows, const std::string& root) {
  if (rows.empty()) return print(fmt::format("{}: no steps\n", printable(root)));
  // Which directory that is, where it is not called by the number alone.
  const bool named = std::ranges::any_of(
      rows, [](const Row& row) { return row.step.name != std::to_string(row.step.step); });
  const auto label = [named](const Row& row) {
    return named ? printable(row.step.name) : std::to_string(row.step.step);
  };
  Table table({{"STEP", named ? Align::left : Align::right},
               {"COMMITTED"},
               {"ELEMENTS", Align::right},
               {"STORED", Align::right},
               {"ITEMS"},
               {"METRICS"}});
  for (const Row& row : rows) {
    const StepInfo& info = row.info;
    if (row.error) {
      const bool damaged = exit_status(row.error->code()) == kDamage;
      table.add({label(row), damaged ? "DAMAGED" : "UNREADABLE", "-", "-", "-", ""});
      continue;
    }
    table.add({label(row), info.commit_timestamp_ns ? human_time(*info.commit_timestamp_ns) : "-",
               human_bytes(info.bytes), human_bytes(info.stored_bytes), names_of(info.items),
               metrics_text(info.metrics)});
  }
  print(table.text());
  for (const Row& row : rows) {
    if (row.error) print(fmt::format("step {}: {}\n", label(row), printable(row.error->what())));
  }
}

}  // namespace

int run_ls(const Settings& settings, const LsOptions& options) {
  const auto engine = make_engine(settings);
  std::vector<Row> rows;
  int status = kGood;
  for (StepEntry& step : list_steps(engine, options.root).get()) {
    Row row;
    row.step = std::move(step);
    try {
      row.info = inspect_step(engine, join_path(options.root, row.step.name)).get();
    } catch (const Error& error) {
      // Deleted since the list was read: as if it had never been in it.
      if (was_deleted(engine, options.root, row.step.name, error)) continue;
      row.error = error;
      status = worse_status(status, exit_status(error.code()));
    }
    rows.push_back(std::move(row));
  }
  // After the steps: what was a save when it was listed may be one of them by now.
  const std::vector<Leftover> leftovers = list_leftovers(engine, options.root).get();
  const std::int64_t now = now_ns();
  if (settings.json) {
    boost::json::object out;
    out["root"] = options.root;
    boost::json::array steps;
    for (const Row& row : rows) steps.push_back(row_json(row, options.root));
    out["steps"] = std::move(steps);
    boost::json::array incomplete;
    for (const Leftover& leftover : leftovers)
      incomplete.push_back(leftover_json(leftover, options.root, now));
    out["incomplete"] = std::move(incomplete);
    print_json(out);
  } else {
    print_table(rows, options.root);
    print_leftovers(leftovers, now);
  }
  return status;
}

}  // namespace cairn::cli

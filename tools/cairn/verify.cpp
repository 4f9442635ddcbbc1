// cairn verify: reads every chunk of every array and checks it.

#include <fmt/format.h>

#include "common.h"
#include "table.h"

namespace cairn::cli {
namespace {

boost::json::object damage_json(const Damage& damage) {
  boost::json::object out;
  out["item"] = damage.item;
  out["file"] = damage.file;
  out["offset"] = damage.offset ? boost::json::value(*damage.offset) : boost::json::value(nullptr);
  out["key_path"] = damage.key_path;
  out["message"] = damage.message;
  return out;
}

/// What could not be checked is not good either.
int status_of(const VerifyReport& report) {
  if (!report.ok()) return kDamage;
  return report.unchecked.empty() ? kGood : kCouldNotRun;
}

boost::json::object report_json(std::optional<Step> step, const VerifyReport& report) {
  boost::json::object out;
  out["step"] = optional_json(step);
  out["path"] = report.path;
  out["ok"] = status_of(report) == kGood;
  out["arrays"] = report.arrays;
  out["chunks"] = report.chunks;
  out["bytes"] = report.bytes;
  out["structure_only"] = report.structure_only;
  out["unchecked_items"] = to_json(report.unchecked_items);
  boost::json::array unchecked;
  for (const Damage& one : report.unchecked) unchecked.push_back(damage_json(one));
  out["unchecked"] = std::move(unchecked);
  boost::json::array damages;
  for (const Damage& damage : report.damages) damages.push_back(damage_json(damage));
  out["damages"] = std::move(damages);
  return out;
}

void print_report(const std::string& label, const VerifyReport& report) {
  const std::string checked = report.structure_only
                                  ? std::string("structure only: safetensors has no checksums")
                                  : fmt::format("{}, {} read", counted(report.chunks, "good chunk"),
                                                human_bytes(report.bytes));
  std::string line = fmt::format("{}: {}, {}, {}\n", printable(label),
                                 !report.ok()               ? "DAMAGED"
                                 : report.unchecked.empty() ? "good"
                                                            : "NOT ALL CHECKED",
                                 counted(report.arrays, "array"), checked);
  for (const std::string& name : report.unchecked_items) {
    line += fmt::format("  not checked: item '{}', of a kind that Cairn does not know\n",
                        printable(name));
  }
  for (const Damage& one : report.unchecked)
    line += "  not checked: " + printable(one.message) + "\n";
  for (const Damage& damage : report.damages) line += "  " + printable(damage.message) + "\n";
  print(line);
}

/// What came of one step, or of an item.
struct Outcome {
  std::string label;  ///< "step 3"
  std::optional<Step> step;
  VerifyReport report;
  std::optional<Error> error;  ///< why it could not be checked
  [[nodiscard]] int status() const { return error ? kCouldNotRun : status_of(report); }
};

/// `is_step`: or else an item, or safetensors.
Outcome verify(const std::shared_ptr<engine::Engine>& engine, const std::string& path, bool is_step,
               bool follow_links) {
  Outcome outcome;
  outcome.report.path = path;
  if (is_step) outcome.step = step_number(path);
  outcome.label = is_step ? step_label(path) : path;
  try {
    outcome.report =
        is_step ? verify_step(engine, path).get() : verify_item(engine, path, follow_links).get();
  } catch (const Error& error) {
    if (exit_status(error.code()) != kDamage) {
      outcome.error = error;
      return outcome;
    }
    Damage damage;
    damage.message = error.what();
    damage.file = error.context().path;
    damage.offset = error.context().offset;
    outcome.report.damages.push_back(std::move(damage));
  }
  return outcome;
}

boost::json::object outcome_json(const Outcome& outcome) {
  if (!outcome.error) return report_json(outcome.step, outcome.report);
  boost::json::object out;
  out["step"] = optional_json(outcome.step);
  out["path"] = outcome.report.path;
  out["ok"] = false;
  out["error"] = error_json(to_string(outcome.error->code()), outcome.error->what()).at("error");
  return out;
}

void print_outcome(const Outcome& outcome) {
  if (!outcome.error) return print_report(outcome.label, outcome.report);
  print(fmt::format("{}: NOT CHECKED\n  {}\n", printable(outcome.label),
                    printable(outcome.error->what())));
}

/// The steps to check, or the item.
std::vector<std::string> paths_of(const std::shared_ptr<engine::Engine>& engine, PathKind kind,
                                  const VerifyOptions& options) {
  if (kind != PathKind::root) return {options.path};
  if (options.step)
    return {join_path(options.path, pick_step(engine, options.path, options.step).name)};
  std::vector<std::string> paths;
  for (const StepEntry& step : list_steps(engine, options.path).get())
    paths.push_back(join_path(options.path, step.name));
  if (paths.empty()) throw make_error(ErrorCode::not_found, "there is no step", options.path);
  return paths;
}

}  // namespace

int run_verify(const Settings& settings, const VerifyOptions& options) {
  const auto engine = make_engine(settings);
  const PathKind kind = kind_of(engine, options.path, options.step);
  const std::vector<std::string> paths = paths_of(engine, kind, options);
  if (!settings.json) {
    print(fmt::format("{}: taken for {}\n", printable(options.path), with_article(kind)));
  }
  int status = kGood;
  boost::json::array outcomes;
  boost::json::array deleted;
  const bool steps = kind == PathKind::root || kind == PathKind::step;
  for (const std::string& path : paths) {
    const Outcome outcome = verify(engine, path, steps, options.follow_links);
    // A root that is written to meanwhile is as good as before.
    if (kind == PathKind::root && !options.step && outcome.error &&
        was_deleted(engine, options.path, last_component(path), *outcome.error)) {
      deleted.emplace_back(*outcome.step);
      if (!settings.json) print(outcome.label + ": deleted since the root was listed\n");
      continue;
    }
    status = worse_status(status, outcome.status());
    if (settings.json) {
      outcomes.push_back(outcome_json(outcome));
    } else {
      print_outcome(outcome);
    }
  }
  if (settings.json) {
    boost::json::object out;
    out["path"] = options.path;
    out["taken_for"] = to_string(kind);
    out["ok"] = status == kGood;
    out["steps"] = std::move(outcomes);
    out["deleted"] = std::move(deleted);
    print_json(out);
  }
  return status;
}

}  // namespace cairn::cli

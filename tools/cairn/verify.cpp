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

boost::json::object report_json(Step step, const VerifyReport& report) {
  boost::json::object out;
  out["step"] = step;
  out["path"] = report.path;
  out["ok"] = report.ok();
  out["arrays"] = report.arrays;
  out["chunks"] = report.chunks;
  out["bytes"] = report.bytes;
  out["unchecked_items"] = to_json(report.unchecked_items);
  boost::json::array damages;
  for (const Damage& damage : report.damages) damages.push_back(damage_json(damage));
  out["damages"] = std::move(damages);
  return out;
}

void print_report(Step step, const VerifyReport& report) {
  std::string line = fmt::format("step {}: {}, {}, {}, {} read\n", step,
                                 report.ok() ? "good" : "DAMAGED", counted(report.arrays, "array"),
                                 counted(report.chunks, "good chunk"), human_bytes(report.bytes));
  for (const std::string& name : report.unchecked_items) {
    line += fmt::format("  not checked: item '{}', of a kind that Cairn does not know\n",
                        printable(name));
  }
  for (const Damage& damage : report.damages) line += "  " + printable(damage.message) + "\n";
  print(line);
}

/// What came of one step.
struct Outcome {
  Step step = 0;
  VerifyReport report;
  std::optional<Error> error;  ///< why it could not be checked
  bool gone = false;           ///< deleted since it was listed
  [[nodiscard]] int status() const { return error ? kCouldNotRun : report.ok() ? kGood : kDamage; }
};

Outcome verify(const std::shared_ptr<engine::Engine>& engine, const std::string& root, Step step) {
  Outcome outcome;
  outcome.step = step;
  outcome.report.path = step_path(root, step);
  try {
    outcome.report = verify_step(engine, outcome.report.path).get();
  } catch (const Error& error) {
    outcome.gone = error.code() == ErrorCode::step_deleted || error.code() == ErrorCode::not_found;
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
  out["step"] = outcome.step;
  out["path"] = outcome.report.path;
  out["ok"] = false;
  out["error"] = error_json(to_string(outcome.error->code()), outcome.error->what()).at("error");
  return out;
}

void print_outcome(const Outcome& outcome) {
  if (!outcome.error) return print_report(outcome.step, outcome.report);
  print(
      fmt::format("step {}: NOT CHECKED\n  {}\n", outcome.step, printable(outcome.error->what())));
}

}  // namespace

int run_verify(const Settings& settings, const VerifyOptions& options) {
  const auto engine = make_engine(settings);
  std::vector<Step> steps;
  if (options.step) {
    steps.push_back(pick_step(engine, options.root, options.step));
  } else {
    steps = list_steps(engine, options.root).get();
    if (steps.empty()) throw make_error(ErrorCode::not_found, "there is no step", options.root);
  }
  int status = kGood;
  boost::json::array outcomes;
  for (const Step step : steps) {
    const Outcome outcome = verify(engine, options.root, step);
    if (outcome.gone && !options.step) continue;
    status = worse_status(status, outcome.status());
    if (settings.json) {
      outcomes.push_back(outcome_json(outcome));
    } else {
      print_outcome(outcome);
    }
  }
  if (settings.json) {
    boost::json::object out;
    out["root"] = options.root;
    out["ok"] = status == kGood;
    out["steps"] = std::move(outcomes);
    print_json(out);
  }
  return status;
}

}  // namespace cairn::cli

// When the caller has its arrays back: save() itself, and staged().

#include <algorithm>

#include "report/context.h"
#include "report/copies.h"
#include "report/saving.h"

namespace cairn::bench {
namespace {

/// What a copy is measured with fits the default staging memory several times.
constexpr std::uint64_t kCopiedBytes = std::uint64_t{1} << 30;

/// How long save() took, in turns: when nothing of the save before is left to do, and as soon as
/// that has committed, while the engine reads it back and removes the one before it.
struct Returns {
  std::vector<double> quiet_ms;
  std::vector<double> busy_ms;
};
Returns take_returns(CheckpointManager& manager, const Workload& state, int saves) {
  Returns returns;
  for (Step step = 0; step < 2 * saves; ++step) {
    const bool quiet = step % 2 == 0;
    if (quiet) manager.wait_until_finished().get();
    Tree tree = views_of(state);
    const Stopwatch watch;
    const SaveFuture future = manager.save(step, std::move(tree));
    (quiet ? returns.quiet_ms : returns.busy_ms).push_back(watch.seconds() * 1e3);
    static_cast<void>(future.get());
  }
  return returns;
}

void measure_returns(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "returns");
  const Workload state = make_workload("tiny", 0, context.settings.seed);
  ManagerOptions options;
  options.engine = make_engine({});
  options.max_to_keep = 1;
  CheckpointManager manager((work / "root").string(), options);
  const int saves = context.settings.quick ? 10 : 100;
  const Returns returns = take_returns(manager, state, saves);
  const auto add = [&](const char* name, const std::vector<double>& ms, const char* when) {
    report.add({name,
                percentile(ms, 0.99),
                "ms",
                {},
                {},
                saves,
                "p99; median " + figure_text(percentile(ms, 0.5)) + " ms; " +
                    std::to_string(state.arrays.size()) + " leaves; " + when});
  };
  add("save_returns", returns.quiet_ms, "the save before is over");
  add("save_returns_busy", returns.busy_ms,
      "the save before has just committed, is read back, and the one before that removed");
}

void measure_copy(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "staged_copy");
  const std::uint64_t bytes = std::min(context.settings.bytes, kCopiedBytes);
  const Workload state = make_workload("llama", bytes, context.settings.seed);
  engine::EngineOptions options;
  options.staging_bytes = bytes + bytes / 4;
  const auto engine = make_engine(std::move(options));
  Saver saver(work / "root", engine, Codec::raw(), state);
  Copier copier(state, engine->stats().cpu_threads);
  saver.save();
  copier.copy();
  const auto figures = take_turns(
      context.settings.rounds,
      {[&](int) { return copier.copy(); },
       [&](int) { return static_cast<double>(state.bytes()) / 1e9 / saver.save().staged_s; }});
  report.add(compared("staged_copy", "GB/s", figures[1], figures[0],
                      std::to_string(engine->stats().cpu_threads) + " threads"));
}

void measure_half(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "staged_half");
  const Workload state = make_workload("llama", context.settings.bytes, context.settings.seed);
  engine::EngineOptions options;
  options.staging_bytes = context.settings.bytes / 2;
  Saver saver(work / "root", make_engine(std::move(options)), Codec::raw(), state);
  saver.save();
  const auto figures = take_turns(
      context.settings.rounds,
      {[&](int round) {
         const std::string name = "fio." + std::to_string(round);
         return run_fio(context.fio.write, work / name, context.settings.bytes).gb_per_s;
       },
       [&](int) { return static_cast<double>(state.bytes()) / 1e9 / saver.save().staged_s; }});
  report.add(compared("staged_half", "GB/s", figures[1], figures[0]));
}

}  // namespace

void measure_staging(const Context& context, Report& report) {
  measure_returns(context, report);
  measure_copy(context, report);
  measure_half(context, report);
}

}  // namespace cairn::bench

// When the caller has its arrays back: save() itself, and staged().

#include <fmt/format.h>

#include <algorithm>

#include "report/context.h"
#include "report/copies.h"
#include "report/others_load.h"
#include "report/saving.h"

namespace cairn::bench {
namespace {

/// What a copy is measured with fits the default staging memory several times.
constexpr std::uint64_t kCopiedBytes = std::uint64_t{1} << 30;

/// How long calls of save() took, in turns: when nothing of the save before is left to do, and as
/// soon as that has committed, while the engine reads it back and removes the one before it.
struct Returns {
  std::vector<double> quiet_ms;
  std::vector<double> busy_ms;

  void append(const Returns& more) {
    quiet_ms.insert(quiet_ms.end(), more.quiet_ms.begin(), more.quiet_ms.end());
    busy_ms.insert(busy_ms.end(), more.busy_ms.begin(), more.busy_ms.end());
  }
  /// The worse of the two kinds'.
  [[nodiscard]] double p99() const {
    return std::max(percentile(quiet_ms, 0.99), percentile(busy_ms, 0.99));
  }
};

/// The calls come in blocks of so many pairs. One takes 0.1 ms, and when the host of a virtual
/// machine runs others on its core, some milliseconds.
constexpr int kBlockPairs = 10;
/// A block in which the host took more of the cores' busy time is made again, once for each that is
/// wanted at most.
constexpr double kStealMax = 0.01;

Returns take_block(CheckpointManager& manager, const Workload& state, Step& step) {
  const auto save = [&](Tree tree, std::vector<double>& ms) {
    const Stopwatch watch;
    SaveFuture future = manager.save(step++, std::move(tree));
    ms.push_back(watch.seconds() * 1e3);
    return future;
  };
  Returns returns;
  for (int i = 0; i < kBlockPairs; ++i) {
    manager.wait_until_finished().get();
    const SaveFuture quiet = save(views_of(state), returns.quiet_ms);
    Tree tree = views_of(state);
    static_cast<void>(quiet.get());
    static_cast<void>(save(std::move(tree), returns.busy_ms).get());
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
  const int blocks = context.settings.quick ? 1 : 10;
  Returns kept;
  Returns all;
  Step step = 0;
  int again = 0;
  int stolen = 0;
  for (int block = 0; block < blocks;) {
    const OthersLoad others;
    const Returns more = take_block(manager, state, step);
    all.append(more);
    const bool busy_host = others.stolen().value_or(0) > kStealMax;
    if (busy_host && again < blocks) {
      ++again;
      continue;
    }
    kept.append(more);
    stolen += busy_host ? 1 : 0;
    ++block;
  }
  std::string note = fmt::format(
      "{} leaves; {} calls each, median and p99 when the save before is over {} and {} ms, right "
      "after it has committed {} and {}",
      state.arrays.size(), kept.quiet_ms.size(), figure_text(percentile(kept.quiet_ms, 0.5)),
      figure_text(percentile(kept.quiet_ms, 0.99)), figure_text(percentile(kept.busy_ms, 0.5)),
      figure_text(percentile(kept.busy_ms, 0.99)));
  if (again > 0) {
    note += fmt::format(
        "; {} blocks of {} calls were made again, as the host took more than {:.0f} % of the busy "
        "time, and {} of the {} that count were no better: of all calls p99 was {} ms",
        again, 2 * kBlockPairs, kStealMax * 100, stolen, blocks, figure_text(all.p99()));
  }
  report.add({"save_returns", kept.p99(), "ms", {}, {}, blocks * kBlockPairs, note});
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
  saver.warm_up();
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
  saver.warm_up();
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

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

/// How long save() took, in turns: when nothing of the save before is left to do, and as soon as
/// that has committed, while the engine reads it back and removes the one before it.
struct Returns {
  std::vector<double> quiet_ms;
  std::vector<double> busy_ms;

  void append(const Returns& more) {
    quiet_ms.insert(quiet_ms.end(), more.quiet_ms.begin(), more.quiet_ms.end());
    busy_ms.insert(busy_ms.end(), more.busy_ms.begin(), more.busy_ms.end());
  }
};

/// The calls come in blocks of so many pairs. A call takes 0.1 ms, and the host of a virtual
/// machine that runs others on the core takes 5: a block during which it did more than this is made
/// again.
constexpr int kBlockPairs = 10;
constexpr double kStealMax = 0.01;

Returns take_block(CheckpointManager& manager, const Workload& state, Step& step) {
  Returns returns;
  for (int i = 0; i < 2 * kBlockPairs; ++i) {
    const bool quiet = i % 2 == 0;
    if (quiet) manager.wait_until_finished().get();
    Tree tree = views_of(state);
    const Stopwatch watch;
    const SaveFuture future = manager.save(step++, std::move(tree));
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
  const int blocks = context.settings.quick ? 1 : 10;
  Returns returns;
  Step step = 0;
  int again = 0;  // as many as there are, at most
  for (int block = 0; block < blocks;) {
    const OthersLoad others;
    const Returns more = take_block(manager, state, step);
    if (others.stolen() > kStealMax && again < blocks) {
      ++again;
      continue;
    }
    returns.append(more);
    ++block;
  }
  const int saves = blocks * kBlockPairs;
  const auto add = [&](const char* name, const std::vector<double>& ms, const char* when) {
    std::string note = fmt::format("p99; median {} ms; {} leaves; {}",
                                   figure_text(percentile(ms, 0.5)), state.arrays.size(), when);
    if (again > 0) {
      note += fmt::format(
          "; {} of {} blocks were made again, as the host took more than {:.0f} % of the cores",
          again, blocks + again, kStealMax * 100);
    }
    report.add({name, percentile(ms, 0.99), "ms", {}, {}, saves, note});
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

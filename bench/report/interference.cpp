// What a save costs those who work beside it: a trainer on all cores but one, and a server that
// answers messages. Blocks of steps without and with saves take turns; in a block with saves one
// follows the other, which no trainer does: what is shown is a step during a save. A trainer also
// has beside it what no save can do without: writes, and a core that is busy.

#include <cairn/engine/cpu_pool.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "report/context.h"
#include "report/echo.h"
#include "report/neighbors.h"
#include "report/others_load.h"
#include "report/save_stream.h"
#include "report/trainer_load.h"

namespace cairn::bench {
namespace {

struct Plan {
  int rounds = 7;
  /// A round of the trainer takes so many turns: the machine's speed drifts within seconds.
  int turns = 5;
  std::size_t steps = 90;        ///< of each thread in a turn, at least: half a second
  std::size_t other_steps = 40;  ///< likewise, beside other saves and writes
  int echo_rounds = 7;
  std::size_t messages = 1500;  ///< likewise, in a block: 1.5 s
  std::uint64_t bytes = kTrainerStateBytes;
  double save_s = 1.5;  ///< a state that takes longer is cut down
};
Plan plan_of(const Settings& settings) {
  Plan plan;
  if (settings.quick) {
    plan.rounds = 5;
    plan.turns = 2;
    plan.steps = 50;
    plan.other_steps = 30;
    plan.echo_rounds = 3;
    plan.messages = 600;
    plan.bytes = std::uint64_t{256} << 20;
    plan.save_s = 0.4;
  } else {
    plan.rounds = plan.echo_rounds = std::max(plan.rounds, settings.rounds);
  }
  return plan;
}

constexpr std::chrono::duration<double> kStepTime = std::chrono::milliseconds(5);
constexpr std::chrono::nanoseconds kMessageInterval = std::chrono::milliseconds(1);
constexpr std::uint64_t kSmallestState = std::uint64_t{64} << 20;
/// Fewer than this and one of 1000 says nothing.
constexpr std::size_t kSamplesForP999 = 2000;
/// Where other processes take more of the cores, steps wait for them rather than for a save.
constexpr double kOthersMax = 0.05;

using Block = std::vector<double>;  ///< seconds of each turn
using Statistic = std::function<double(const Block&)>;

double mean(const Block& block) {
  return std::accumulate(block.begin(), block.end(), 0.0) / static_cast<double>(block.size());
}
Statistic at_share(double share) {
  return [share](const Block& block) { return percentile(block, share); };
}

/// The blocks of one loop, round by round, without and with something beside it.
struct Compared {
  std::vector<Block> without;
  std::vector<Block> with;

  /// All turns of all rounds, each over the median of its round's block without: the machine's
  /// drift from round to round is out of them.
  [[nodiscard]] Block pooled(const std::vector<Block>& blocks) const {
    Block all;
    for (std::size_t round = 0; round < blocks.size(); ++round) {
      const double unit = percentile(without[round], 0.5);
      for (const double seconds : blocks[round]) all.push_back(seconds / unit);
    }
    return all;
  }
  /// How many percent more it is with what is beside.
  [[nodiscard]] double more_percent(const Statistic& statistic) const {
    return (statistic(pooled(with)) / statistic(pooled(without)) - 1) * 100;
  }
  /// The same of the second halves of the blocks without over their first halves: what the machine
  /// does by itself.
  [[nodiscard]] double noise_percent(const Statistic& statistic) const {
    std::vector<Block> first;
    std::vector<Block> second;
    for (const Block& block : without) {
      const auto middle = block.begin() + static_cast<std::ptrdiff_t>(block.size() / 2);
      first.emplace_back(block.begin(), middle);
      second.emplace_back(middle, block.end());
    }
    return (statistic(pooled(second)) / statistic(pooled(first)) - 1) * 100;
  }
  [[nodiscard]] static std::vector<double> by_round(const std::vector<Block>& blocks,
                                                    const Statistic& statistic) {
    std::vector<double> figures;
    for (const Block& block : blocks) figures.push_back(statistic(block));
    return figures;
  }
  [[nodiscard]] Spread ratio(const Statistic& statistic) const {
    return ratio_of(by_round(with, statistic), by_round(without, statistic));
  }
  /// Of all turns of all rounds as they are, in seconds.
  [[nodiscard]] static double figure(const std::vector<Block>& blocks, const Statistic& statistic) {
    Block all;
    for (const Block& block : blocks) all.insert(all.end(), block.begin(), block.end());
    return statistic(all);
  }
  [[nodiscard]] static std::size_t count(const std::vector<Block>& blocks) {
    std::size_t sum = 0;
    for (const Block& block : blocks) sum += block.size();
    return sum;
  }
};

void add_percentiles(Report& report, const std::string& plot, const std::string& series,
                     const std::vector<Block>& blocks, double unit) {
  report.name_axes(plot, "percentile", plot);
  for (const double percent : {10.0, 50.0, 90.0, 95.0, 99.0})
    report.add_point(plot, series, percent,
                     Compared::figure(blocks, at_share(percent / 100)) / unit);
}

// ---- the trainer --------------------------------------------------------------------------------

/// What the turns gave, round by round: beside each neighbor.
struct TrainerTurns {
  TrainerTurns(std::size_t neighbors, std::size_t rounds)
      : without(rounds),
        with(neighbors, std::vector<Block>(rounds)),
        saves(neighbors, std::vector<SavesDone>(rounds)),
        alone(rounds) {}
  std::vector<Block> without;
  std::vector<std::vector<Block>> with;
  std::vector<std::vector<SavesDone>> saves;
  std::vector<SavesDone> alone;     ///< without a trainer
  std::vector<double> others_load;  ///< in the turns without saves
};

void append(Block& block, const Block& more) {
  block.insert(block.end(), more.begin(), more.end());
}

std::vector<double> gb_per_s(const std::vector<SavesDone>& saves) {
  std::vector<double> figures;
  for (const SavesDone& done : saves) figures.push_back(done.gb_per_s());
  return figures;
}

/// Steps with nothing beside them, steps beside each of `neighbors`, and saves like `alone` without
/// a trainer.
TrainerTurns take_trainer_turns(TrainerLoad& trainer, const Plan& plan,
                                const std::vector<Neighbor>& neighbors, const SaveKind& alone,
                                const Workload& state, SaveRoom& room) {
  SaveStream(alone, state, room).run([] { return true; });
  TrainerTurns turns(neighbors.size(), static_cast<std::size_t>(plan.rounds));
  const auto round_of = [&](int turn) { return static_cast<std::size_t>(turn / plan.turns); };
  std::vector<Side> sides;
  sides.emplace_back([&](int turn) {
    const OthersLoad others;
    append(turns.without[round_of(turn)], trainer.run(plan.steps, nothing_beside));
    turns.others_load.push_back(others.share());
    return 0.0;
  });
  for (std::size_t i = 0; i < neighbors.size(); ++i)
    sides.emplace_back([&, i](int turn) {
      SavesDone done;
      append(turns.with[i][round_of(turn)], neighbors[i].steps_beside(done));
      turns.saves[i][round_of(turn)] += done;
      return 0.0;
    });
  sides.emplace_back([&](int turn) {
    SaveStream stream(alone, state, room);
    const Stopwatch watch;
    const double long_enough = kStepTime.count() * static_cast<double>(plan.steps) / 2;
    turns.alone[round_of(turn)] += stream.run([&] { return watch.seconds() >= long_enough; });
    return 0.0;
  });
  static_cast<void>(take_turns(plan.rounds * plan.turns, sides));
  return turns;
}

/// Milliseconds that each thread lost for each GB saved.
double lost_ms_per_gb(const Compared& compared, const std::vector<SavesDone>& saves,
                      std::size_t threads) {
  double lost_s = 0;
  double gb = 0;
  for (std::size_t round = 0; round < saves.size(); ++round) {
    const Block& with = compared.with[round];
    lost_s += (mean(with) - mean(compared.without[round])) * static_cast<double>(with.size());
    gb += static_cast<double>(saves[round].bytes) / 1e9;
  }
  return lost_s * 1e3 / static_cast<double>(threads) / gb;
}

void add_trainer_rows(const Plan& plan, const Neighbor& neighbor, const Compared& compared,
                      const std::string& setting, Report& report) {
  const std::size_t samples =
      std::min(Compared::count(compared.with), Compared::count(compared.without));
  const auto add = [&](const char* name, const Statistic& statistic) {
    const Spread ratio = compared.ratio(statistic);
    report.add(
        {fmt::format("trainer_{}{}", name, neighbor.suffix),
         (ratio.median - 1) * 100,
         "%",
         {},
         ratio,
         plan.rounds,
         fmt::format(
             "{}; a step {:.2f} ms, with nothing beside it {:.2f} ms, of all rounds together "
             "{:.1f} % more; at least {} steps a side; with nothing beside it the halves "
             "of the blocks differ by {:.1f} %; {}",
             neighbor.what, Compared::figure(compared.with, statistic) * 1e3,
             Compared::figure(compared.without, statistic) * 1e3, compared.more_percent(statistic),
             samples, std::abs(compared.noise_percent(statistic)), setting)});
  };
  add("mean", mean);
  add("p50", at_share(0.5));
  add("p99", at_share(0.99));
  if (samples >= kSamplesForP999) {
    add("p999", at_share(0.999));
  } else {
    report.leave_out(
        "trainer_p999" + neighbor.suffix,
        fmt::format("{} steps a side are too few; the whole report has more", samples));
  }
}

void add_trainer_lost(const Neighbor& neighbor, const Compared& compared, Report& report) {
  const double slower = compared.more_percent(mean) / 100;
  report.add({"trainer_lost" + neighbor.suffix,
              slower / (1 + slower) * 100,
              "%",
              {},
              {},
              static_cast<int>(compared.without.size()),
              neighbor.what + "; of the steps a second of all threads"});
}

void add_trainer_totals(const Neighbor& neighbor, const TrainerTurns& turns, std::size_t place,
                        const Compared& compared, std::size_t threads, Report& report) {
  const int rounds = static_cast<int>(turns.without.size());
  report.add({"trainer_lost_per_gb" + neighbor.suffix,
              lost_ms_per_gb(compared, turns.saves[place], threads),
              "ms/GB",
              {},
              {},
              rounds,
              neighbor.what + "; of each thread's time, for each GB of the state"});
  Row speed{"save_beside_trainer" + neighbor.suffix,
            spread_of(gb_per_s(turns.saves[place])).median,
            "GB/s",
            {},
            {},
            rounds,
            neighbor.what + "; from save to save, GB of the state"};
  if (neighbor.suffix.empty()) {
    speed.reference = spread_of(gb_per_s(turns.alone)).median;
    speed.ratio = ratio_of(gb_per_s(turns.saves[place]), gb_per_s(turns.alone));
    speed.note += "; against the same saves without the trainer";
  }
  report.add(std::move(speed));
}

void measure_trainer(const Plan& plan, const std::vector<SaveKind>& kinds, const Workload& state,
                     SaveRoom& room, Report& report) {
  const unsigned cores = engine::available_cpus();
  const unsigned threads = std::max(cores, 2U) - 1;
  TrainerLoad trainer(threads, kStepTime);
  const std::vector<Neighbor> neighbors =
      neighbors_of(trainer, {plan.steps, plan.other_steps}, kinds, state, room);
  // An engine knows after a while that it is beside a trainer; this one never is.
  SaveKind alone = kinds.front();
  alone.engine = make_engine({});
  const TrainerTurns turns = take_trainer_turns(trainer, plan, neighbors, alone, state, room);
  std::string setting = fmt::format("{} thread{} of a trainer, not pinned, on {} core{}", threads,
                                    threads == 1 ? "" : "s", cores, cores == 1 ? "" : "s");
  if (cores == 1) setting += "; no core is left for the save";
  const double others = spread_of(turns.others_load).median;
  setting += fmt::format("; other processes took {:.0f} % of the cores{}", others * 100,
                         others > kOthersMax ? ": measure again when they are gone" : "");
  const std::string designs = setting + "; the design's row: an engine's defaults";
  add_percentiles(report, "trainer_step_ms", "nothing", turns.without, 1e-3);
  for (std::size_t i = 0; i < neighbors.size(); ++i) {
    const Compared compared{turns.without, turns.with[i]};
    add_trainer_rows(plan, neighbors[i], compared, neighbors[i].suffix.empty() ? designs : setting,
                     report);
    add_trainer_lost(neighbors[i], compared, report);
    if (turns.saves[i].front().bytes > 0)
      add_trainer_totals(neighbors[i], turns, i, compared, trainer.threads(), report);
    add_percentiles(report, "trainer_step_ms", neighbors[i].what, compared.with, 1e-3);
  }
}

// ---- the echo server ----------------------------------------------------------------------------

void measure_echo(const Plan& plan, const SaveKind& kind, const Workload& state, SaveRoom& room,
                  Report& report) {
  EchoServer server;
  EchoClient client(server.port());
  static_cast<void>(client.run(100, kMessageInterval, nothing_beside));
  Compared compared;
  static_cast<void>(take_turns(
      plan.echo_rounds,
      {[&](int) {
         compared.without.push_back(client.run(plan.messages, kMessageInterval, nothing_beside));
         return 0.0;
       },
       [&](int) {
         SaveStream stream(kind, state, room);
         const auto saves = [&](const std::latch& enough) {
           stream.run([&] { return enough.try_wait(); });
         };
         compared.with.push_back(client.run(plan.messages, kMessageInterval, saves));
         return 0.0;
       }}));
  const std::size_t samples =
      std::min(Compared::count(compared.with), Compared::count(compared.without));
  const auto add = [&](const char* name, double share) {
    const Statistic statistic = at_share(share);
    report.add({name, Compared::figure(compared.with, statistic) * 1e6, "us",
                Compared::figure(compared.without, statistic) * 1e6, compared.ratio(statistic),
                plan.echo_rounds,
                fmt::format("{}; round trip of 64 bytes through an Asio server on loopback in the "
                            "same process, 1000 a second, against the same without saves; at least "
                            "{} a side; no trainer",
                            kind.what, samples)});
  };
  add("echo_p50", 0.5);
  add("echo_p99", 0.99);
  if (samples >= kSamplesForP999) {
    add("echo_p999", 0.999);
  } else {
    report.leave_out(
        "echo_p999",
        fmt::format("{} messages a side are too few; the whole report has more", samples));
  }
  add_percentiles(report, "echo_us", "no save", compared.without, 1e-6);
  add_percentiles(report, "echo_us", kind.what, compared.with, 1e-6);
}

// ---- what is saved ------------------------------------------------------------------------------

/// The default is the first, and the design's.
std::vector<SaveKind> kinds_of(const Settings& settings, Report& report) {
  const auto engine = make_engine({});
  std::vector<SaveKind> kinds = {{"", "default options, raw", engine}};
  if (settings.quick) {
    for (const char* kind : {"auto", "borrow"})
      report.leave_out(fmt::format("trainer_mean_{} and its like", kind),
                       "--quick: the whole report has them");
    return kinds;
  }
  kinds.push_back({"_auto", "default options, codec auto", engine, Codec::automatic()});
  kinds.push_back(
      {"_borrow", "default options, raw, borrowed arrays", engine, Codec::raw(), Capture::borrow});
  return kinds;
}

/// Saves each way once, which takes the staging memory from the system; then as much of the state
/// goes as makes a save too long for the report.
void warm_up(const Plan& plan, const std::vector<SaveKind>& kinds, SaveRoom& room,
             Workload& state) {
  const auto once = [] { return true; };
  for (const SaveKind& kind : kinds) SaveStream(kind, state, room).run(once);
  const double seconds = SaveStream(kinds.front(), state, room).run(once).seconds;
  const double share = std::min(plan.save_s / seconds, 1.0);
  const auto bytes = static_cast<std::uint64_t>(share * static_cast<double>(state.bytes()));
  while (state.arrays.size() > 1 && state.bytes() > std::max(bytes, kSmallestState))
    state.arrays.pop_back();
}

}  // namespace

void measure_interference(const Context& context, Report& report) {
  const Settings& settings = context.settings;
  const Plan plan = plan_of(settings);
  SaveRoom room(settings, "interference");
  const std::vector<SaveKind> kinds = kinds_of(settings, report);
  // It fits on the disk often enough, and with the staging of two engines into the memory, of
  // which staging is a quarter.
  const std::uint64_t bytes =
      std::min({plan.bytes, settings.bytes, room.stream_bytes_max() / 2,
                std::uint64_t{kinds.front().engine->staging().capacity()} / 2});
  if (bytes < std::min(kSmallestState, settings.bytes)) {
    report.leave_out(
        "trainer_mean, trainer_p99, echo_p99 and their like",
        fmt::format("{} has too little space: 1 GiB has to be free", settings.directory.string()));
    return;
  }
  Workload state = make_workload(kTrainerState, bytes, settings.seed);
  warm_up(plan, kinds, room, state);
  report.note_machine("interference_path", boost::json::string(path_of(*kinds.front().engine)));
  report.note_machine("interference_bytes", state.bytes());
  measure_trainer(plan, kinds, state, room, report);
  measure_echo(plan, kinds.front(), state, room, report);
}

}  // namespace cairn::bench

// How fast saves are durable, against fio in turns.

#include <cairn/cairn.h>

#include "report/context.h"
#include "report/saving.h"
#include "report/worker.h"
#include "report/workloads.h"

namespace cairn::bench {
namespace {

double gb(std::uint64_t bytes) {
  return static_cast<double>(bytes) / 1e9;
}

/// Saves of a kind and fio in turns; the rows are the caller's.
struct Turns {
  std::vector<double> fio;                ///< GB/s
  std::vector<std::vector<double>> ours;  ///< GB/s, of each saver
};
Turns turns_with_fio(const Context& context, const FioJob& job, const WorkDirectory& work,
                     std::vector<Saver*> savers) {
  const std::uint64_t bytes = savers.front()->bytes();
  std::vector<Side> sides = {[&](int round) {
    return run_fio(job, work / ("fio." + std::to_string(round)), bytes).gb_per_s;
  }};
  for (Saver* saver : savers)
    sides.emplace_back([saver](int) { return gb(saver->bytes()) / saver->save().durable_s; });
  auto figures = take_turns(context.settings.rounds, sides);
  Turns turns;
  turns.fio = std::move(figures.front());
  figures.erase(figures.begin());
  turns.ours = std::move(figures);
  return turns;
}

void measure_uring(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "saves");
  const Workload state = make_workload("llama", context.settings.bytes, context.settings.seed);
  const Workload weights =
      make_workload("llama_bf16", context.settings.bytes, context.settings.seed);
  const auto engine = make_engine({});
  Saver raw(work / "raw", engine, Codec::raw(), state);
  Saver automatic(work / "auto", engine, Codec::automatic(), weights);
  raw.warm_up();
  automatic.warm_up();
  const Turns turns = turns_with_fio(context, context.fio.write, work, {&raw, &automatic});
  const std::string path = path_of(*engine);
  report.note_machine("save_path", boost::json::string(path));
  report.add(compared("save_raw", "GB/s", turns.ours[0], turns.fio, "llama, " + path));
  report.add(compared("save_bf16_auto", "GB/s", turns.ours[1], turns.fio,
                      "stored " + figure_text(automatic.stored_share() * 100) + " % of the bytes"));
  const auto spread = spread_of(raw.cpu_seconds_per_gb());
  report.add(
      {"save_cpu", spread.median, "s/GB", {}, {}, context.settings.rounds, "of the whole process"});
}

void measure_threads(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "saves_threads");
  const Workload state = make_workload("llama", context.settings.bytes, context.settings.seed);
  engine::EngineOptions options;
  options.backend.kind = engine::BackendKind::threads;
  const auto engine = make_engine(std::move(options));
  Saver raw(work / "raw", engine, Codec::raw(), state);
  raw.warm_up();
  const Turns turns = turns_with_fio(context, context.fio.write_psync, work, {&raw});
  report.add(compared("save_raw_threads", "GB/s", turns.ours[0], turns.fio, path_of(*engine)));
}

/// Other states than the design's rows have, all raw: what shapes and sizes cost.
void measure_shapes(const Context& context, Report& report) {
  constexpr std::uint64_t kResnetBytes = 200'000'000;
  if (context.settings.quick) {
    report.leave_out("save_huge, save_resnet, save_odd", "the quick report has no time for them");
    return;
  }
  const auto engine = make_engine({});
  for (const std::string name : {"huge", "resnet", "odd"}) {
    const WorkDirectory work(context.settings, name);
    const std::uint64_t bytes = name == "resnet" ? kResnetBytes : context.settings.bytes;
    const Workload state = make_workload(name, bytes, context.settings.seed);
    Saver saver(work / name, engine, Codec::raw(), state);
    saver.warm_up();
    const Turns turns = turns_with_fio(context, context.fio.write, work, {&saver});
    report.add(compared("save_" + name, "GB/s", turns.ours[0], turns.fio,
                        std::to_string(state.arrays.size()) + " arrays"));
  }
}

/// An embedding of which 1 % of the rows change from step to step.
void measure_sparse(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "sparse");
  Workload state = make_workload("sparse", context.settings.bytes, context.settings.seed);
  const auto engine = make_engine({});
  Saver whole(work / "whole", engine, Codec::raw(), state);
  Saver incremental(work / "incremental", engine, Codec::raw(), state, Saver::Kind::incremental);
  whole.warm_up();
  incremental.save();
  std::vector<double> shares;
  const auto figures =
      take_turns(context.settings.rounds,
                 {[&](int) { return whole.save().durable_s; },
                  [&](int round) {
                    update_rows(state, 0.01, context.settings.seed + static_cast<unsigned>(round));
                    const double seconds = incremental.save().durable_s;
                    shares.push_back(incremental.stored_share());
                    return seconds;
                  }});
  const double share = spread_of(shares).median;
  report.add(compared("sparse_update_save", "s", figures[1], figures[0],
                      "incremental against whole saves of the same state; written " +
                          figure_text(share * 100) + " % of it"));
}

/// The same save with and without its checksums, each in a process of its own, as the one without
/// is another program: codecs/crc32c.h is linked into it with functions that compute nothing.
void measure_crc32c(const Context& context, Report& report) {
  namespace fs = std::filesystem;
  const fs::path other = fs::read_symlink("/proc/self/exe").parent_path() / "report_without_crc32c";
  if (!fs::exists(other)) {
    report.leave_out("crc32c", "there is no " + other.string() + ": build all of bench");
    return;
  }
  const WorkDirectory work(context.settings, "crc32c");
  // A few per cent drown in what the disk does from save to save: many saves, and short ones, so
  // that both of a pair find the disk as fast. What each save costs once weighs a little more then.
  const int rounds = 16 * context.settings.rounds;
  const std::uint64_t bytes = context.settings.bytes / 8;
  const auto arguments = [&](const char* root) {
    return boost::json::object{
        {"root", (work / root).string()}, {"bytes", bytes}, {"seed", context.settings.seed}};
  };
  LivingWorker with("/proc/self/exe", "save", arguments("with"));
  LivingWorker without(other.string(), "save", arguments("without"));
  std::vector<std::vector<double>> cpu(2);
  const auto side = [&cpu](LivingWorker& worker, std::size_t place) {
    return [&cpu, &worker, place](int) {
      const boost::json::object figures = worker.ask();
      cpu[place].push_back(figures.at("cpu_s_per_gb").to_number<double>());
      return figures.at("seconds").to_number<double>();
    };
  };
  // Each has made its state, and saved three times, before the other is measured.
  with.ask();
  without.ask();
  const auto figures = take_turns(rounds, {side(with, 0), side(without, 1)});
  const std::string what = "saves of " + std::to_string(bytes >> 20) + " MiB";
  const Spread ratio = ratio_of(figures[0], figures[1]);
  Row row{"crc32c",
          (ratio.median - 1) * 100,
          "%",
          {},
          {},
          rounds,
          "of the time to durable; " + what + "; single pairs " +
              figure_text((ratio.min - 1) * 100) + " to " + figure_text((ratio.max - 1) * 100) +
              " %; JSON has the seconds of each"};
  row.figures = figures[0];
  row.references = figures[1];
  report.add(std::move(row));
  report.add(compared("crc32c_cpu", "s/GB", cpu[0], cpu[1], "against the same without; " + what));
}

}  // namespace

boost::json::object save_worker(const boost::json::object& arguments) {
  const auto text = [&](const char* name) {
    return std::string(arguments.at(name).as_string().c_str());
  };
  const Workload state = make_workload("llama", arguments.at("bytes").to_number<std::uint64_t>(),
                                       arguments.at("seed").to_number<std::uint64_t>());
  Saver saver(text("root"), make_engine({}), Codec::raw(), state);
  saver.warm_up();
  while (asked()) {
    const double seconds = saver.save().durable_s;
    answer({{"seconds", seconds}, {"cpu_s_per_gb", saver.cpu_seconds_per_gb().back()}});
  }
  return {};
}

void measure_saves(const Context& context, Report& report) {
  measure_uring(context, report);
  measure_threads(context, report);
  measure_crc32c(context, report);
  measure_shapes(context, report);
  measure_sparse(context, report);
}

}  // namespace cairn::bench

// How fast what was saved is back: cold, warm, and in a new process.

#include <cairn/cairn.h>

#include <chrono>
#include <stdexcept>

#include "report/context.h"
#include "report/copies.h"
#include "report/saving.h"
#include "report/worker.h"

namespace cairn::bench {
namespace {

constexpr Step kStep = 0;

std::int64_t steady_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

/// A state on the disk, and memory in use that it is restored into.
class Restorer {
 public:
  Restorer(const std::filesystem::path& root, const std::shared_ptr<engine::Engine>& engine,
           Codec codec, const Workload& state)
      : root_(root), bytes_(state.bytes()), targets_(targets_for(state)) {
    Saver(root, engine, codec, state).save();
    ManagerOptions options;
    options.engine = engine;
    options.read_only = true;
    manager_ = std::make_unique<CheckpointManager>(root.string(), options);
    restore();
    if (const std::string path = first_difference(state, targets_); !path.empty())
      throw std::runtime_error("restored is not what was saved: " + path);
  }
  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
  /// 10^9 bytes per second.
  double restore() {
    Tree target = mutable_views_of(targets_);
    const Stopwatch watch;
    static_cast<void>(manager_->restore(kStep, args::StandardRestore(std::move(target))).get());
    return static_cast<double>(bytes_) / 1e9 / watch.seconds();
  }

 private:
  std::filesystem::path root_;
  std::uint64_t bytes_;
  Workload targets_;
  std::unique_ptr<CheckpointManager> manager_;
};

Side cold(Restorer& restorer) {
  return [&restorer](int) {
    make_cold(restorer.root());
    return restorer.restore();
  };
}

Side fio_read(const Context& context, const std::filesystem::path& file) {
  return [&context, file](int) {
    return run_fio(context.fio.read, file, context.settings.bytes).gb_per_s;
  };
}

/// Writes what fio reads in turns with us.
std::filesystem::path write_reference(const Context& context, const WorkDirectory& work) {
  FioJob write = context.fio.read;
  write.reads = false;
  static_cast<void>(run_fio(write, work / "fio", context.settings.bytes));
  return work / "fio";
}

void measure_into_memory(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "restores");
  const auto engine = make_engine({});
  const Workload state = make_workload("llama", context.settings.bytes, context.settings.seed);
  const Workload weights =
      make_workload("llama_bf16", context.settings.bytes, context.settings.seed);
  Restorer raw(work / "raw", engine, Codec::raw(), state);
  Restorer encoded(work / "encoded", engine, Codec::automatic(), weights);
  const auto figures =
      take_turns(context.settings.rounds,
                 {fio_read(context, write_reference(context, work)), cold(raw), cold(encoded)});
  report.add(
      compared("restore_cold", "GB/s", figures[1], figures[0], "llama, " + path_of(*engine)));
  report.add(compared("restore_cold_bf16", "GB/s", figures[2], figures[0], "auto codec"));
  Copier copier(state, engine->stats().cpu_threads);
  copier.copy();
  const auto warm = take_turns(context.settings.rounds, {[&](int) { return copier.copy(); },
                                                         [&](int) {
                                                           make_warm(raw.root());
                                                           return raw.restore();
                                                         }});
  report.add(compared("restore_warm", "GB/s", warm[1], warm[0], "read into the page cache before"));
}

void measure_restart(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "restart");
  const auto root = work / "root";
  double gb = 0;
  {
    const Workload state = make_workload("llama", context.settings.bytes, context.settings.seed);
    gb = static_cast<double>(state.bytes()) / 1e9;
    Saver(root, make_engine({}), Codec::raw(), state).save();
  }
  const auto restart = [&](int) {
    make_cold(root);
    const boost::json::object arguments{{"root", root.string()}, {"began_ns", steady_ns()}};
    return gb / run_worker("restart", arguments).at("seconds").to_number<double>();
  };
  const auto figures = take_turns(context.settings.rounds,
                                  {fio_read(context, write_reference(context, work)), restart});
  report.add(
      compared("restart", "GB/s", figures[1], figures[0], "cold; the process's start included"));
}

}  // namespace

boost::json::object restart_worker(const boost::json::object& arguments) {
  ManagerOptions options;
  options.read_only = true;
  const std::string root(arguments.at("root").as_string().c_str());
  CheckpointManager manager(root, options);
  const Restored restored = manager.restore().get();
  const std::int64_t taken_ns = steady_ns() - arguments.at("began_ns").to_number<std::int64_t>();
  return {{"seconds", static_cast<double>(taken_ns) / 1e9}, {"step", restored.step()}};
}

void measure_restores(const Context& context, Report& report) {
  measure_into_memory(context, report);
  measure_restart(context, report);
}

}  // namespace cairn::bench

#include "report/peer_runs.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <stdexcept>
#include <thread>
#include <utility>

#include "report/worker.h"

namespace cairn::bench {
namespace {

namespace fs = std::filesystem;
using Object = boost::json::object;

constexpr std::string_view kOurPrefix = "cairn_";
/// What takes longer, save and restores together, runs once.
constexpr double kSlowSeconds = 60;
/// After so long bench/peers, which watches its deadline itself, is killed.
constexpr double kGraceSeconds = 30;

/// What has been saved. The oldest goes where there is too much of it.
class Saves {
 public:
  explicit Saves(const fs::path& directory)
      : bytes_max_(std::min(kBytesMax, fs::space(directory).available / 2)) {}

  void add(const fs::path& path) {
    std::uint64_t bytes = 0;
    for (const auto& entry : fs::recursive_directory_iterator(path))
      if (entry.is_regular_file()) bytes += entry.file_size();
    saves_.emplace_back(path, bytes);
    bytes_ += bytes;
    bool removed = false;
    for (; bytes_ > bytes_max_ && saves_.size() > 1; saves_.pop_front(), removed = true) {
      std::error_code ignored;  // it goes with its directory
      fs::remove_all(saves_.front().first, ignored);
      bytes_ -= saves_.front().second;
    }
    if (!removed) return;
    ::sync();
    std::this_thread::sleep_for(kSettle);
  }

 private:
  static constexpr std::uint64_t kBytesMax = std::uint64_t{24} << 30;
  static constexpr std::chrono::seconds kSettle{1};
  std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
  std::deque<std::pair<fs::path, std::uint64_t>> saves_;
};

struct Run {
  std::string name;
  fs::path root;
  bool verify = false;
};

Object write_with_fio(const PeerPlan& plan, const fs::path& root) {
  fs::create_directories(root);
  const std::uint64_t bytes = fs::file_size(plan.workload);
  const FioFigure figure = run_fio(plan.disk, root / "file", bytes);
  const double seconds = static_cast<double>(bytes) / 1e9 / figure.gb_per_s;
  return {{"durable_s", seconds},
          {"durable_fsync_s", seconds},
          {"cpu_s_per_gb", figure.cpu_seconds_per_gb},
          {"durability", "it ends with an fsync"}};
}

Object save(const PeerPlan& plan, const Run& run) {
  if (run.name == kDiskRun) return write_with_fio(plan, run.root);
  if (run.name.starts_with(kOurPrefix)) {
    return run_worker("peer", {{"mode", "save"},
                               {"safetensors", plan.workload.string()},
                               {"root", run.root.string()},
                               {"codec", run.name.substr(kOurPrefix.size())}});
  }
  return run_peer(plan.python, plan.deadline,
                  {"--peer", run.name, "--workload", plan.workload, "--directory", run.root});
}

Object restore(const PeerPlan& plan, const Run& run) {
  if (run.name == kDiskRun) return {};
  if (run.name.starts_with(kOurPrefix)) {
    return run_worker("peer", {{"mode", "restore"},
                               {"safetensors", plan.workload.string()},
                               {"root", run.root.string()},
                               {"warm", plan.warm},
                               {"verify", run.verify}});
  }
  std::vector<std::string> arguments = {"--restore",   "--peer",      run.name, "--workload",
                                        plan.workload, "--directory", run.root};
  if (!plan.warm) arguments.emplace_back("--no-warm");
  if (run.verify) arguments.emplace_back("--verify");
  return run_peer(plan.python, plan.deadline, std::move(arguments));
}

/// One library, round after round.
class Contestant {
 public:
  Contestant(const PeerPlan& plan, Saves& saves, PeerResult& result)
      : plan_(plan), saves_(saves), result_(result) {}

  double turn(int round) {
    if (over_) return 0;
    const Run run{result_.name,
                  fs::absolute(plan_.directory) / (result_.name + "." + std::to_string(round)),
                  round == 0};
    const Stopwatch watch;
    try {
      keep(save(plan_, run));
      keep(restore(plan_, run));
      make_cold(run.root);  // the next one is to find the same page cache
      saves_.add(run.root);
    } catch (const std::exception& error) {
      result_.error = error.what();
    }
    std::fprintf(stderr, "   %s: %.1f s%s\n", run.root.filename().c_str(), watch.seconds(),
                 result_.error.empty() ? "" : ", failed");
    over_ = !result_.error.empty() || watch.seconds() > kSlowSeconds;
    return watch.seconds();
  }

 private:
  void keep(const Object& printed) {
    for (const auto& [name, value] : printed) {
      if (value.is_number()) result_.figures[name].push_back(value.to_number<double>());
      if (name == "durability") result_.durability = value.as_string().c_str();
    }
  }

  const PeerPlan& plan_;
  Saves& saves_;
  PeerResult& result_;
  bool over_ = false;
};

fs::path peers_directory() {
  return source_directory() / "bench/peers";
}

}  // namespace

std::vector<double> PeerResult::of(const std::string& figure) const {
  const auto found = figures.find(figure);
  return !error.empty() || found == figures.end() ? std::vector<double>() : found->second;
}

std::vector<PeerResult> run_peers(const PeerPlan& plan) {
  fs::create_directories(plan.directory);
  Saves saves(plan.directory);
  std::vector<PeerResult> results;
  for (const std::string& name : plan.names) results.push_back({name});
  std::vector<Contestant> contestants;
  for (PeerResult& result : results) contestants.emplace_back(plan, saves, result);
  std::vector<Side> sides;
  for (Contestant& contestant : contestants)
    sides.emplace_back([&contestant](int round) { return contestant.turn(round); });
  static_cast<void>(take_turns(plan.rounds, sides));
  return results;
}

boost::json::object run_peer(const fs::path& python, double deadline,
                             std::vector<std::string> arguments) {
  std::vector<std::string> command = {
      "timeout",       "--kill-after=5",           std::to_string(deadline + kGraceSeconds),
      python.string(), peers_directory().string(), "--json",
      "--deadline",    std::to_string(deadline)};
  std::ranges::move(arguments, std::back_inserter(command));
  Object printed = run_program(command).printed;
  if (const boost::json::value* error = printed.if_contains("error"))
    throw std::runtime_error(error->as_string().c_str());
  return printed;
}

}  // namespace cairn::bench

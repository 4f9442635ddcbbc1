// What a root with very many steps costs: opening it, listing it, saving into it, restoring from
// it; and what managers cost that are opened and closed again. The steps are hard-linked copies of
// one that was saved; everything is removed at the end.

#include <cairn/cairn.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Settings {
  std::string directory = ".";
  cairn::Step steps = 10'000;
  int opens = 200;
  int rounds = 9;
  bool json = false;
};

double ms_of(const std::function<void()>& call) {
  const auto begin = Clock::now();
  call();
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

/// The median of some rounds.
double median_ms(int rounds, const std::function<void()>& call) {
  std::vector<double> all;
  for (int round = 0; round < rounds; ++round) all.push_back(ms_of(call));
  std::ranges::sort(all);
  return all[all.size() / 2];
}

cairn::Tree state(cairn::Step step) {
  return cairn::Tree(cairn::Dict{{"step", cairn::Tree(step)},
                                 {"w", cairn::Tree(cairn::Array(cairn::DType::float32, {256}))}});
}

void make_steps(const fs::path& root, const cairn::ManagerOptions& options, cairn::Step steps) {
  {
    cairn::CheckpointManager manager(root, options);
    static_cast<void>(manager.save(0, state(0)).get());
  }
  for (cairn::Step step = 1; step < steps; ++step) {
    fs::copy(root / "0", root / std::to_string(step),
             fs::copy_options::recursive | fs::copy_options::create_hard_links);
  }
}

boost::json::object measure(const Settings& settings, const fs::path& work) {
  const fs::path root = work / "many";
  cairn::ManagerOptions options;
  options.engine = cairn::engine::Engine::create();
  make_steps(root, options, settings.steps);
  boost::json::object report{{"steps", settings.steps}, {"opens", settings.opens}};

  report["open_ms"] = median_ms(settings.rounds, [&] { cairn::CheckpointManager(root, options); });
  cairn::ManagerOptions judging = options;  // these rules ask for each step's metadata
  judging.max_to_keep = settings.steps;
  judging.keep_time_interval = std::chrono::hours(1);
  report["open_reading_metadata_ms"] =
      median_ms(settings.rounds, [&] { cairn::CheckpointManager(root, judging); });

  cairn::CheckpointManager manager(root, judging);
  const auto look = [&manager] { static_cast<void>(manager.all_steps(true)); };
  report["reload_ms"] = median_ms(settings.rounds, look);
  constexpr int kCalls = 1000;
  report["latest_step_us"] = ms_of([&manager] {
                               for (int i = 0; i < kCalls; ++i)
                                 static_cast<void>(manager.latest_step());
                             }) *
                             1000 / kCalls;
  report["restore_latest_ms"] =
      median_ms(settings.rounds, [&manager] { static_cast<void>(manager.restore().get()); });
  // Each pushes the oldest step out.
  cairn::Step next = settings.steps;
  report["save_ms"] = median_ms(settings.rounds, [&manager, &next] {
    static_cast<void>(manager.save(next, state(next)).get());
    ++next;
    manager.wait_until_finished().get();
  });
  manager.close().get();

  const fs::path small = work / "one";
  make_steps(small, options, 1);
  report["opens_ms"] = ms_of([&] {
    for (int i = 0; i < settings.opens; ++i) cairn::CheckpointManager(small, options);
  });
  report["opens_with_own_engine_ms"] = ms_of([&] {
    for (int i = 0; i < settings.opens; ++i) {
      options.engine = cairn::engine::Engine::create();
      cairn::CheckpointManager(small, options);
    }
  });
  return report;
}

int run(const Settings& settings) {
  const fs::path work =
      fs::path(settings.directory) / ("cairn-many-steps-" + std::to_string(::getpid()));
  const boost::json::object report = measure(settings, work);
  fs::remove_all(work);
  if (settings.json) {
    std::printf("%s\n", boost::json::serialize(report).c_str());
    return 0;
  }
  const auto number = [&report](const char* name) { return report.at(name).as_double(); };
  std::printf(
      "%lld steps in a root: open %.1f ms, reading their metadata %.1f ms, reload %.1f ms\n",
      static_cast<long long>(settings.steps), number("open_ms"), number("open_reading_metadata_ms"),
      number("reload_ms"));
  std::printf("there: latest_step() %.2f us, restore %.1f ms, save and deletion of one %.1f ms\n",
              number("latest_step_us"), number("restore_latest_ms"), number("save_ms"));
  std::printf("%d managers opened and closed: %.1f ms, with an engine each %.1f ms\n",
              settings.opens, number("opens_ms"), number("opens_with_own_engine_ms"));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times of a root with very many steps, and of very many managers");
  Settings settings;
  app.add_option("--dir", settings.directory, "where to write")->capture_default_str();
  app.add_option("--steps", settings.steps, "steps in the root")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--opens", settings.opens, "managers that are opened and closed")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  app.add_option("--rounds", settings.rounds, "of each measurement; the median counts")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_flag("--json", settings.json, "one JSON object instead of lines");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "many_steps: %s\n", error.what());
    return 2;
  }
}

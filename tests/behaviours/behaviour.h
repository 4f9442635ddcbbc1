#pragma once
// What the tests of behaviours share: a root, a clock that stands still, a disk that can fail.

#include <gmock/gmock.h>

#include <chrono>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "support/manager_fixture.h"

namespace cairn::test {

using namespace std::chrono_literals;
using Steps = std::vector<Step>;

class BehaviourTest : public ManagerTest {
 protected:
  /// Managers of one test share one engine.
  [[nodiscard]] ManagerOptions given() {
    if (!engine_) {
      EngineSettings settings;
      settings.clock = clock_;
      settings.faults = faults_;
      engine_ = make_engine(GetParam(), settings);
    }
    ManagerOptions options;
    options.engine = engine_;
    return options;
  }
  /// A tree that tells its step.
  [[nodiscard]] static Dict state(std::int64_t value) {
    Array w(DType::float32, {3, 5});
    for (float& element : w.values<float>()) element = static_cast<float>(value);
    return Dict{{"step", Tree(value)}, {"w", Tree(std::move(w))}};
  }
  [[nodiscard]] static boost::json::object loss(double value) {
    boost::json::object metrics;
    metrics["loss"] = value;
    return metrics;
  }
  [[nodiscard]] static double loss_of(const boost::json::object& metrics) {
    return metrics.at("loss").as_double();
  }
  static SaveResult save(CheckpointManager& manager, Step step, bool force = false) {
    SaveOptions options;
    options.force = force;
    return manager.save(step, state(step), std::move(options)).get();
  }
  static SaveResult save(CheckpointManager& manager, Step step, boost::json::object metrics) {
    SaveOptions options;
    options.metrics = std::move(metrics);
    return manager.save(step, state(step), std::move(options)).get();
  }
  /// Saves each; waits for what they push out.
  static void save_all(CheckpointManager& manager, Step first, Step last) {
    for (Step step = first; step <= last; ++step) static_cast<void>(save(manager, step));
    manager.wait_until_finished().get();
  }
  /// One save an hour.
  void save_hourly(CheckpointManager& manager, Step first, Step last) {
    for (Step step = first; step <= last; ++step) {
      static_cast<void>(save(manager, step));
      manager.wait_until_finished().get();
      clock_->advance(1h);
    }
  }
  /// What a step was saved with.
  static std::int64_t value_of(CheckpointManager& manager, std::optional<Step> step = {}) {
    return manager.restore(step).get().tree().at("step").as<std::int64_t>();
  }
  /// A step loses its name.
  [[nodiscard]] static bool is_deletion(const engine::IoRequest& request) {
    return request.op == engine::IoOp::rename &&
           request.path2.find("-deleted-") != std::string::npos;
  }
  [[nodiscard]] bool exists(const std::string& below) const {
    return std::filesystem::exists(root() + "/" + below);
  }
  void make_directory(const std::string& below) const {
    std::filesystem::create_directories(root() + "/" + below);
  }
  void write_text(const std::string& below, const std::string& text) const {
    std::ofstream(root() + "/" + below) << text;
  }
  [[nodiscard]] std::string read_text(const std::string& below) const {
    std::ifstream file(root() + "/" + below);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::shared_ptr<engine::ManualClock> clock_ = std::make_shared<engine::ManualClock>();
  std::shared_ptr<engine::FaultPlan> faults_ = std::make_shared<engine::FaultPlan>();

 private:
  std::shared_ptr<engine::Engine> engine_;
};

}  // namespace cairn::test

/// The suite of a behaviour, on every backend.
#define CAIRN_BEHAVIOUR(row)                      \
  class row : public cairn::test::BehaviourTest { \
   protected:                                     \
    using Steps = cairn::test::Steps;             \
  };                                              \
  CAIRN_ON_EVERY_BACKEND(row)

// Random sequences of calls to a CheckpointManager, each beside a model of it. One that differs is
// shortened and printed; the environment variables that are printed with it play it alone.

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "model/player.h"
#include "support/manager_fixture.h"
#include "support/sanitized.h"
#include "support/seed.h"

namespace cairn::model {
namespace {

/// Instrumented, a sequence takes many times as long.
constexpr int kSequences = test::kSanitized ? 400 : 10'000;
constexpr int kShards = 8;
constexpr int kShrinkRunsMax = 400;

/// CAIRN_TEST_SEQUENCES=1 with the seed of one sequence plays it alone.
int sequence_count() {
  const char* given = std::getenv("CAIRN_TEST_SEQUENCES");
  return given == nullptr ? kSequences : std::atoi(given);
}

Machine make_machine(engine::BackendKind kind) {
  Machine machine;
  machine.faults = std::make_shared<engine::FaultPlan>();
  machine.clock = std::make_shared<engine::ManualClock>();
  test::EngineSettings settings;
  settings.staging_bytes = 16u << 20;
  settings.io_window_bytes = 16u << 20;
  settings.faults = machine.faults;
  settings.clock = machine.clock;
  machine.engine = test::make_engine(kind, settings);
  return machine;
}

class ModelTest : public ::testing::TestWithParam<std::tuple<engine::BackendKind, int>> {
 protected:
  /// The first difference, or empty.
  std::string play(const Sequence& sequence) {
    const test::TempDirectory root = test::TempDirectory::in_memory();
    Player player(machine_, (root / "root").string());
    return player.play(sequence);
  }
  /// Leaves out what the difference does not need.
  Sequence shrink(Sequence sequence) {
    int runs = 0;
    for (bool shrunk = true; shrunk && runs < kShrinkRunsMax;) {
      shrunk = false;
      for (std::size_t i = sequence.operations.size(); i-- > 0 && runs < kShrinkRunsMax; ++runs) {
        Sequence shorter = sequence;
        shorter.operations.erase(shorter.operations.begin() + static_cast<std::ptrdiff_t>(i));
        if (play(shorter).empty()) continue;
        sequence = std::move(shorter);
        shrunk = true;
      }
    }
    return sequence;
  }

 private:
  Machine machine_ = make_machine(std::get<0>(GetParam()));
};

TEST_P(ModelTest, AgreesOnEverySequence) {
  const std::uint64_t seed = test::make_seed();
  const int count = sequence_count();
  for (int i = std::get<1>(GetParam()); i < count; i += kShards) {
    const std::uint64_t own = seed + static_cast<std::uint64_t>(i);
    const Sequence sequence = make_sequence(own);
    if (play(sequence).empty()) continue;
    const Sequence shorter = shrink(sequence);
    FAIL() << play(shorter) << "\n"
           << text_of(shorter) << "Alone: CAIRN_TEST_SEED=" << own << " CAIRN_TEST_SEQUENCES=1";
  }
}

INSTANTIATE_TEST_SUITE_P(Backend, ModelTest,
                         ::testing::Combine(::testing::ValuesIn(test::backend_kinds()),
                                            ::testing::Range(0, kShards)),
                         [](const ::testing::TestParamInfo<ModelTest::ParamType>& of) {
                           return test::to_string(std::get<0>(of.param)) + "_" +
                                  std::to_string(std::get<1>(of.param));
                         });

}  // namespace
}  // namespace cairn::model

// Power loss at any moment: the steps that were acknowledged are there, or one change more, and all
// are whole. The model of what a disk may lose is described in engine/recording_backend.h.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "crash/crash_states.h"
#include "support/backends.h"
#include "support/sanitized.h"
#include "support/seed.h"

namespace cairn::test {
namespace {

/// For each prefix.
constexpr std::uint64_t kSeeds = kSanitized ? 1 : 200;
/// Until one shows what a missing sync does: most often the first.
constexpr std::uint64_t kSeedsWithoutASync = 200;
/// Of so many seeds, one is continued.
constexpr std::uint64_t kContinuedOf = kSanitized ? 4 : 100;
/// The same where steps commit by file: there it is whoever goes on that has to tell what was left.
constexpr std::uint64_t kSeedsByFile = kSanitized ? 1 : 40;
constexpr std::uint64_t kContinuedOfByFile = kSanitized ? 4 : 20;
constexpr std::uint64_t kSeedsWithoutASyncByFile = 40;
constexpr std::size_t kMutationsContinued = 8;
constexpr int kFailuresShown = 5;

enum class Story : std::uint8_t {
  saves_with_retention,
  deletion,
  overwrite,
  unknown_outcomes,
  incremental_saves,
  plain_layout,
  saves_by_file,
  deletion_by_file
};

std::string name_of(Story story) {
  switch (story) {
    case Story::saves_with_retention:
      return "saves_with_retention";
    case Story::deletion:
      return "deletion";
    case Story::overwrite:
      return "overwrite";
    case Story::unknown_outcomes:
      return "unknown_outcomes";
    case Story::incremental_saves:
      return "incremental_saves";
    case Story::plain_layout:
      return "plain_layout";
    case Story::saves_by_file:
      return "saves_by_file";
    case Story::deletion_by_file:
      return "deletion_by_file";
  }
  return "unknown";
}

std::unique_ptr<RecordedRun> record_by_file(engine::BackendKind kind, const Steps& setup,
                                            std::optional<std::int64_t> max_to_keep) {
  return std::make_unique<RecordedRun>(kind, setup, max_to_keep, nullptr, false,
                                       Layout::ocdbt_zarr3, Atomicity::commit_file);
}

std::unique_ptr<RecordedRun> record(Story story, engine::BackendKind kind) {
  const Steps three{{1, 10}, {2, 20}, {3, 30}};
  std::unique_ptr<RecordedRun> run;
  switch (story) {
    case Story::saves_with_retention:
      run = std::make_unique<RecordedRun>(kind, Steps(), 2);
      for (Step step = 1; step <= 4; ++step) run->save(step, 10 * step);
      break;
    case Story::deletion:
      run = std::make_unique<RecordedRun>(kind, three);
      run->remove(2);
      run->remove(3);
      break;
    case Story::overwrite:
      run = std::make_unique<RecordedRun>(kind, three);
      run->save(2, 21);
      run->save(3, 31);
      break;
    case Story::unknown_outcomes:
      // What an earlier writer renamed and did not sync, because it failed or died, is on the disk
      // or not: the next writer must not remove the old content before it knows.
      run = std::make_unique<RecordedRun>(kind, three, std::nullopt,
                                          std::make_shared<engine::FaultPlan>());
      run->save_unknown(2, 21);
      run->remove_unknown(1);
      run->save(4, 40);
      break;
    case Story::incremental_saves:
      // Each step holds a file of the one before it, which goes. (The first is saved here too: what
      // a manager has not written itself it syncs again, to no effect where that was durable.)
      run = std::make_unique<RecordedRun>(kind, Steps(), 1, nullptr, true);
      for (Step step = 1; step <= 3; ++step) run->save(step, 10 * step);
      break;
    case Story::plain_layout:
      // A file for each chunk, in directories of some depth.
      run = std::make_unique<RecordedRun>(kind, Steps{{1, 10}}, 1, nullptr, false, Layout::zarr3);
      run->save(2, 20);
      break;
    case Story::saves_by_file:
      run = record_by_file(kind, Steps(), 1);
      for (Step step = 1; step <= 3; ++step) run->save(step, 10 * step);
      break;
    case Story::deletion_by_file:
      run = record_by_file(kind, three, std::nullopt);
      run->remove(2);
      run->remove(3);
      break;
  }
  run->finish();
  return run;
}

using Parameter = std::tuple<Story, engine::BackendKind>;

class PowerLoss : public ::testing::TestWithParam<Parameter> {
 protected:
  PowerLoss() : run_(record(std::get<0>(GetParam()), std::get<1>(GetParam()))), states_(*run_) {}

  [[nodiscard]] bool by_file() const { return run_->atomicity() == Atomicity::commit_file; }

  std::uint64_t seed_ = make_seed();
  std::unique_ptr<RecordedRun> run_;
  CrashStates states_;
};
INSTANTIATE_TEST_SUITE_P(
    Stories, PowerLoss,
    ::testing::Combine(::testing::Values(Story::saves_with_retention, Story::deletion,
                                         Story::overwrite, Story::unknown_outcomes,
                                         Story::incremental_saves, Story::plain_layout,
                                         Story::saves_by_file, Story::deletion_by_file),
                       ::testing::ValuesIn(backend_kinds())),
    [](const ::testing::TestParamInfo<Parameter>& story) {
      return name_of(std::get<0>(story.param)) + "_" + to_string(std::get<1>(story.param));
    });

TEST_P(PowerLoss, LeavesTheAcknowledgedStepsOrOneChangeMore) {
  const std::size_t mutations = run_->log().size();
  const std::uint64_t seeds = by_file() ? kSeedsByFile : kSeeds;
  const std::uint64_t continued_of = by_file() ? kContinuedOfByFile : kContinuedOf;
  int failures = 0;
  std::size_t continued = 0;
  for (std::size_t prefix = 0; prefix <= mutations && failures < kFailuresShown; ++prefix) {
    for (std::uint64_t i = 0; i < seeds && failures < kFailuresShown; ++i) {
      const std::uint64_t seed = seed_ + prefix * seeds + i;
      std::string trouble = states_.violation(prefix, seed);
      if (trouble.empty() && (i + prefix) % continued_of == 0) {
        ++continued;
        trouble = states_.continuation(prefix, seed);
        if (!trouble.empty()) trouble = "going on: " + trouble;
      }
      if (trouble.empty()) continue;
      ++failures;
      ADD_FAILURE() << "after " << prefix << " of " << mutations << " mutations, the last "
                    << (prefix == 0 ? "none" : run_->describe(prefix - 1)) << ", seed " << seed
                    << ": " << trouble;
    }
  }
  fmt::print("{} mutations, {} states, {} that a reader can tell apart, {} continued\n", mutations,
             states_.seen(), states_.looked_at(), continued);
}

// The promise is kept because of the syncs: each of them, left out, breaks it.
TEST_P(PowerLoss, NeedsEverySync) {
  const std::size_t mutations = run_->log().size();
  const std::uint64_t seeds = by_file() ? kSeedsWithoutASyncByFile : kSeedsWithoutASync;
  auto syncs = run_->recording().syncs();
  // The group's own metadata is for zarr-python; what we read goes by _METADATA.
  std::erase_if(syncs, [&](std::size_t sync) {
    return run_->describe(sync).ends_with("/default/zarr.json");
  });
  // With sanitizers a sample, each time another, and one at least.
  const std::uint64_t stride = std::clamp<std::uint64_t>(syncs.size(), 1, kOneCaseIn);
  std::uint64_t number = seed_;
  for (const std::size_t sync : syncs) {
    if (number++ % stride != 0) continue;
    const auto ignore = [sync](std::size_t index) { return index == sync; };
    std::string found;
    const auto try_all = [&](std::uint64_t tried, std::size_t end, auto trouble_of) {
      for (std::uint64_t i = 0; i < tried && found.empty(); ++i) {
        for (std::size_t prefix = sync + 1; prefix <= end && found.empty(); ++prefix) {
          const std::uint64_t seed = seed_ + prefix * seeds + i;
          const std::string trouble = trouble_of(prefix, seed);
          if (!trouble.empty()) found = fmt::format("prefix {} seed {}: {}", prefix, seed, trouble);
        }
      }
    };
    try_all(seeds, mutations, [&](std::size_t prefix, std::uint64_t seed) {
      return states_.violation(prefix, seed, ignore);
    });
    // The one after the owner record: without it nobody could tell what a save has left.
    if (by_file()) {
      const std::size_t near = std::min(mutations, sync + kMutationsContinued);
      try_all(seeds, near, [&](std::size_t prefix, std::uint64_t seed) {
        return states_.continuation(prefix, seed, ignore);
      });
    }
    fmt::print("without {} -> {}\n", run_->describe(sync), found.empty() ? "NOTHING" : found);
    std::fflush(stdout);
    EXPECT_FALSE(found.empty()) << "nothing breaks without " << run_->describe(sync);
  }
}

}  // namespace
}  // namespace cairn::test

// Behaviours of several processes. A program of its own: its processes are forked, so the one that
// forks them starts no thread.

#include <gmock/gmock.h>

#include <filesystem>
#include <future>

#include "support/managers_of_processes.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using test::Process;
using ::testing::HasSubstr;

#define CAIRN_BEHAVIOUR_OF_PROCESSES(row)           \
  class row : public cairn::test::ProcessesTest {}; \
  CAIRN_ON_EVERY_BACKEND(row)

// test_save_restore_local_fs
CAIRN_BEHAVIOUR_OF_PROCESSES(B059);
TEST_P(B059, WithoutAPrimaryEachProcessSavesInADirectoryOfItsOwn) {
  run(2, [&](const Process& process) {
    ManagerOptions local = options_of(process);
    local.primary_host.reset();
    const std::string place = root() + std::to_string(process.index);
    const auto mine = static_cast<std::int64_t>(process.index);
    CheckpointManager manager(place, local);
    for (Step step = 0; step < 2; ++step) {
      args::Composite items;
      items.add("params", Tree(Dict{{"w", Tree(whole(mine + step))}}));
      boost::json::object notes;
      notes["process"] = mine;
      items.add("notes", args::JsonSave(notes));
      EXPECT_TRUE(manager.save(step, items).get());
    }
    Restored restored = manager.restore().get();
    EXPECT_EQ(restored.step(), 1);
    EXPECT_EQ(restored.tree("params"), Tree(Dict{{"w", Tree(whole(mine + 1))}}));
    EXPECT_EQ(restored.json("notes").as_object().at("process").to_number<std::int64_t>(), mine);
    EXPECT_TRUE(std::filesystem::exists(place + "/1/params/manifest.ocdbt"));
    // A step that one of them has lost is none for the others.
    if (process.index == 1) std::filesystem::remove_all(place + "/1");
    process.meet("lost");
    EXPECT_EQ(manager.restore().get().step(), 0);
    manager.close().get();
  });
}

TEST_P(B059, AFailureOfOneFailsTheStepOfAll) {
  run(2, [&](const Process& process) {
    const auto faults = std::make_shared<engine::FaultPlan>();
    test::EngineSettings settings;
    settings.faults = faults;
    ManagerOptions local = options_of(process, settings);
    local.primary_host.reset();
    const std::string place = root() + std::to_string(process.index);
    CheckpointManager manager(place, local);
    if (process.index == 1) {
      faults->fail(engine::FaultPlan::only({engine::IoOp::write}), 1, ENOSPC,
                   engine::FaultPlan::kForever);
    }
    const Error error = error_of(manager.save(0, Tree(Dict{{"w", Tree(whole(0))}})));
    EXPECT_EQ(error.code(), ErrorCode::no_space);
    EXPECT_FALSE(std::filesystem::exists(place + "/0"));
    faults->clear();
    EXPECT_TRUE(manager.save(0, Tree(Dict{{"w", Tree(whole(0))}})).get());
    manager.close().get();
  });
}

TEST_P(B059, ARenameThatFailsInOneDeletesNoStepThatAllHave) {
  run(2, [&](const Process& process) {
    const auto faults = std::make_shared<engine::FaultPlan>();
    test::EngineSettings settings;
    settings.faults = faults;
    ManagerOptions local = options_of(process, settings);
    local.primary_host.reset();
    local.max_to_keep = 1;
    const std::string place = root() + std::to_string(process.index);
    CheckpointManager manager(place, local);
    EXPECT_TRUE(manager.save(0, Tree(Dict{{"w", Tree(whole(0))}})).get());
    if (process.index == 1) faults->fail(engine::FaultPlan::only({engine::IoOp::rename}), 1, EIO);
    const Error error = error_of(manager.save(1, Tree(Dict{{"w", Tree(whole(1))}})));
    EXPECT_EQ(error.code(), process.index == 1 ? ErrorCode::io_error : ErrorCode::commit_unknown)
        << error.what();
    EXPECT_EQ(std::filesystem::exists(place + "/1"), process.index == 0);
    EXPECT_EQ(manager.restore().get().step(), 0);
    manager.close().get();
  });
}

// test_async_save_overall_timeout
CAIRN_BEHAVIOUR_OF_PROCESSES(B101);
TEST_P(B101, ACommitThatIsTooSlowTimesOutEverywhere) {
  run(2, [&](const Process& process) {
    ManagerOptions given = options_of(process);
    given.async_timeout = 60s;
    const bool slow = process.index == 0;
    std::promise<void> reached;
    std::promise<void> go_on;
    given.post_finalization_callback = [&](Step step) {
      if (!slow || step != 0) return;
      reached.set_value();
      go_on.get_future().wait();
    };
    CheckpointManager manager(root(), given);
    const Part part(process, 0);
    const SaveFuture late = manager.save(0, part.tree());
    if (slow) {
      reached.get_future().wait();
      process.clock->advance(61s);
    }
    const Error error = error_of(late);
    EXPECT_EQ(error.code(), ErrorCode::timed_out);
    EXPECT_THAT(error.what(), HasSubstr(slow ? "async_timeout" : "process 0 of 2 failed"));
    if (slow) go_on.set_value();
    EXPECT_TRUE(save(manager, process, 1));
    EXPECT_EQ(manager.all_steps(), std::vector<Step>{1});
    manager.close().get();
  });
  EXPECT_FALSE(std::filesystem::exists(root() + "/0"));
}

// test_interleave
CAIRN_BEHAVIOUR_OF_PROCESSES(B103);
TEST_P(B103, TwoManagersSaveAtOnceInAnyOrder) {
  constexpr Step kSteps = 4;
  run(2, [&](const Process& process) {
    test::EngineSettings settings;
    settings.staging_bytes = 256u << 10;  // both managers' saves do not fit
    ManagerOptions given = options_of(process, settings);
    std::vector<std::unique_ptr<CheckpointManager>> managers;
    for (const std::string name : {"a", "b"}) {
      given.barrier_sync_key_prefix = name;
      managers.push_back(std::make_unique<CheckpointManager>(root() + name, given));
    }
    const Part part(process, 0);
    std::vector<SaveFuture> saves;
    for (Step step = 0; step < kSteps; ++step) {
      // One process begins with the one manager, the other with the other.
      for (std::size_t i = 0; i < managers.size(); ++i) {
        const std::size_t which = (i + process.index) % managers.size();
        saves.push_back(managers[which]->save(step, part.tree()));
        // And one of them is not in a hurry.
        if (process.index == 1) process.meet("other's turn " + std::to_string(saves.size()));
      }
      if (process.index == 0) {
        process.meet("other's turn " + std::to_string(saves.size() - 1));
        process.meet("other's turn " + std::to_string(saves.size()));
      }
    }
    for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
    for (const auto& manager : managers) {
      EXPECT_EQ(manager->all_steps(), (std::vector<Step>{0, 1, 2, 3}));
      EXPECT_EQ(manager->restore().get().tree(), expected(0));
      manager->close().get();
    }
  });
}

}  // namespace
}  // namespace cairn

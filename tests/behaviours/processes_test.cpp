// Behaviours of several processes. A program of its own: its processes are forked, so the one that
// forks them starts no thread.

#include <gmock/gmock.h>

#include "support/managers_of_processes.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using test::Job;
using test::part;
using test::run_job;
using test::Via;
using ::testing::HasSubstr;

constexpr Job kTwo{Via::sockets, 2};

#define CAIRN_BEHAVIOUR_OF_PROCESSES(row)           \
  class row : public cairn::test::ProcessesTest {}; \
  CAIRN_ON_EVERY_BACKEND(row)

// test_save_restore_local_fs
CAIRN_BEHAVIOUR_OF_PROCESSES(B059);
TEST_P(B059, WithoutAPrimaryEachProcessSavesInADirectoryOfItsOwn) {
  run_job(kTwo, [&](Coordinator& c) {
    ManagerOptions local = options_of(c);
    local.primary_host.reset();
    const std::string place = root() + std::to_string(c.process_index());
    CheckpointManager manager(place, local);
    const auto mine = static_cast<std::int64_t>(c.process_index());
    args::Composite items;
    items.add("params", args::StandardSave(Tree(Dict{{"w", Tree(whole(mine))}})));
    boost::json::object notes;
    notes["process"] = mine;
    items.add("notes", args::JsonSave(notes));
    EXPECT_TRUE(manager.save(0, items).get());
    Restored restored = manager.restore().get();
    EXPECT_EQ(restored.tree("params"), Tree(Dict{{"w", Tree(whole(mine))}}));
    EXPECT_EQ(restored.json("notes").as_object().at("process").to_number<std::int64_t>(), mine);
    EXPECT_TRUE(std::filesystem::exists(place + "/0/params/manifest.ocdbt"));
    manager.close().get();
    part(c);
  });
}

// test_async_save_overall_timeout
CAIRN_BEHAVIOUR_OF_PROCESSES(B101);
TEST_P(B101, ACommitThatIsTooSlowTimesOutEverywhere) {
  run_job(kTwo, [&](Coordinator& c) {
    const auto clock = std::make_shared<engine::ManualClock>();
    test::EngineSettings settings;
    settings.clock = clock;
    ManagerOptions given = options_of(c, settings);
    given.async_timeout = 60s;
    const bool slow = c.process_index() == 0;
    std::promise<void> reached;
    std::promise<void> go_on;
    given.post_finalization_callback = [&](Step) {
      if (!slow) return;
      reached.set_value();
      go_on.get_future().wait();
    };
    CheckpointManager manager(root(), given);
    const Array array = whole(0);
    const SaveFuture save = manager.save(0, part_of(array, c.process_index(), 0));
    if (slow) {
      reached.get_future().wait();
      clock->advance(61s);
    }
    const Error error = error_of(save);
    EXPECT_EQ(error.code(), ErrorCode::timed_out);
    EXPECT_THAT(error.what(), HasSubstr(slow ? "async_timeout" : "process 0 of 2"));
    if (slow) go_on.set_value();
    part(c);
    manager.close().get();
    part(c);
  });
  EXPECT_FALSE(std::filesystem::exists(root() + "/0"));
}

// test_interleave
CAIRN_BEHAVIOUR_OF_PROCESSES(B103);
TEST_P(B103, TwoManagersSaveAtOnceInAnyOrder) {
  constexpr Step kSteps = 4;
  run_job(kTwo, [&](Coordinator& c) {
    test::EngineSettings settings;
    settings.staging_bytes = 1u << 20;  // both managers' saves do not fit
    ManagerOptions given = options_of(c, settings);
    std::vector<std::unique_ptr<CheckpointManager>> managers;
    for (const std::string name : {"a", "b"}) {
      given.barrier_sync_key_prefix = name;
      managers.push_back(std::make_unique<CheckpointManager>(root() + name, given));
    }
    const Array array = whole(0);
    std::vector<SaveFuture> saves;
    for (Step step = 0; step < kSteps; ++step) {
      // One process begins with the one manager, the other with the other, a step apart.
      for (std::size_t i = 0; i < managers.size(); ++i) {
        const std::size_t which = (i + c.process_index()) % managers.size();
        saves.push_back(managers[which]->save(step, part_of(array, c.process_index(), 0)));
        if (c.process_index() == 1) saves.back().wait_staged();
      }
    }
    for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
    for (const auto& manager : managers) {
      EXPECT_EQ(manager->all_steps(), (std::vector<Step>{0, 1, 2, 3}));
      manager->close().get();
    }
    part(c);
  });
}

}  // namespace
}  // namespace cairn

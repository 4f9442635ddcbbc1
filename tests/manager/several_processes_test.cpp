// What managers of several processes save and restore together: forked processes on a Unix socket.

#include <gmock/gmock.h>

#include <filesystem>
#include <limits>
#include <random>

#include "support/managers_of_processes.h"

namespace cairn {
namespace {

using test::Process;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Steps = std::vector<Step>;

class SeveralProcesses : public test::ProcessesTest {
 protected:
  bool sound(Step step) {
    return verify_step(options().engine, root() + "/" + std::to_string(step)).get().ok();
  }
  /// Sizes of the data files of an item, with the one of the database's nodes.
  [[nodiscard]] std::vector<std::uintmax_t> data_files(Step step) const {
    std::vector<std::uintmax_t> sizes;
    const std::string folder = root() + "/" + std::to_string(step) + "/default/d";
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      sizes.push_back(entry.file_size());
    return sizes;
  }
};
CAIRN_ON_EVERY_BACKEND(SeveralProcesses);

// ---- saving -------------------------------------------------------------------------------------

TEST_P(SeveralProcesses, EachSavesItsRowsAndAllReadTheWhole) {
  run(3, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    EXPECT_TRUE(save(manager, process, 7));
    EXPECT_EQ(manager.all_steps(), Steps{7});
    EXPECT_EQ(manager.restore().get().tree(), expected(7));
    manager.close().get();
  });
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "7"));
  EXPECT_EQ(data_files(7).size(), 4) << "one of each process, and the nodes";
}

TEST_P(SeveralProcesses, WhatAllHaveIsWrittenOnce) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    const SaveResult both = manager.save(0, Tree(Dict{{"w", Tree(whole(0))}})).get();
    EXPECT_EQ(both.bytes, process.index == 0 ? kRows * kColumns * sizeof(float) : 0);
    const SaveResult rows = save(manager, process, 1);
    const std::uint64_t half = kRows * kColumns * sizeof(float) / 2;
    EXPECT_EQ(rows.bytes, process.index == 0 ? 3 * half + sizeof(std::int64_t) : half);
    manager.close().get();
  });
  EXPECT_EQ(data_files(0).size(), 2) << "the first process's, and the nodes";
}

TEST_P(SeveralProcesses, PartsMayDivideAnArrayInAnyWayAndOverlap) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    const Array array = whole(3);
    // Columns, of which the second process has all but the first 256.
    const Index first = process.index == 0 ? 0 : 256;
    const Index count = process.index == 0 ? 512 : kColumns - 256;
    std::vector<LeafPart> parts;
    for (Index row = 0; row < kRows; ++row) {
      const std::size_t at = static_cast<std::size_t>(row * kColumns + first) * sizeof(float);
      parts.emplace_back(IndexRange{{row, first}, {1, count}},
                         ArrayView(DType::float32, {1, count}, array.bytes().subspan(at).data()));
    }
    Tree tree(Dict{{"w", Tree(Leaf(DType::float32, {kRows, kColumns}, std::move(parts)))}});
    EXPECT_TRUE(manager.save(0, std::move(tree)).get());
    EXPECT_EQ(manager.restore().get().tree(), Tree(Dict{{"w", Tree(whole(3))}}));
    manager.close().get();
  });
  look([&](CheckpointManager&) { EXPECT_TRUE(sound(0)); });
}

TEST_P(SeveralProcesses, WhatIsEncodedAndWhatIsBorrowedIsTheSame) {
  run(2, [&](const Process& process) {
    ManagerOptions given = options_of(process);
    given.codec = Codec::automatic();
    CheckpointManager manager(root(), given);
    EXPECT_TRUE(save(manager, process, 1));
    SaveOptions borrow;
    borrow.capture = Capture::borrow;
    const Part part(process, 2);
    EXPECT_TRUE(manager.save(2, part.tree(), borrow).get());
    EXPECT_EQ(manager.restore(1).get().tree(), expected(1));
    EXPECT_EQ(manager.restore(2).get().tree(), expected(2));
    manager.close().get();
  });
}

TEST_P(SeveralProcesses, TheStepIsThereOnlyWhenAllAreDone) {
  run(2, [&](const Process& process) {
    const auto faults = std::make_shared<engine::FaultPlan>();
    test::EngineSettings settings;
    settings.faults = faults;
    CheckpointManager manager(root(), options_of(process, settings));
    const bool late = process.index == 1;
    if (late) faults->hold(engine::FaultPlan::only({engine::IoOp::sync_data}));
    const Part part(process, 0);
    const SaveFuture save = manager.save(0, part.tree());
    save.wait_staged();
    if (late) faults->wait_until_held(1);
    process.meet("one is late");
    EXPECT_FALSE(std::filesystem::exists(root() + "/0"));
    EXPECT_FALSE(save.ready());
    EXPECT_TRUE(manager.is_saving_in_progress());
    EXPECT_FALSE(manager.latest_committed_step());
    process.meet("seen");
    faults->release();
    EXPECT_TRUE(save.get());
    EXPECT_TRUE(std::filesystem::exists(root() + "/0"));
    manager.close().get();
  });
}

TEST_P(SeveralProcesses, SavesKeepTheirOrderAndReplaceSteps) {
  run(2, [&](const Process& process) {
    test::EngineSettings settings;
    settings.staging_bytes = 256u << 10;  // two saves do not fit
    CheckpointManager manager(root(), options_of(process, settings));
    std::vector<Part> parts;
    for (Step step = 0; step < 5; ++step) parts.emplace_back(process, step);
    std::vector<SaveFuture> saves;
    for (Step step = 0; step < 5; ++step) {
      saves.push_back(manager.save(step, parts[static_cast<std::size_t>(step)].tree()));
    }
    for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
    SaveOptions again;
    again.overwrite = true;
    const Part other(process, 40);
    EXPECT_TRUE(manager.save(4, other.tree(), again).get());
    EXPECT_EQ(manager.restore(4).get().tree(), expected(40));
    EXPECT_EQ(manager.restore(3).get().tree(), expected(3));
    manager.close().get();
  });
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0", "1", "2", "3", "4"));
}

TEST_P(SeveralProcesses, CommitByFileIsTheSame) {
  run(2, [&](const Process& process) {
    ManagerOptions given = options_of(process);
    given.atomicity = Atomicity::commit_file;
    CheckpointManager manager(root(), given);
    EXPECT_TRUE(save(manager, process, 1));
    EXPECT_EQ(manager.restore().get().tree(), expected(1));
    manager.close().get();
  });
}

TEST_P(SeveralProcesses, AnyProcessMayBeThePrimary) {
  run(3, [&](const Process& process) {
    ManagerOptions given = options_of(process);
    given.primary_host = 2;
    given.metadata["run"] = "seven";
    CheckpointManager manager(root(), given);
    EXPECT_EQ(manager.metadata().get().custom_metadata.at("run").as_string(), "seven");
    EXPECT_TRUE(save(manager, process, 1));
    EXPECT_EQ(manager.restore().get().tree(), expected(1));
    manager.close().get();
  });
}

TEST_P(SeveralProcesses, WhatIsNoDatabaseThePrimaryWritesAlone) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    const auto index = static_cast<std::int64_t>(process.index);
    args::Composite items;
    const Part part(process, 0);
    items.add("params", part.tree());
    boost::json::object notes;
    notes["by"] = index;
    items.add("notes", args::JsonSave(notes));
    items.add("array", args::ArraySave(Tree(whole(index))));
    items.add("rng", args::RandomKeySave(std::mt19937(process.index + 7)));
    EXPECT_TRUE(manager.save(0, items).get());
    Restored restored = manager.restore().get();
    EXPECT_EQ(restored.tree("params"), expected(0));
    EXPECT_EQ(restored.json("notes").as_object().at("by").to_number<int>(), 0);
    EXPECT_EQ(restored.tree("array"), Tree(whole(0)));
    std::mt19937 random;
    restored.get<RandomState>("rng").set(random);
    EXPECT_EQ(random, std::mt19937(7));
    manager.close().get();
  });
}

// ---- restoring ----------------------------------------------------------------------------------

TEST_P(SeveralProcesses, OneProcessAloneReadsWhatTheySaved) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    EXPECT_TRUE(save(manager, process, 1));
    manager.close().get();
  });
  look([&](CheckpointManager& manager) {
    EXPECT_EQ(manager.restore(1).get().tree(), expected(1));
    EXPECT_TRUE(sound(1));
  });
}

TEST_P(SeveralProcesses, AnotherNumberOfProcessesReadsItsOwnParts) {
  run(3, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    EXPECT_TRUE(save(manager, process, 1));
    manager.close().get();
  });
  run(4, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    const IndexRange mine = rows(process.index, process.count);
    args::StandardRestore how({args::Selection("w", mine)});
    Restored restored = manager.restore(std::nullopt, how).get();
    const Array& read = restored.tree().as<Dict>().at("w").as<Array>();
    const Array all = whole(1);
    const auto first = static_cast<std::size_t>(mine.origin[0] * kColumns);
    const auto want = all.values<float>().subspan(first, read.values<float>().size());
    EXPECT_EQ(read.shape(), mine.shape);
    EXPECT_TRUE(std::ranges::equal(read.values<float>(), want));
    // And goes on with what it has.
    EXPECT_TRUE(save(manager, process, 2));
    EXPECT_EQ(manager.restore().get().tree(), expected(2));
    manager.close().get();
  });
}

TEST_P(SeveralProcesses, ThePrimaryChoosesTheStepToRestore) {
  run(2, [&](const Process& process) {
    ManagerOptions given = options_of(process);
    CheckpointManager manager(root(), given);
    for (Step step = 0; step < 2; ++step) EXPECT_TRUE(save(manager, process, step));
    EXPECT_EQ(manager.restore().get().step(), 1);
    const Error error = error_of(manager.restore(static_cast<Step>(process.index)));
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("process 0 restores step 0, process 1 restores step 1"));
    EXPECT_EQ(manager.restore(0).get().step(), 0) << "the next call";
    manager.close().get();
  });
}

TEST_P(SeveralProcesses, OneThatCannotRestoreMakesTheOthersFail) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    EXPECT_EQ(error_of(manager.restore()).code(), ErrorCode::not_found);
    EXPECT_TRUE(save(manager, process, 0));
    const char* const name = process.index == 1 ? "none such" : "w";
    const Error error =
        error_of(manager.restore(0, args::StandardRestore({args::Selection(name)})));
    EXPECT_EQ(error.code(), ErrorCode::not_found);
    EXPECT_THAT(error.what(), HasSubstr("none such"));
    if (process.index == 0) {
      EXPECT_THAT(error.what(), HasSubstr("process 1 of 2 failed"));
    }
    manager.close().get();
  });
}

TEST_P(SeveralProcesses, ADamagedStepIsSkippedByAll) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    for (Step step = 0; step < 2; ++step) EXPECT_TRUE(save(manager, process, step));
    // Each reads its own rows; the rows of process 1 are damaged.
    const args::StandardRestore mine({args::Selection("w", rows(process.index, process.count))});
    process.meet("saved");
    if (process.index == 1) {
      const auto folder = std::filesystem::directory_iterator(root() + "/1/default/d");
      for (const auto& entry : folder) {
        if (entry.file_size() != kRows / 2 * kColumns * sizeof(float) + 4096) continue;
        std::filesystem::resize_file(entry.path(), 4096);
      }
    }
    process.meet("damaged");
    const LatestValid found = manager.restore_latest_valid(mine).get();
    EXPECT_EQ(found.restored.step(), 0);
    ASSERT_EQ(found.skipped.size(), 1);
    EXPECT_EQ(found.skipped[0].step, 1);
    manager.close().get();
  });
}

TEST_P(SeveralProcesses, AStepThatDoesNotReadBackIsTheBestOneForNone) {
  run(2, [&](const Process& process) {
    ManagerOptions given = options_of(process);
    given.max_to_keep = 1;
    given.best_mode = BestMode::min;
    given.best_fn = [](const boost::json::object& metrics) {
      return metrics.at("loss").to_number<double>();
    };
    // As a disk that loses what it has confirmed.
    given.post_finalization_callback = [this, &process](Step step) {
      const std::string manifest = root() + "/1.orbax-checkpoint-tmp/default/manifest.ocdbt";
      if (step == 1 && process.index == 0) std::filesystem::resize_file(manifest, 1);
    };
    CheckpointManager manager(root(), given);
    for (Step step = 0; step < 2; ++step) {
      SaveOptions measured;
      measured.metrics = {{"loss", 10.0 - static_cast<double>(step)}};
      const Part part(process, step);
      EXPECT_TRUE(manager.save(step, part.tree(), measured).get());
      const bool damaged = step == 1 && process.index == 0;
      if (!damaged) manager.wait_until_finished().get();
      if (damaged) {
        EXPECT_EQ(error_of(manager.wait_until_finished()).code(), ErrorCode::data_loss);
      }
    }
    EXPECT_EQ(manager.best_step(), 0);
    EXPECT_EQ(manager.all_steps(), (std::vector<Step>{0, 1}));
    process.meet("looked");
  });
}

TEST_P(SeveralProcesses, OneListsForAllWhereItIsAskedTo) {
  run(2, [&](const Process& process) {
    ManagerOptions given = options_of(process);
    given.single_host_load_and_broadcast = true;
    given.best_fn = [](const boost::json::object& metrics) {
      return metrics.at("loss").to_number<double>();
    };
    {
      CheckpointManager manager(root(), given);
      for (Step step = 0; step < 3; ++step) {
        const Part part(process, step);
        SaveOptions with;
        const double unknown = std::numeric_limits<double>::quiet_NaN();
        with.metrics["loss"] = step == 1 ? 5.0 : step == 2 ? unknown : 1.0;
        EXPECT_TRUE(manager.save(step, part.tree(), with).get());
      }
      manager.close().get();
    }
    // The others do not look at the root: theirs is a directory that is not there.
    const std::string path = process.index == 0 ? root() : root() + "-nowhere";
    CheckpointManager manager(path, given);
    EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2}));
    EXPECT_EQ(manager.best_step(), 1);
    manager.reload();
    EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2}));
    manager.close().get();
  });
}

// ---- deleting -----------------------------------------------------------------------------------

TEST_P(SeveralProcesses, RetentionAndDeletionAreThePrimarysAndAllKnow) {
  run(2, [&](const Process& process) {
    ManagerOptions two = options_of(process);
    two.max_to_keep = 2;
    CheckpointManager manager(root(), two);
    for (Step step = 0; step < 4; ++step) EXPECT_TRUE(save(manager, process, step));
    manager.wait_until_finished().get();
    EXPECT_EQ(manager.all_steps(), (Steps{2, 3}));
    manager.delete_step(3).get();
    EXPECT_EQ(manager.all_steps(), Steps{2});
    EXPECT_EQ(error_of(manager.delete_step(3)).code(), ErrorCode::not_found);
    manager.reload();
    EXPECT_EQ(manager.all_steps(), Steps{2});
    manager.close().get();
  });
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "2"));
}

TEST_P(SeveralProcesses, ADeletionThatFailsFailsEverywhereAndTheStepStays) {
  run(2, [&](const Process& process) {
    const auto faults = std::make_shared<engine::FaultPlan>();
    test::EngineSettings settings;
    settings.faults = faults;
    CheckpointManager manager(root(), options_of(process, settings));
    EXPECT_TRUE(save(manager, process, 0));
    faults->fail(engine::FaultPlan::only({engine::IoOp::rename}), 1, EIO);
    const Error error = error_of(manager.delete_step(0));
    EXPECT_EQ(error.code(), ErrorCode::io_error);
    EXPECT_EQ(manager.all_steps(), Steps{0});
    manager.delete_step(0).get();
    EXPECT_THAT(manager.all_steps(), IsEmpty());
    manager.close().get();
  });
}

// ---- options ------------------------------------------------------------------------------------

TEST_P(SeveralProcesses, SomeOfThemMaySaveWithoutTheOthers) {
  run(3, [&](const Process& process) {
    ManagerOptions all = options_of(process);
    if (process.index != 1) {
      ManagerOptions some = options_of(process);
      some.active_processes = {0, 2};
      CheckpointManager manager(root() + "-some", some);
      Process half = process;
      half.index = process.index / 2;
      half.count = 2;
      EXPECT_TRUE(save(manager, half, 5));
      EXPECT_EQ(manager.restore().get().tree(), expected(5));
      manager.close().get();
    } else {
      all.active_processes = {0, 2};
      EXPECT_EQ(error_of([&] { CheckpointManager manager(root(), all); }).code(),
                ErrorCode::invalid_argument);
      all.active_processes.clear();
    }
    // Managers of all are numbered alike, whatever others there were.
    CheckpointManager manager(root(), all);
    EXPECT_TRUE(save(manager, process, 1));
    manager.close().get();
  });
}

TEST_P(SeveralProcesses, WhatTheyCannotDoTogetherIsRefused) {
  run(2, [&](const Process& process) {
    ManagerOptions given = options_of(process);
    const auto code = [&](const ManagerOptions& wrong) {
      return error_of([&] { CheckpointManager manager(root(), wrong); }).code();
    };
    given.incremental = true;
    EXPECT_EQ(code(given), ErrorCode::not_supported);
    given.incremental = false;
    given.layout = Layout::zarr3;
    EXPECT_EQ(code(given), ErrorCode::not_supported);
    given.layout = Layout::ocdbt_zarr3;
    given.primary_host = 5;
    EXPECT_EQ(code(given), ErrorCode::invalid_argument);
    given.primary_host = 0;
    CheckpointManager manager(root(), given);
    args::StandardSave plain(Tree(Dict{{"w", Tree(whole(0))}}));
    plain.layout = Layout::zarr3;
    const Error error = error_of(manager.save(0, plain));
    EXPECT_EQ(error.code(), ErrorCode::not_supported);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("zarr3"), HasSubstr("several processes")));
    manager.close().get();
  });
  EXPECT_THAT(entries(), IsEmpty());
}

}  // namespace
}  // namespace cairn

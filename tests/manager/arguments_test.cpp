// Bad input: each gives one clear error, and nothing that was there is lost.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using ::testing::HasSubstr;

Tree small(std::int64_t value = 1) {
  return Tree(Dict{{"s", Tree(value)}});
}

class Arguments : public test::ManagerTest {
 protected:
  /// Code and text of what `call` throws.
  template <class Call>
  static std::pair<ErrorCode, std::string> error_of(Call call) {
    const Error error = ManagerTest::error_of(call);
    return {error.code(), error.what()};
  }
  std::pair<ErrorCode, std::string> save_error(CheckpointManager& manager, Step step,
                                               args::SaveArgs args, SaveOptions save_options = {}) {
    return error_of([&] {
      static_cast<void>(manager.save(step, std::move(args), std::move(save_options)).get());
    });
  }
};
CAIRN_ON_EVERY_BACKEND(Arguments);

TEST_P(Arguments, ARootThatIsAFileIsRefused) {
  std::ofstream(root()) << "x";
  const auto [code, text] = error_of([&] { CheckpointManager(root(), options()); });
  EXPECT_EQ(code, ErrorCode::invalid_argument) << text;
  EXPECT_THAT(text, HasSubstr(root()));
}

TEST_P(Arguments, AMissingRootIsRefusedWhenCreateIsOff) {
  ManagerOptions o = options();
  o.create = false;
  const auto [code, text] = error_of([&] { CheckpointManager(root(), o); });
  EXPECT_EQ(code, ErrorCode::not_found) << text;
  EXPECT_THAT(text, HasSubstr(root()));
}

TEST_P(Arguments, AMissingRootIsMadeWithItsParents) {
  CheckpointManager manager(root() + "/a/b", options());
  EXPECT_TRUE(manager.save(0, small()).get());
}

TEST_P(Arguments, OptionsOutOfRangeAreRefused) {
  ManagerOptions interval = options();
  interval.save_interval_steps = 0;
  EXPECT_EQ(error_of([&] { CheckpointManager(root(), interval); }).first,
            ErrorCode::invalid_argument);
  ManagerOptions keep = options();
  keep.max_to_keep = -1;
  EXPECT_EQ(error_of([&] { CheckpointManager(root(), keep); }).first, ErrorCode::invalid_argument);
  ManagerOptions timeout = options();
  timeout.async_timeout = std::chrono::milliseconds(0);
  EXPECT_EQ(error_of([&] { CheckpointManager(root(), timeout); }).first,
            ErrorCode::invalid_argument);
  ManagerOptions progress = options();
  progress.no_progress_timeout = std::chrono::milliseconds(-1);
  EXPECT_EQ(error_of([&] { CheckpointManager(root(), progress); }).first,
            ErrorCode::invalid_argument);
  ManagerOptions name = options();
  name.item_name = "a/b";
  EXPECT_EQ(error_of([&] { CheckpointManager(root(), name); }).first, ErrorCode::invalid_argument);
}

TEST_P(Arguments, AnUnsupportedLeafIsNamed) {
  CheckpointManager manager(root(), options());
  const auto [code, text] =
      save_error(manager, 0, Tree(Dict{{"a", Tree(List{Tree(1), Tree("text")})}}));
  EXPECT_EQ(code, ErrorCode::invalid_argument);
  EXPECT_THAT(text, HasSubstr("a[1]"));
  EXPECT_THAT(text, HasSubstr("string"));
  EXPECT_EQ(entries(), (std::vector<std::string>{}));
}

TEST_P(Arguments, ALeafSpecIsNamed) {
  CheckpointManager manager(root(), options());
  const LeafSpec spec{DType::bfloat16, {2}};
  const auto [code, text] = save_error(manager, 0, Tree(Dict{{"a", List{1, spec}}}));
  EXPECT_EQ(code, ErrorCode::invalid_argument);
  EXPECT_THAT(text, HasSubstr("a[1]"));
  EXPECT_THAT(text, HasSubstr("a leaf spec (bfloat16[2]) has no elements to save"));
  EXPECT_EQ(save_error(manager, 0, Tree(Placeholder())).first, ErrorCode::invalid_argument);
  EXPECT_EQ(entries(), (std::vector<std::string>{}));
}

TEST_P(Arguments, AnEmptyTreeIsRefused) {
  CheckpointManager manager(root(), options());
  EXPECT_EQ(save_error(manager, 0, Tree(Dict())).first, ErrorCode::invalid_argument);
}

TEST_P(Arguments, TwoLeavesOfOneDottedNameAreRefused) {
  CheckpointManager manager(root(), options());
  const auto [code, text] =
      save_error(manager, 0, Tree(Dict{{"a.b", Tree(1)}, {"a", Tree(Dict{{"b", Tree(2)}})}}));
  EXPECT_EQ(code, ErrorCode::invalid_argument);
  EXPECT_THAT(text, HasSubstr("a.b"));
}

TEST_P(Arguments, ALeafBelowAnotherLeafsNameIsRefused) {
  CheckpointManager manager(root(), options());
  const auto [code, text] =
      save_error(manager, 0, Tree(Dict{{"a", Tree(1)}, {"a-b", Tree(1)}, {"a/c", Tree(2)}}));
  EXPECT_EQ(code, ErrorCode::invalid_argument);
  EXPECT_THAT(text, HasSubstr("a/c"));
}

TEST_P(Arguments, ErrorsOfATreeNameItsItemAndTheKeyPath) {
  CheckpointManager manager(root(), options());
  // Of two equal keys a Dict has the last: only dotted names can be the same.
  const std::pair<Tree, std::string> cases[] = {
      {Dict{{"good", 1}, {"a", List{1, "text"}}}, "a[1]"},
      {Dict{{"a.b", 1}, {"a", Dict{{"b", 2}}}}, "a/b"},
      {Dict{{"good", 1}, {"a", Dict{{"b", LeafSpec(DType::int8, {2})}}}}, "a/b"},
      {Dict(), "(root)"}};
  for (const auto& [tree, key_path] : cases) {
    for (const bool alone : {true, false}) {
      args::Composite items;
      if (!alone) items.add("good", args::StandardSave(small()));
      items.add("bad", args::StandardSave(tree));
      const Error error = ManagerTest::error_of(manager.save(0, std::move(items)));
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
      EXPECT_EQ(error.context().item, "bad") << error.what();
      EXPECT_EQ(error.context().key_path, key_path) << error.what();
    }
  }
  EXPECT_EQ(manager.all_steps(true), std::vector<Step>());
}

TEST_P(Arguments, NamesThatRunIntoEachOtherAreFoundAmongManyThatDoNot) {
  CheckpointManager manager(root(), options());
  // Alike for long, with what comes before and after '/' behind it.
  const std::string block = "block_" + std::string(600, 'b') + "/";
  Dict names;
  for (const std::string last : {"w", "w!", "w.b", "w0", "wa"}) {
    for (int i = 0; i < 20; ++i) names[block + std::to_string(i) + last] = Tree(i);
  }
  const Tree tree{Dict(names)};
  EXPECT_TRUE(manager.save(0, tree).get());
  EXPECT_EQ(manager.restore(0).get().tree(), tree);
  for (const std::string clash : {"7w/x", "0w!/c/0", "19wa/"}) {
    Dict more = names;
    more[block + clash] = Tree(1);
    const auto [code, text] = save_error(manager, 1, args::StandardSave(Tree(std::move(more))));
    EXPECT_EQ(code, ErrorCode::invalid_argument) << text;
    EXPECT_THAT(text, HasSubstr("lies below that of another leaf"));
  }
}

TEST_P(Arguments, NegativeStepsAndBadItemNamesAreRefused) {
  CheckpointManager manager(root(), options());
  EXPECT_EQ(save_error(manager, -1, small()).first, ErrorCode::invalid_argument);
  for (const std::string name : {"", "a/b", ".x", "metrics", "a.orbax-checkpoint-tmp"}) {
    args::Composite items;
    items.add(name, args::StandardSave(small()));
    EXPECT_EQ(save_error(manager, 0, std::move(items)).first, ErrorCode::invalid_argument) << name;
  }
  args::Composite twice;
  twice.add("a", args::StandardSave(small()));
  twice.add("a", args::StandardSave(small()));
  EXPECT_EQ(save_error(manager, 0, std::move(twice)).first, ErrorCode::invalid_argument);
  EXPECT_EQ(save_error(manager, 0, args::Composite()).first, ErrorCode::invalid_argument);
}

TEST_P(Arguments, TheFirstSuccessfulSaveFixesTheMode) {
  CheckpointManager manager(root(), options());
  EXPECT_EQ(save_error(manager, 0, Tree("text")).first, ErrorCode::invalid_argument);
  args::Composite items;
  items.add("a", args::StandardSave(small()));
  EXPECT_TRUE(manager.save(0, items).get()) << "a save that failed fixes nothing";
  EXPECT_EQ(save_error(manager, 1, small()).first, ErrorCode::invalid_argument);
}

TEST_P(Arguments, ARootInWhichAnotherProcessWritesIsBusy) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, small()).get());
  manager.wait_until_finished().get();  // the lock is let go after the commit
  const int fd = ::open((root() + "/.cairn.lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0) << "the manager lets go when nothing is pending";
  const std::string holder = R"({"host":"elsewhere","pid":4711})";
  ASSERT_EQ(::ftruncate(fd, 0), 0);
  ASSERT_EQ(::pwrite(fd, holder.data(), holder.size(), 0), static_cast<ssize_t>(holder.size()));
  const auto [code, text] = save_error(manager, 1, small());
  EXPECT_EQ(code, ErrorCode::busy);
  EXPECT_THAT(text, HasSubstr("elsewhere"));
  EXPECT_THAT(text, HasSubstr("4711"));
  EXPECT_EQ(error_of([&] { manager.delete_step(0).get(); }).first, ErrorCode::busy);
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{0}));
  EXPECT_EQ(manager.restore(0).get().tree(), small()) << "readers take no lock";
  ::close(fd);
  EXPECT_TRUE(manager.save(1, small()).get());
}

TEST_P(Arguments, MissingStepsAndItemsAreNamed) {
  CheckpointManager manager(root(), options());
  EXPECT_EQ(error_of([&] { static_cast<void>(manager.restore().get()); }).first,
            ErrorCode::not_found);
  EXPECT_TRUE(manager.save(4, small()).get());
  EXPECT_EQ(error_of([&] { static_cast<void>(manager.restore(5).get()); }).first,
            ErrorCode::not_found);
  const auto [step_code, step_text] =
      error_of([&] { static_cast<void>(manager.restore(5).get()); });
  EXPECT_THAT(step_text, HasSubstr("the newest are: 4"));
  EXPECT_THAT(step_text, HasSubstr(root() + "/5: "));
  std::filesystem::create_directory(root() + "/6.orbax-checkpoint-tmp");
  EXPECT_EQ(error_of([&] { static_cast<void>(manager.restore(6).get()); }).first,
            ErrorCode::incomplete_checkpoint);
  const auto [code, text] = error_of([&] { manager.delete_step(5).get(); });
  EXPECT_EQ(code, ErrorCode::not_found);
  EXPECT_THAT(text, HasSubstr("4"));
  CheckpointManager reader(root(), options());
  const auto [item_code, item_text] = error_of([&] {
    static_cast<void>(
        reader.restore(4, args::CompositeRestore{{"other", args::AnyRestore()}}).get());
  });
  EXPECT_EQ(item_code, ErrorCode::not_found);
  EXPECT_THAT(item_text, HasSubstr("default"));
}

TEST_P(Arguments, ATemporaryDirectoryIsNotAStep) {
  CheckpointManager manager(root(), options());
  std::filesystem::create_directories(root() + "/7.orbax-checkpoint-tmp/default");
  EXPECT_TRUE(manager.all_steps(true).empty());
  EXPECT_EQ(
      error_of([&] {
        static_cast<void>(inspect_step(manager.engine(), root() + "/7.orbax-checkpoint-tmp").get());
      }).first,
      ErrorCode::incomplete_checkpoint);
  EXPECT_TRUE(manager.save(7, small()).get()) << "a leftover does not stand in the way";
}

TEST_P(Arguments, AClosedManagerTakesNoWork) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, small()).get());
  manager.close().get();
  manager.close().get();
  EXPECT_EQ(save_error(manager, 1, small()).first, ErrorCode::closed);
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{0}));
}

TEST_P(Arguments, AStateAboveStagingIsRefusedWhenFullStagingIsRequired) {
  test::EngineSettings settings;
  settings.staging_bytes = 4u << 20;
  ManagerOptions o = options(settings);
  o.require_full_staging = true;
  CheckpointManager manager(root(), o);
  const auto [code, text] =
      save_error(manager, 0, Tree(Dict{{"w", Tree(Array(DType::float32, {4 << 20}))}}));
  EXPECT_EQ(code, ErrorCode::resource_exhausted);
  EXPECT_THAT(text, HasSubstr("staging"));
}

}  // namespace
}  // namespace cairn

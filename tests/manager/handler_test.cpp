// Handlers of the user's own, and who handles an item.

#include <gmock/gmock.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using ::testing::HasSubstr;

struct WordsSave {
  std::vector<std::string> words;
};
struct WordsRestore {
  bool reversed = false;
};
using Words = std::vector<std::string>;

/// Words, one a line. What it does wrong is asked of it by the words.
class WordsHandler : public Handler<WordsSave, WordsRestore, Words> {
 public:
  explicit WordsHandler(std::string name = "tests.Words") : name_(std::move(name)) {}
  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] ItemFiles encode(const WordsSave& args) const override {
    std::string text;
    for (const std::string& word : args.words) {
      if (word == "throw") throw std::runtime_error("a word that cannot be");
      if (word == "slash") return {{"a/b", ""}};
      if (word == "marker") return {{"commit_success.txt", ""}};
      if (word == "record") return {{"_CAIRN", ""}};
      if (word == "long") return {{std::string(256, 'n'), ""}};
      text += word + "\n";
    }
    return {{"words.txt", text}, {"count", std::to_string(args.words.size())}};
  }
  [[nodiscard]] Words decode(const ItemFiles& files, const WordsRestore& args) const override {
    std::istringstream in(files.at("words.txt"));
    Words words;
    for (std::string word; std::getline(in, word);) words.push_back(word);
    if (std::to_string(words.size()) != files.at("count")) throw std::runtime_error("words lost");
    if (args.reversed) std::ranges::reverse(words);
    return words;
  }
  [[nodiscard]] boost::json::value describe(const ItemFiles& files) const override {
    return {{"count", files.at("count")}};
  }

 private:
  std::string name_;
};

/// Takes what Cairn's own handler of JSON takes.
class TitledJsonHandler : public Handler<args::JsonSave, args::JsonRestore, std::string> {
 public:
  [[nodiscard]] std::string_view name() const override { return "tests.TitledJson"; }
  [[nodiscard]] ItemFiles encode(const args::JsonSave& args) const override {
    return {{"titled.txt", "title: " + boost::json::serialize(args.value)}};
  }
  [[nodiscard]] std::string decode(const ItemFiles& files,
                                   const args::JsonRestore& /*all*/) const override {
    return files.at("titled.txt");
  }
};

class Handlers : public test::ManagerTest {
 protected:
  [[nodiscard]] ManagerOptions with_words() {
    ManagerOptions given = options();
    given.handlers.add(std::make_shared<WordsHandler>());
    return given;
  }
  void overwrite(const std::string& below, const std::string& text) const {
    std::ofstream(root() + "/" + below) << text;
  }
  static Tree small() { return Tree(Dict{{"a", Tree(1)}}); }
};
CAIRN_ON_EVERY_BACKEND(Handlers);

TEST_P(Handlers, AnItemOfTheUsersOwnComesBack) {
  CheckpointManager manager(root(), with_words());
  EXPECT_TRUE(manager.save(0, WordsSave{{"a", "b"}}).get());
  EXPECT_EQ(manager.restore(0).get().get<Words>("default"), (Words{"a", "b"}));
  EXPECT_EQ(manager.restore(0, WordsRestore{true}).get().get<Words>("default"), (Words{"b", "a"}));
  EXPECT_TRUE(std::filesystem::exists(root() + "/0/default/commit_success.txt"));
  const ItemMetadata item = manager.item_metadata(0).get().only();
  EXPECT_EQ(item.handler, "tests.Words");
  EXPECT_FALSE(item.tree);
  EXPECT_EQ(item.stored_bytes, 5u);
  EXPECT_EQ(item.description.at("count"), "2");
  EXPECT_TRUE(verify_step(manager.engine(), root() + "/0").get().ok());
}

TEST_P(Handlers, AValueOfAnotherTypeIsNotGivenOut) {
  CheckpointManager manager(root(), with_words());
  EXPECT_TRUE(manager.save(0, WordsSave{{"a"}}).get());
  Restored restored = manager.restore(0).get();
  const Error error = error_of([&] { static_cast<void>(restored.tree("default")); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_THAT(error.what(), HasSubstr("vector"));
  EXPECT_THAT(error.what(), HasSubstr("not a tree"));
}

TEST_P(Handlers, WhatAHandlerThrowsNamesItemAndHandler) {
  CheckpointManager manager(root(), with_words());
  const Error saving = error_of([&] { return manager.save(0, WordsSave{{"throw"}}).get(); });
  EXPECT_EQ(saving.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(saving.context().item, "default");
  EXPECT_THAT(saving.what(), HasSubstr("tests.Words"));
  EXPECT_THAT(saving.what(), HasSubstr("a word that cannot be"));
  EXPECT_EQ(entries(), std::vector<std::string>());

  EXPECT_TRUE(manager.save(1, WordsSave{{"a", "b"}}).get());
  std::filesystem::remove(root() + "/1/default/_CAIRN");  // which knows the files as they were
  overwrite("1/default/count", "3");
  const Error restoring = error_of([&] { return manager.restore(1).get(); });
  EXPECT_EQ(restoring.code(), ErrorCode::data_loss);
  EXPECT_THAT(restoring.what(), HasSubstr("words lost"));
  std::filesystem::remove(root() + "/1/default/words.txt");
  const Error missing = error_of([&] { return manager.restore(1).get(); });
  EXPECT_EQ(missing.code(), ErrorCode::data_loss);
  EXPECT_EQ(missing.context().item, "default");
  EXPECT_THAT(missing.what(), HasSubstr("'words.txt'; files: count"));
}

TEST_P(Handlers, NamesThatAFileOfAnItemCannotHaveAreRefused) {
  CheckpointManager manager(root(), with_words());
  for (const char* what : {"slash", "marker", "record", "long"}) {
    const Error error = error_of([&] { return manager.save(0, WordsSave{{what}}).get(); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("cannot have"));
  }
  EXPECT_EQ(manager.all_steps(true), std::vector<Step>());
}

TEST_P(Handlers, AFailedWriteOfAUsersFileFailsTheSave) {
  test::EngineSettings settings;
  settings.faults = std::make_shared<engine::FaultPlan>();
  ManagerOptions given = options(settings);
  given.handlers.add(std::make_shared<WordsHandler>());
  CheckpointManager manager(root(), given);
  settings.faults->fail(engine::FaultPlan::only({engine::IoOp::sync_all}), 1, EIO);
  const Error error = error_of([&] { return manager.save(0, WordsSave{{"a"}}).get(); });
  EXPECT_EQ(error.code(), ErrorCode::io_error);
  EXPECT_EQ(manager.all_steps(true), std::vector<Step>());
  EXPECT_TRUE(manager.save(0, WordsSave{{"a"}}).get());
}

TEST_P(Handlers, ArgumentsThatNoHandlerTakesAreNamedWithTheHandlersThereAre) {
  CheckpointManager manager(root(), options());
  const Error saving = error_of([&] { return manager.save(0, WordsSave{{"a"}}).get(); });
  EXPECT_EQ(saving.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(saving.context().item, "default");
  EXPECT_THAT(saving.what(), HasSubstr("WordsSave"));
  EXPECT_THAT(saving.what(), HasSubstr("cairn::args::StandardSave"));
  EXPECT_TRUE(manager.save(0, small()).get());
  const Error restoring = error_of([&] { return manager.restore(0, WordsRestore()).get(); });
  EXPECT_EQ(restoring.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(restoring.what(), HasSubstr("WordsRestore"));
}

TEST_P(Handlers, AnItemStaysWithTheHandlerOfItsFirstSave) {
  CheckpointManager manager(root(), with_words());
  // A save that fails settles nothing.
  static_cast<void>(error_of([&] { return manager.save(0, WordsSave{{"throw"}}).get(); }));
  EXPECT_TRUE(manager.save(0, small()).get());
  const Error error = error_of([&] { return manager.save(1, WordsSave{{"a"}}).get(); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("StandardCheckpointHandler"));
  EXPECT_THAT(error.what(), HasSubstr("tests.Words"));
  EXPECT_TRUE(manager.save(1, args::PyTreeSave(small())).get()) << "also a tree";
  manager.close().get();  // which waits until it has let go of the root
  CheckpointManager another(root(), with_words());
  EXPECT_TRUE(another.save(2, WordsSave{{"a"}}).get());
}

TEST_P(Handlers, AHandlerForTheItemGoesBeforeOneForAnyName) {
  ManagerOptions given = with_words();
  given.handlers.add("mine", std::make_shared<WordsHandler>("tests.Mine"));
  CheckpointManager manager(root(), given);
  args::Composite items{{"mine", WordsSave{{"a"}}}, {"other", WordsSave{{"b"}}}};
  EXPECT_TRUE(manager.save(0, std::move(items)).get());
  const StepMetadata metadata = manager.metadata(0).get();
  EXPECT_EQ(metadata.item_handlers.at("mine"), "tests.Mine");
  EXPECT_EQ(metadata.item_handlers.at("other"), "tests.Words");
  EXPECT_EQ(manager.restore(0).get().get<Words>("mine"), Words{"a"});
  // What the item's handler does not read is not given to another one.
  EXPECT_TRUE(
      CheckpointManager(root(), with_words()).save(1, args::Composite{{"mine", small()}}).get());
  const Error error = error_of([&] { return manager.restore(1).get(); });
  EXPECT_EQ(error.code(), ErrorCode::not_supported);
  EXPECT_THAT(error.what(), HasSubstr("tests.Mine"));
}

TEST_P(Handlers, AHandlerForAnyNameGoesBeforeCairnsOwnForTheSameArguments) {
  ManagerOptions given = options();
  given.handlers.add(std::make_shared<TitledJsonHandler>());
  {
    CheckpointManager manager(root(), given);
    args::Composite items{{"document", args::JsonSave(boost::json::value("text"))},
                          {"tree", small()}};
    EXPECT_TRUE(manager.save(0, std::move(items)).get());
  }
  EXPECT_TRUE(std::filesystem::exists(root() + "/0/document/titled.txt"));
  CheckpointManager manager(root(), given);
  const StepMetadata metadata = manager.metadata(0).get();
  EXPECT_EQ(metadata.item_handlers.at("document"), "tests.TitledJson");
  EXPECT_EQ(metadata.item_handlers.at("tree"), handlers::standard()->name());
  const args::CompositeRestore named{{"document", args::JsonRestore()}};
  for (const args::RestoreArgs& how : {args::RestoreArgs(), args::RestoreArgs(named)}) {
    EXPECT_EQ(manager.restore(0, how).get().get<std::string>("document"), "title: \"text\"");
  }
  // One that does not know it takes neither the name nor the files for its own.
  CheckpointManager plain(root(), options());
  EXPECT_EQ(error_of(plain.restore(0)).code(), ErrorCode::not_supported);
}

TEST_P(Handlers, ErrorsOfSeveralItemsAreOne) {
  CheckpointManager manager(root(), with_words());
  args::Composite items;
  for (int i = 0; i < 4; ++i) items.add("good" + std::to_string(i), WordsSave{{"a"}});
  items.add("bad", WordsSave{{"throw"}}).add("empty", Tree(Dict())).add("worse", Tree("text"));
  const Error error = error_of([&] { return manager.save(0, std::move(items)).get(); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.context().item, "bad");
  EXPECT_THAT(error.what(), HasSubstr("3 of 7 items failed, first: "));
  EXPECT_EQ(manager.all_steps(true), std::vector<Step>());
}

TEST_P(Handlers, AStepMetadataFileThatCannotBeReadCountsAsAbsentWithAWarning) {
  struct Lines : Logger {
    void log(const LogRecord& record) override {
      const std::lock_guard lock(mutex);
      if (record.level == LogLevel::warning) warnings.push_back(record.message);
    }
    std::mutex mutex;
    std::vector<std::string> warnings;
  };
  {
    CheckpointManager writer(root(), options());
    EXPECT_TRUE(writer.save(0, small()).get());
  }
  overwrite("0/_CHECKPOINT_METADATA", "{\"item_handlers\": ");
  const auto lines = std::make_shared<Lines>();
  ManagerOptions given = options();
  given.logger = lines;
  CheckpointManager manager(root(), given);
  EXPECT_EQ(manager.restore(0).get().tree(), small());
  const StepMetadata metadata = manager.metadata(0).get();
  EXPECT_TRUE(metadata.item_handlers.empty());
  EXPECT_FALSE(metadata.commit_timestamp_ns);
  EXPECT_TRUE(metadata.item_metadata.only().tree);
  EXPECT_THAT(lines->warnings, ::testing::Contains(HasSubstr("counts as absent")).Times(2));
}

// ---- the registry itself ------------------------------------------------------------------------

TEST(HandlerRegistry, RefusesASecondHandlerForTheSameArgumentsOrName) {
  HandlerRegistry registry;
  registry.add(std::make_shared<WordsHandler>());
  const auto refused = [](auto call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code() == ErrorCode::invalid_argument;
    }
    return false;
  };
  EXPECT_TRUE(refused([&] { registry.add(std::make_shared<WordsHandler>("another name")); }));
  EXPECT_TRUE(refused([&] { registry.add(nullptr); }));
  EXPECT_TRUE(refused([&] { registry.add("", handlers::json()); }));
  EXPECT_TRUE(refused([&] { registry.add(std::make_shared<WordsHandler>("")); }));
  registry.add("item", std::make_shared<WordsHandler>()).add("item", handlers::json());
  EXPECT_TRUE(refused([&] { registry.add("item", handlers::json()); }));
  EXPECT_EQ(registry.entries().size(), 3u);
}

}  // namespace
}  // namespace cairn

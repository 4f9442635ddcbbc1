// A file of an item that is no tree, JSON or metrics or a message, whose bytes have changed: it is
// reported, never returned as a value.

#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/crc32c.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstring>
#include <random>
#include <span>

#include "manager/stored_samples.h"
#include "support/manager_fixture.h"
#include "support/policy_samples.h"
#include "support/sanitized.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

struct NotesSave {
  std::string text;
};
struct NotesRestore {};

/// Reads whatever there is: nothing but the record tells that it is something else.
class NotesHandler final : public Handler<NotesSave, NotesRestore, std::string> {
 public:
  [[nodiscard]] std::string_view name() const override { return "tests.Notes"; }
  [[nodiscard]] ItemFiles encode(const NotesSave& args) const override {
    return {{"notes.txt", args.text}, {"author", "nobody"}};
  }
  [[nodiscard]] std::string decode(const ItemFiles& files, const NotesRestore&) const override {
    return files.contains("notes.txt") ? files.at("notes.txt") : "";
  }
};

/// An item, and its file.
struct Place {
  std::string item;
  std::string file;  ///< below the item
};
const std::vector<Place> kPlaces{{"config", "metadata"},
                                 {"message", "proto.pbtxt"},
                                 {"metrics", "metrics"},
                                 {"rng", "np_random_key_metadata/metadata"},
                                 {"key", "jax_random_key_metadata/metadata"}};

class FileChecksums : public test::ManagerTest {
 protected:
  void SetUp() override {
    ManagerOptions given = options();
    given.handlers.add(std::make_shared<NotesHandler>());
    manager_.emplace(root(), given);
    save(0);
  }

  void save(Step step) {
    args::Composite items;
    items.add("config", args::JsonSave(boost::json::object{{"epoch", 3}}));
    items.add("message", args::ProtoSave(TextProto("value: 7")));
    items.add("rng", args::RandomKeySave(std::mt19937(1)));
    items.add("key", args::JaxRandomKeySave(JaxRandomKey(Array(DType::uint32, {2}))));
    items.add("notes", NotesSave{"a note"});
    items.add("model", Tree(Dict{{"a", Tree(1)}}));
    SaveOptions with;
    with.metrics = test::metric("loss", static_cast<double>(step) + 1.5);
    ASSERT_TRUE(manager_->save(step, std::move(items), with).get());
  }

  [[nodiscard]] std::string step_path() const { return root() + "/0"; }
  [[nodiscard]] fs::path path_of(const Place& place) const {
    return fs::path(step_path()) / place.item / place.file;
  }
  [[nodiscard]] fs::path record_of(const Place& place) const {
    return path_of(place).parent_path() / "_CAIRN";
  }
  [[nodiscard]] std::vector<std::string> names_in(const std::string& below) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(root() + "/" + below))
      names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }

  Restored restore(const std::string& item) {
    args::CompositeRestore wanted;
    wanted.items.emplace_back(item, args::ItemRestore());
    return manager_->restore(0, std::move(wanted)).get();
  }
  VerifyReport verify() { return verify_step(manager_->engine(), step_path()).get(); }

  /// Both a restore and verify name `file`, and nothing else.
  void expect_damage(const std::string& item, const fs::path& file,
                     const ::testing::Matcher<std::string>& message) {
    const Error error = error_of([&] { static_cast<void>(restore(item)); });
    EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
    EXPECT_EQ(error.context().item, item);
    EXPECT_EQ(error.context().path, file.string());
    EXPECT_THAT(std::string(error.what()), message);
    expect_verify_names(item, file, message);
  }
  void expect_verify_names(const std::string& item, const fs::path& file,
                           const ::testing::Matcher<std::string>& message) {
    const VerifyReport report = verify();
    ASSERT_THAT(report.damages, SizeIs(1));
    EXPECT_EQ(report.damages[0].item, item);
    EXPECT_EQ(report.damages[0].file, file.string());
    EXPECT_THAT(report.damages[0].message, message);
  }
  void expect_sound() {
    EXPECT_NO_THROW(static_cast<void>(manager_->restore(0, args::CompositeRestore()).get()));
    EXPECT_TRUE(verify().ok());
  }

  std::optional<CheckpointManager> manager_;
};
CAIRN_ON_EVERY_BACKEND(FileChecksums);

std::string with_a_changed_bit(std::string bytes, std::size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
  return bytes;
}

TEST_P(FileChecksums, AChangedBitInAnyByteOfAFileIsDamage) {
  for (const Place& place : kPlaces) {
    const fs::path path = path_of(place);
    const std::string whole = test::read_file(path);
    ASSERT_FALSE(whole.empty());
    for (std::size_t at = 0; at < whole.size() && !HasFailure(); at += test::kOneCaseIn) {
      SCOPED_TRACE(path.string() + ", byte " + std::to_string(at));
      const std::string changed = with_a_changed_bit(whole, at);
      test::write_file(path, changed);
      expect_damage(place.item, path,
                    AllOf(HasSubstr(content_hash(changed)), HasSubstr(content_hash(whole)),
                          HasSubstr("remove the item's _CAIRN")));
    }
    test::write_file(path, whole);
  }
  expect_sound();
}

TEST_P(FileChecksums, AFileOfAnotherSizeIsDamage) {
  for (const Place& place : kPlaces) {
    const fs::path path = path_of(place);
    const std::string whole = test::read_file(path);
    for (const std::string& other : {std::string(), whole + " ", whole.substr(1)}) {
      test::write_file(path, other);
      expect_damage(place.item, path,
                    AllOf(HasSubstr(std::to_string(other.size()) + " bytes of"),
                          HasSubstr(std::to_string(whole.size()) + " bytes of")));
    }
    test::write_file(path, whole);
  }
}

TEST_P(FileChecksums, AMissingFileOfTheRecordIsDamage) {
  for (const Place& place : {kPlaces[0], kPlaces[1], kPlaces[2]}) {
    const fs::path path = path_of(place);
    const std::string whole = test::read_file(path);
    fs::remove(path);
    expect_damage(place.item, path, HasSubstr("the file is missing"));
    test::write_file(path, whole);
  }
  expect_sound();
}

TEST_P(FileChecksums, AFileThatCannotBeReadHidesNoOther) {
  const fs::path item = fs::path(step_path()) / "notes";
  fs::remove(item / "author");
  ASSERT_EQ(::mkfifo((item / "author").c_str(), 0600), 0);
  test::write_file(item / "notes.txt", "another note");
  std::vector<std::string> found;
  for (const Damage& damage : verify().damages) {
    EXPECT_EQ(damage.item, "notes");
    found.push_back(fs::path(damage.file).filename());
  }
  EXPECT_THAT(found, ElementsAre("author", "notes.txt"));
}

TEST_P(FileChecksums, MetricsAreCheckedWhereverTheyAreRead) {
  const fs::path path = path_of(kPlaces[2]);
  std::string text = test::read_file(path);
  ASSERT_EQ(manager_->metrics(0).get(), test::metric("loss", 1.5));
  text[text.find('1')] = '9';  // the best of all losses
  test::write_file(path, text);
  const Error error = error_of(manager_->metrics(0));
  EXPECT_EQ(error.code(), ErrorCode::data_loss);
  EXPECT_EQ(error.context().path, path.string());
  // A step that is ranked by them.
  save(1);
  test::write_file(step_path() + "/_CHECKPOINT_METADATA", R"({"metrics": {}})");
  ManagerOptions ranking = options();
  ranking.best_fn = test::loss_of;
  EXPECT_EQ(CheckpointManager(root(), ranking).best_step(), 1);
  fs::remove(record_of(kPlaces[2]));
  EXPECT_EQ(CheckpointManager(root(), ranking).best_step(), 0) << "nobody knows better";
}

TEST_P(FileChecksums, AnItemWithoutARecordIsTakenAsItIs) {
  for (const Place& place : kPlaces) fs::remove(record_of(place));
  expect_sound();
  test::write_file(path_of(kPlaces[0]), R"({"epoch":4})");
  EXPECT_EQ(restore("config").json("config").at("epoch").as_int64(), 4);
  EXPECT_TRUE(verify().ok());
}

TEST_P(FileChecksums, AnItemWhoseRecordSaysNothingOfFilesIsTakenAsItIs) {
  test::write_file(record_of(kPlaces[0]), encode(CairnRecord()));
  test::write_file(path_of(kPlaces[0]), R"({"epoch":4})");
  EXPECT_EQ(restore("config").json("config").at("epoch").as_int64(), 4);
  EXPECT_TRUE(verify().ok());
}

TEST_P(FileChecksums, ADamagedRecordIsDamage) {
  const std::string whole = test::read_file(record_of(kPlaces[0]));
  for (std::size_t at = 0; at < whole.size() && !HasFailure(); at += test::kOneCaseIn) {
    SCOPED_TRACE("byte " + std::to_string(at));
    test::write_file(record_of(kPlaces[0]), with_a_changed_bit(whole, at));
    expect_damage("config", record_of(kPlaces[0]), HasSubstr("_CAIRN record"));
  }
  test::write_file(record_of(kPlaces[0]), whole);
  for (const Place& place : kPlaces) {
    const std::string record = test::read_file(record_of(place));
    for (const std::string& other : {std::string(), record.substr(0, record.size() - 1)}) {
      test::write_file(record_of(place), other);
      expect_damage(place.item, record_of(place), HasSubstr("_CAIRN record"));
    }
    test::write_file(record_of(place), record);
  }
  expect_sound();
}

TEST_P(FileChecksums, ARecordOfANewerVersionIsRefusedAndNoDamage) {
  std::string newer("CAIRNREC\2\0", 10);
  const std::uint32_t crc = crc32c(std::as_bytes(std::span(newer.data(), newer.size())));
  newer.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
  test::write_file(record_of(kPlaces[0]), newer);
  const Error error = error_of([&] { static_cast<void>(restore("config")); });
  EXPECT_EQ(error.code(), ErrorCode::not_supported);
  EXPECT_THAT(error.what(), HasSubstr("newer version"));
  const VerifyReport report = verify();
  EXPECT_TRUE(report.ok());
  ASSERT_THAT(report.unchecked, SizeIs(1));
  EXPECT_EQ(report.unchecked[0].file, record_of(kPlaces[0]).string());
}

TEST_P(FileChecksums, FilesOfAUsersHandlerAreCheckedWithTheHandlerAndWithout) {
  EXPECT_THAT(verify().unchecked_items, ElementsAre("notes"));
  const Place notes{"notes", "notes.txt"};
  const std::string whole = test::read_file(path_of(notes));
  test::write_file(path_of(notes), "another");
  expect_damage("notes", path_of(notes), HasSubstr(content_hash("another")));
  fs::remove(path_of(notes));
  expect_damage("notes", path_of(notes), HasSubstr("the file is missing"));
  test::write_file(path_of(notes), whole);
  test::write_file(step_path() + "/notes/more.txt", "of nobody's");
  EXPECT_EQ(restore("notes").get<std::string>("notes"), "a note");
  expect_sound();
}

TEST_P(FileChecksums, TheRecordIsInTheItemsDirectoryAlone) {
  EXPECT_THAT(names_in("0/config"), ElementsAre("_CAIRN", "commit_success.txt", "metadata"));
  EXPECT_THAT(names_in("0/metrics"), ElementsAre("_CAIRN", "commit_success.txt", "metrics"));
  EXPECT_THAT(names_in("0/key"),
              ElementsAre("commit_success.txt", "jax_random_key", "jax_random_key_metadata"));
  EXPECT_THAT(names_in("0"), Not(Contains("_CAIRN")));
  const CairnRecord record = decode_record(test::read_file(step_path() + "/notes/_CAIRN"));
  ASSERT_THAT(record.files, SizeIs(2));
  EXPECT_EQ(record.files[0].name, "author");
  EXPECT_EQ(record.files[1].name, "notes.txt");
  EXPECT_EQ(record.files[1].bytes, 6u);
  EXPECT_EQ(to_hex(record.files[1].hash), content_hash("a note"));
  EXPECT_FALSE(record.writer_version.empty());
}

TEST_P(FileChecksums, ARecordMakesNoTreeOfAnItem) {
  fs::remove(step_path() + "/_CHECKPOINT_METADATA");
  const auto kind = [this](const std::string& name) {
    const StepInfo step = inspect_step(manager_->engine(), step_path()).get();
    for (const ItemInfo& item : step.items) {
      if (item.name == name) return item.kind;
    }
    return std::string("none");
  };
  EXPECT_EQ(kind("config"), "json");
  EXPECT_EQ(kind("message"), "proto");
  EXPECT_EQ(kind("rng"), "random key");
  EXPECT_EQ(kind("notes"), "unknown");
  EXPECT_EQ(restore("config").json("config").at("epoch").as_int64(), 3);
  fs::remove(path_of(kPlaces[0]));
  EXPECT_EQ(kind("config"), "unknown");
  args::CompositeRestore as_tree;
  as_tree.items.emplace_back("config", args::StandardRestore());
  const Error error = error_of(manager_->restore(0, std::move(as_tree)));
  EXPECT_THAT(error.what(), HasSubstr("neither Orbax's _METADATA"));
}

TEST_P(FileChecksums, AStepWithAChangedFileIsPassedOver) {
  save(1);
  test::write_file(root() + "/1/config/metadata", R"({"epoch":4})");
  const LatestValid found = manager_->restore_latest_valid(args::CompositeRestore()).get();
  EXPECT_EQ(found.restored.step(), 0);
  ASSERT_THAT(found.skipped, SizeIs(1));
  EXPECT_EQ(found.skipped[0].step, 1);
  EXPECT_EQ(found.skipped[0].error.code(), ErrorCode::data_loss);
}

}  // namespace
}  // namespace cairn

// What verify, inspect and read_tree make of directories that are partly broken, partly foreign, or
// change under them.

#include <gmock/gmock.h>

#include <functional>
#include <numeric>
#include <thread>

#include "manager/expected_tree.h"
#include "manager/stored_samples.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using engine::FaultPlan;
using engine::IoOp;
using engine::IoRequest;
using test::checkpoint;
using test::write_file;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class PartlyBroken : public test::ManagerTest {
 protected:
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam(), faulty());

  test::EngineSettings faulty() {
    test::EngineSettings settings;
    settings.faults = faults_;
    return settings;
  }
  /// Every opening of what has this name fails.
  void fail_to_open(const std::string& path, int error) {
    const auto matches = [path](const IoRequest& request) {
      return request.op == IoOp::open && request.path == path;
    };
    faults_->fail(matches, 1, error, FaultPlan::kForever);
  }
  /// An array of one chunk at `path`: 1, 2, 3, ...
  static void write_array(const fs::path& path, Index size = 100) {
    Array array = Array::uninitialized(DType::uint32, {size});
    std::iota(array.values<std::uint32_t>().begin(), array.values<std::uint32_t>().end(), 1u);
    const auto metadata = test::raw_array(DType::uint32, {size}, {size});
    write_file(path / "zarr.json", zarr::encode_metadata(metadata));
    write_file(path / "c/0", test::text_of(array.bytes()));
  }
  static std::vector<std::string> key_paths(const std::vector<Damage>& damages) {
    std::vector<std::string> paths;
    for (const Damage& damage : damages) paths.push_back(damage.key_path);
    return paths;
  }
  static void expect_error(ErrorCode code, const std::string& text,
                           const std::function<void()>& f) {
    try {
      f();
      ADD_FAILURE() << "no error with " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(text));
    }
  }
};
CAIRN_ON_EVERY_BACKEND(PartlyBroken);

// ---- what is broken does not hide what is not ---------------------------------------------------

TEST_P(PartlyBroken, ArraysThatCannotBeReadDoNotKeepOthersFromBeingChecked) {
  const fs::path item = root();
  for (const char* name : {"a", "broken", "strange", "short", "z"}) write_array(item / name);
  write_file(item / "broken/zarr.json", "{");
  std::string text = test::read_file(item / "strange/zarr.json");
  text.replace(text.find("\"bytes\""), 7, "\"tuned\"");
  write_file(item / "strange/zarr.json", text);
  write_file(item / "short/c/0", "123");
  const VerifyReport report = verify_item(engine_, root()).get();
  EXPECT_THAT(key_paths(report.damages), UnorderedElementsAre("broken", "short"));
  ASSERT_THAT(key_paths(report.unchecked), ElementsAre("strange"));
  EXPECT_THAT(report.unchecked[0].message, HasSubstr("tuned"));
  EXPECT_EQ(report.arrays, 3u);
  EXPECT_EQ(report.chunks, 2u);
  EXPECT_FALSE(report.ok());
}

TEST_P(PartlyBroken, ALeafOfATypeThatSomebodyRegisteredWithOrbaxHidesNoOther) {
  for (const Layout layout : {Layout::ocdbt_zarr3, Layout::zarr2}) {
    SCOPED_TRACE(to_string(layout));
    ManagerOptions options;
    options.engine = engine_;
    options.layout = layout;
    CheckpointManager manager(root() + "/" + std::string(to_string(layout)), options);
    const Tree array(Array(DType::int8, {3}));
    ASSERT_TRUE(manager.save(0, Dict{{"a", array}, {"b", array}, {"n", Tree(3)}}).get());
    const fs::path item = manager.directory() + "/0/default";
    fs::remove(item / "_CAIRN");  // which knows the file as it was
    std::string text = test::read_file(item / "_METADATA");
    const std::string type = "np.ndarray";
    text.replace(text.find(type, text.find("('b',)")), type.size(), "torch.Tensor");
    write_file(item / "_METADATA", text);
    for (const Error& error :
         {error_of(manager.restore(0)), error_of(read_tree(engine_, item)),
          error_of(read_tree(engine_, item, ReadOptions({args::Selection("b")})))}) {
      EXPECT_EQ(error.code(), ErrorCode::not_supported) << error.what();
      EXPECT_EQ(error.context().key_path, "b");
      EXPECT_EQ(error.context().path, (item / "_METADATA").string());
      EXPECT_THAT(error.what(), HasSubstr("\"torch.Tensor\""));
    }
    const Tree others(Dict{{"a", array}, {"n", Tree(3)}});
    args::StandardRestore named({args::Selection("a"), args::Selection("n")});
    EXPECT_EQ(manager.restore(0, named).get().tree(), others);
    args::StandardRestore into(Tree(Dict{{"a", Tree(LeafSpec())}, {"n", Tree(LeafSpec())}}));
    into.partial_restore = true;
    EXPECT_EQ(manager.restore(0, into).get().tree(), others);
    const VerifyReport report = verify_step(engine_, manager.directory() + "/0").get();
    EXPECT_THAT(report.damages, IsEmpty());
    EXPECT_THAT(key_paths(report.unchecked), ElementsAre("b"));
    EXPECT_EQ(report.arrays, 2u);
    const ItemInfo info = inspect_item(engine_, item).get();
    ASSERT_THAT(info.leaves, SizeIs(3));
    for (const LeafInfo& leaf : info.leaves) {
      EXPECT_EQ(leaf.fault.has_value(), leaf.key_path == "b") << leaf.key_path;
      EXPECT_EQ(leaf.kind == "foreign", leaf.key_path == "b") << leaf.kind;
    }
  }
}

TEST_P(PartlyBroken, FilesThatCannotBeReadAreReportedWithTheirArray) {
  const fs::path item = root();
  for (const char* name : {"a", "failing", "locked", "meta", "z"}) write_array(item / name);
  fail_to_open("failing/c/0", EIO);
  fail_to_open("locked/c/0", EACCES);
  fail_to_open("meta/zarr.json", EIO);
  const VerifyReport report = verify_item(engine_, root()).get();
  ASSERT_THAT(key_paths(report.damages), UnorderedElementsAre("failing", ""));
  EXPECT_THAT(report.damages[0].message, HasSubstr("meta/zarr.json"));
  EXPECT_THAT(report.damages[1].message, HasSubstr("chunk c/0"));
  EXPECT_THAT(key_paths(report.unchecked), ElementsAre("locked"));
  EXPECT_EQ(report.chunks, 2u);
  expect_error(ErrorCode::io_error, "failing", [&] {
    static_cast<void>(read_tree(engine_, root(), ReadOptions({args::Selection("failing")})).get());
  });
}

TEST_P(PartlyBroken, ADirectoryThatMayNotBeReadIsReportedAndTheRestIsChecked) {
  const fs::path item = root();
  for (const char* name : {"a", "locked/b", "z"}) write_array(item / name);
  fail_to_open("locked", EACCES);
  const VerifyReport report = verify_item(engine_, root()).get();
  EXPECT_TRUE(report.ok());
  ASSERT_THAT(report.unchecked, SizeIs(1));
  EXPECT_EQ(report.unchecked[0].file, root() + "/locked");
  EXPECT_EQ(report.chunks, 2u);
  expect_error(ErrorCode::permission_denied, "locked",
               [&] { static_cast<void>(read_tree(engine_, root()).get()); });
}

TEST_P(PartlyBroken, ABrokenNodeCostsTheArraysInItAlone) {
  const std::string text = zarr::encode_metadata(test::raw_array(DType::uint8, {4}, {4}));
  const ocdbt::Config config;
  std::vector<std::string> nodes;
  std::vector<ocdbt::Child> children;
  std::uint64_t offset = 0;
  for (const std::string name : {"a", "b", "c"}) {
    ocdbt::Node leaf;
    leaf.entries = std::vector<ocdbt::Entry>{{name + "/c/0", std::string("1234")},
                                             {name + "/zarr.json", text}};
    nodes.push_back(ocdbt::encode(leaf, config));
    ocdbt::Child child;
    child.key = name + "/c/0";
    child.location.offset = offset;
    child.location.length = nodes.back().size();
    offset += nodes.back().size();
    children.push_back(child);
  }
  nodes[1][20] ^= 1;
  ocdbt::Node top;
  top.height = 1;
  top.files = {ocdbt::DataFile("", "d/nodes")};
  top.entries = children;
  nodes.push_back(ocdbt::encode(top, config));
  test::write_nodes(root(), 1, nodes);
  const VerifyReport report = verify_item(engine_, root()).get();
  ASSERT_THAT(report.damages, SizeIs(1));
  EXPECT_EQ(report.damages[0].file, root() + "/d/nodes");
  EXPECT_EQ(report.arrays, 2u);
  EXPECT_EQ(report.chunks, 2u);
  expect_error(ErrorCode::data_loss, "d/nodes",
               [&] { static_cast<void>(read_tree(engine_, root()).get()); });
}

// ---- chunks that are read together --------------------------------------------------------------

class SharedExtent : public PartlyBroken {
 protected:
  /// Four arrays of 100 KB, which lie behind each other in one data file.
  void SetUp() override {
    CheckpointManager manager(root(), options());
    Dict tree;
    for (int i = 0; i < 4; ++i) {
      arrays_.push_back(Array::uninitialized(DType::uint32, {25'000}));
      auto values = arrays_.back().values<std::uint32_t>();
      std::iota(values.begin(), values.end(), 1'000'000u * static_cast<unsigned>(i));
      tree["w" + std::to_string(i)] = Tree(arrays_.back());
    }
    ASSERT_TRUE(manager.save(0, std::move(tree)).get());
    for (const auto& entry : fs::directory_iterator(root() + "/0/default/d")) {
      if (file_.empty() || entry.file_size() > fs::file_size(file_)) file_ = entry.path();
    }
  }
  /// Where the array's last element is in the file.
  std::uint64_t place_of(int array) {
    const auto bytes = arrays_[static_cast<std::size_t>(array)].bytes();
    const std::string stored = test::read_file(file_);
    const auto at = stored.find(test::text_of(bytes.last(400)));
    EXPECT_NE(at, std::string::npos);
    return at + 396;
  }
  std::vector<Array> arrays_;
  fs::path file_;
};
CAIRN_ON_EVERY_BACKEND(SharedExtent);

TEST_P(SharedExtent, OnlyChunksBehindTheEndOfTheFileAreDamaged) {
  fs::resize_file(file_, place_of(2));
  const VerifyReport report = verify_step(engine_, root() + "/0").get();
  EXPECT_THAT(key_paths(report.damages), UnorderedElementsAre("w2", "w3"));
  EXPECT_EQ(report.chunks, 2u);
}

TEST_P(SharedExtent, OnlyTheChunkOnASectorThatCannotBeReadIsDamaged) {
  const std::uint64_t bad = place_of(1) - 50'000;
  const auto reads_it = [bad](const IoRequest& request) {
    return request.op == IoOp::read && request.offset <= bad &&
           bad < request.offset + request.length;
  };
  faults_->fail(reads_it, 1, EIO, FaultPlan::kForever);
  const VerifyReport report = verify_step(engine_, root() + "/0").get();
  ASSERT_THAT(key_paths(report.damages), ElementsAre("w1"));
  EXPECT_THAT(report.damages[0].message, AllOf(HasSubstr("chunk c/0"), HasSubstr(file_.string())));
  EXPECT_EQ(report.chunks, 3u);
  try {
    static_cast<void>(read_tree(engine_, root() + "/0").get());
    ADD_FAILURE() << "read all the same";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io_error);
    EXPECT_EQ(error.context().key_path, "w1");
  }
}

TEST_P(SharedExtent, AFileThatIsGoneIsReportedOnce) {
  fs::remove(file_);
  const VerifyReport report = verify_step(engine_, root() + "/0").get();
  ASSERT_THAT(report.damages, SizeIs(1));
  EXPECT_EQ(report.damages[0].file, file_.string());
  EXPECT_THAT(report.damages[0].message, HasSubstr("of arrays: 4, the first: w0"));
}

// ---- roots that change, and what is not ours in them
// ---------------------------------------------

TEST_P(PartlyBroken, ARootIsKnownThoughSomeOfItMayNotBeReadOrGoesAway) {
  fs::create_directories(root());
  fs::copy(checkpoint("managed"), root(), fs::copy_options::recursive);
  for (const char* name : {"lost+found", "2", "aside"})
    fs::create_directory(fs::path(root()) / name);
  fail_to_open("lost+found", EACCES);
  fail_to_open("2", ENOENT);
  fs::create_directory_symlink("/", fs::path(root()) / "aside/link");
  fail_to_open("aside", EXDEV);
  EXPECT_EQ(kind_of_path(engine_, root()).get(), PathKind::root);
  EXPECT_TRUE(verify_step(engine_, root() + "/3").get().ok());
}

TEST_P(PartlyBroken, AStepThatIsDeletedMeanwhileIsNotTakenForADamagedOne) {
  const auto data = [](const IoRequest& request) {
    return request.op == IoOp::open && request.path.find("manifest.ocdbt") != std::string::npos;
  };
  const std::string step = root() + "/3";
  const auto deleted_during = [&](const std::function<void()>& finish) {
    fs::remove_all(root());
    fs::create_directories(root());
    fs::copy(checkpoint("managed"), root(), fs::copy_options::recursive);
    faults_->hold(data);
    std::thread reader([&] { expect_error(ErrorCode::step_deleted, step, finish); });
    faults_->wait_until_held(1);
    fs::remove_all(step);
    faults_->release();
    reader.join();
    faults_->clear();
  };
  deleted_during([&] { static_cast<void>(verify_step(engine_, step).get()); });
  deleted_during([&] { static_cast<void>(inspect_step(engine_, step).get()); });
  deleted_during([&] { static_cast<void>(read_tree(engine_, step + "/model").get()); });
}

// ---- directories --------------------------------------------------------------------------------

TEST_P(PartlyBroken, ArraysInNestedDirectoriesWithoutGroupsAreATree) {
  const fs::path item = fs::path(root()) / "arrays";
  write_array(item / "model/encoder/layer/kernel");
  write_array(item / "model/decoder/bias");
  fs::create_directories(item / "empty/inside");
  EXPECT_EQ(kind_of_path(engine_, item).get(), PathKind::item);
  const Tree tree = read_tree(engine_, item).get();
  EXPECT_EQ(tree.at("model").at("encoder").at("layer").at("kernel").as<Array>().size(), 100);
  EXPECT_EQ(tree.at("model").at("decoder").as<Dict>().size(), 1u);
  EXPECT_EQ(verify_item(engine_, item).get().arrays, 2u);
  EXPECT_THAT(inspect_item(engine_, item).get().leaves, SizeIs(2));
  // As an item of a step, too.
  const VerifyReport report = verify_step(engine_, root()).get();
  EXPECT_THAT(report.unchecked_items, IsEmpty());
  EXPECT_EQ(report.arrays, 2u);
}

TEST_P(PartlyBroken, NestedStepsAreNoNestedArrays) {
  CheckpointManager manager(root() + "/runs/first", options());
  ASSERT_TRUE(manager.save(0, Dict{{"a", Tree(1)}}).get());
  EXPECT_EQ(kind_of_path(engine_, root() + "/runs/first").get(), PathKind::root);
  EXPECT_EQ(kind_of_path(engine_, root() + "/runs").get(), PathKind::root);
  EXPECT_EQ(kind_of_path(engine_, root()).get(), PathKind::root);
}

TEST_P(PartlyBroken, ASaveThatNeverCommittedIsRefusedWhicheverWayItIsNamed) {
  for (const std::string name :
       {"5.orbax-checkpoint-tmp", "5.orbax-checkpoint-tmp-deleted-0123456789abcdef"}) {
    const std::string path = root() + "/" + name;
    fs::create_directories(root());
    fs::copy(checkpoint("managed/3"), path, fs::copy_options::recursive);
    for (const std::string& place : {path, path + "/", path + "/model", path + "/model/"}) {
      const auto refused = [&](const std::function<void()>& f) {
        expect_error(ErrorCode::incomplete_checkpoint, path, f);
      };
      refused([&] { static_cast<void>(read_tree(engine_, place).get()); });
      refused([&] { static_cast<void>(verify_item(engine_, place).get()); });
      refused([&] { static_cast<void>(inspect_item(engine_, place).get()); });
      refused([&] { static_cast<void>(inspect_values(engine_, place).get()); });
    }
  }
}

}  // namespace
}  // namespace cairn

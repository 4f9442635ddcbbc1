// Checkpoints that Orbax, TensorStore and zarr-python wrote, with the values that they read back.

#include <gmock/gmock.h>

#include <filesystem>

#include "manager/expected_tree.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using test::checkpoint;
using test::expect_tree;
using test::expected;
using ::testing::HasSubstr;

class Foreign : public test::ManagerTest {
 protected:
  Restored read(Step step) {
    CheckpointManager manager(root(), options());
    return manager.restore(step).get();
  }
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam());
};
CAIRN_ON_EVERY_BACKEND(Foreign);

TEST_P(Foreign, TreesAreReadWithTheValuesThatTheirWritersRead) {
  for (const std::string name :
       {"ocdbt_zarr2", "ocdbt_zarr3", "files_zarr2", "files_zarr3", "array_item", "v1", "left_out",
        "two_processes", "ts_files", "ts_ocdbt", "ts_bare", "ts_numbered", "zarr2_python",
        "zarr3_python"}) {
    SCOPED_TRACE(name);
    expect_tree(read_tree(engine_, checkpoint(name)).get(), expected(name));
  }
}

TEST_P(Foreign, TheyVerify) {
  for (const std::string name : {"ocdbt_zarr2", "ocdbt_zarr3", "files_zarr2", "files_zarr3",
                                 "array_item", "v1", "two_processes", "left_out"}) {
    const VerifyReport report = verify_step(engine_, checkpoint(name)).get();
    EXPECT_TRUE(report.ok()) << name << ": " << report.damages[0].message;
    EXPECT_GT(report.chunks, 0u) << name;
    EXPECT_THAT(report.unchecked_items, ::testing::IsEmpty()) << name;
  }
  for (const std::string name :
       {"ts_files", "ts_ocdbt", "ts_bare", "ts_numbered", "zarr2_python", "zarr3_python"}) {
    const VerifyReport report = verify_item(engine_, checkpoint(name)).get();
    EXPECT_TRUE(report.ok()) << name << ": " << report.damages[0].message;
    EXPECT_GT(report.chunks, 0u) << name;
  }
}

TEST_P(Foreign, AManagerRestoresAllItemsOfAnOrbaxStep) {
  ManagerOptions options = this->options();
  CheckpointManager manager(checkpoint("managed"), options);
  EXPECT_EQ(manager.all_steps(), std::vector<Step>{3});
  Restored restored = manager.restore(3).get();
  EXPECT_EQ(restored.items().size(), 4u);
  expect_tree(restored.tree("array"), expected("managed_array"));
  expect_tree(restored.tree("model"), expected("managed_model"));
  EXPECT_EQ(restored.json("config").at("name").as_string(), "x");
  EXPECT_EQ(manager.metrics(3).get().at("loss").as_double(), 0.25);
}

TEST_P(Foreign, AStepThatIsOneItemIsRestoredByAManager) {
  fs::create_directories(root());
  fs::copy(checkpoint("ocdbt_zarr2"), root() + "/5", fs::copy_options::recursive);
  CheckpointManager manager(root(), options());
  Restored restored = manager.restore(5).get();
  ASSERT_EQ(restored.items().size(), 1u);
  expect_tree(restored.tree(), expected("ocdbt_zarr2"));
  expect_tree(manager.restore(5, args::StandardRestore()).get().tree(), expected("ocdbt_zarr2"));
  try {
    static_cast<void>(
        manager.restore(5, args::CompositeRestore{{"default", args::StandardRestore()}}).get());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
  }
}

TEST_P(Foreign, StepMetadataMayBeAbsentOrDamagedOrPartial) {
  fs::create_directories(root());
  fs::copy(checkpoint("managed"), root(), fs::copy_options::recursive);
  const std::string metadata = root() + "/3/_CHECKPOINT_METADATA";
  for (const std::string text : {"{\"metrics\": {}}", "{\"item_handl", ""}) {
    std::ofstream(metadata, std::ios::trunc) << text;
    Restored restored = read(3);
    expect_tree(restored.tree("model"), expected("managed_model"));
    EXPECT_EQ(restored.json("config").at("name").as_string(), "x");
    EXPECT_EQ(restored.json("metrics").at("loss").as_double(), 0.25);
  }
  fs::remove(metadata);
  Restored restored = read(3);
  expect_tree(restored.tree("model"), expected("managed_model"));
}

TEST_P(Foreign, DirectoriesAreKnownForWhatTheyAre) {
  const auto kind = [&](const std::string& name) {
    return to_string(kind_of_path(engine_, checkpoint(name)).get());
  };
  EXPECT_EQ(kind("managed"), "root");
  for (const std::string name : {"managed/3", "v1", "ocdbt_zarr2", "array_item"})
    EXPECT_EQ(kind(name), "step") << name;
  for (const std::string name : {"managed/3/model", "managed/3/config", "v1/state", "ts_files",
                                 "ts_ocdbt", "ts_bare", "zarr2_python", "ts_files/raw"})
    EXPECT_EQ(kind(name), "item") << name;
}

TEST_P(Foreign, InspectShowsCodecsAndLayouts) {
  const auto leaves = [&](const std::string& name) {
    std::map<std::string, LeafInfo> found;
    for (const LeafInfo& leaf : inspect_item(engine_, checkpoint(name)).get().leaves)
      found.emplace(leaf.key_path, leaf);
    return found;
  };
  auto found = leaves("ts_ocdbt");
  using Codecs = std::vector<std::string>;
  EXPECT_EQ(found["nested/blosc"].codecs, (Codecs{"bytes", "blosc(lz4,5,shuffle)"}));
  EXPECT_EQ(found["sharded"].codecs, Codecs{"sharding([2, 3, 3]: bytes, zstd(1), crc32c)"});
  EXPECT_EQ(found["fortran"].codecs, (Codecs{"transpose([2, 1, 0])", "bytes(big)", "zstd(1)"}));
  EXPECT_EQ(found["fortran"].zarr_format, 2);
  EXPECT_EQ(found["raw"].zarr_format, 3);
  EXPECT_EQ(found["group/bz2"].chunks, 3u);
  EXPECT_EQ(inspect_item(engine_, checkpoint("ts_ocdbt")).get().layout, "OCDBT");
  EXPECT_EQ(inspect_item(engine_, checkpoint("ts_files")).get().layout, "directory");
}

TEST_P(Foreign, ValuesAreSummedUpPaddingAndMissingChunksIncluded) {
  std::map<std::string, Statistics> found;
  for (const std::string name : {"ts_files", "left_out", "zarr2_python"}) {
    for (const LeafValues& leaf : inspect_values(engine_, checkpoint(name)).get())
      found[name + ":" + leaf.key_path] = leaf.statistics;
  }
  // Edge chunks are padded, with zeros and with other fill values.
  const Statistics& nested = found["ts_files:nested/transposed"];
  EXPECT_EQ(nested.count, 105u);
  EXPECT_EQ(nested.min, -20);
  EXPECT_EQ(nested.max, 29);
  EXPECT_EQ(nested.sum, 360);
  EXPECT_EQ(found["left_out:w"].sum, 4 * 9 + 1 + 2);
  EXPECT_EQ(found["zarr2_python:sparse"].nans, 8u);
  EXPECT_EQ(found["zarr2_python:sparse"].mean(), 5);
}

// What ml_dtypes makes of int4 [-1, 7, -8] as raw bytes, and TensorStore stores.
TEST_P(Foreign, IntegersBelowAByteComeWithTheirSigns) {
  fs::create_directories(root() + "/c");
  std::ofstream(root() + "/zarr.json") << R"({"chunk_grid": {"configuration": {"chunk_shape": [3]},
      "name": "regular"}, "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes"}],
      "data_type": "int4", "fill_value": 0, "node_type": "array", "shape": [3], "zarr_format": 3})";
  std::ofstream(root() + "/c/0") << std::string("\x0f\x07\x08", 3);
  const Tree tree = read_tree(engine_, root()).get();
  EXPECT_EQ(test::hex(tree.as<Array>().bytes()), "ff07f8");
  const auto values = inspect_values(engine_, root()).get();
  ASSERT_EQ(values.size(), 1u);
  EXPECT_EQ(values[0].statistics.min, -8);
  EXPECT_EQ(values[0].statistics.max, 7);
}

const std::string kGolden = CAIRN_TEST_DATA "/golden";

/// The file whose absence is why a fixture cannot be read, by the fixture's name.
std::string missing_in(const std::string& name) {
  if (name.ends_with("dir_d")) return name + "/d/";
  if (name.ends_with("manifest.ocdbt")) return name + "/manifest.ocdbt";
  return name + (name.starts_with("v1_") ? "/state/_METADATA" : "/_METADATA");
}

TEST_P(Foreign, GoldenCheckpointsAreReadOrRefusedAsByOrbax) {
  std::size_t read = 0;
  std::size_t refused = 0;
  for (const auto& [name, wanted] : expected("golden")) {
    const std::string path = kGolden + "/" + std::string(name);
    SCOPED_TRACE(path);
    if (wanted.is_object()) {
      expect_tree(read_tree(engine_, path).get(), wanted.as_object());
      const VerifyReport report = verify_step(engine_, path).get();
      EXPECT_TRUE(report.ok());
      EXPECT_THAT(report.unchecked, ::testing::IsEmpty());
      ++read;
      continue;
    }
    try {
      static_cast<void>(read_tree(engine_, path).get());
      ADD_FAILURE() << "a broken checkpoint was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::not_found);
      EXPECT_THAT(error.what(), HasSubstr(missing_in(std::string(name))));
    }
    EXPECT_FALSE(verify_step(engine_, path).get().ok());
    ++refused;
  }
  EXPECT_EQ(read, 11u);
  EXPECT_EQ(refused, 5u);
}

TEST_P(Foreign, AManagerRestoresGoldenCheckpointsAsItsSteps) {
  fs::create_directories(root());
  Step step = 0;
  for (const auto& [name, wanted] : expected("golden")) {
    SCOPED_TRACE(std::string(name));
    const std::string path = root() + "/" + std::to_string(step);
    fs::copy(kGolden + "/" + std::string(name), path, fs::copy_options::recursive);
    CheckpointManager manager(root(), options());
    if (wanted.is_object()) {
      expect_tree(manager.restore(step, args::StandardRestore()).get().tree(), wanted.as_object());
      const StepInfo info = inspect_step(engine_, path).get();
      EXPECT_TRUE(std::ranges::any_of(info.items, [](const ItemInfo& item) {
        return item.kind == "tree" && !item.leaves.empty();
      }));
    } else {
      try {
        static_cast<void>(manager.restore(step, args::StandardRestore()).get());
        ADD_FAILURE() << "a broken checkpoint was restored";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::not_found) << error.what();
      }
    }
    ++step;
  }
  EXPECT_EQ(step, 16);
}

TEST_P(Foreign, AFileThatIsNotThereIsNamedUnlessItIsOneThatReadersDoWithout) {
  struct Case {
    std::string checkpoint;
    std::string file;
    std::string named;  ///< in the error; empty: it is read all the same
  };
  const std::vector<Case> cases = {
      {"ocdbt_zarr2", "_METADATA", "/_METADATA"},
      {"ocdbt_zarr2", "manifest.ocdbt", "/manifest.ocdbt"},
      {"ocdbt_zarr2", "d", "/d/"},
      {"two_processes", "ocdbt.process_0/d", "/ocdbt.process_0/d/"},
      {"v1", "state/_METADATA", "/state/_METADATA"},
      {"v1", "state/manifest.ocdbt", "/state/manifest.ocdbt"},
      {"v1", "state/d", "/state/d/"},
      {"ocdbt_zarr2", "_sharding", ""},
      {"ocdbt_zarr2", "array_metadatas", ""},
      {"ocdbt_zarr2", "_CHECKPOINT_METADATA", ""},
      {"ocdbt_zarr2", "commit_success.txt", ""},
      {"v1", "state/_sharding", ""},
      {"v1", "state/array_metadatas", ""},
      {"v1", "orbax.checkpoint", ""},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.checkpoint + " without " + one.file);
    fs::remove_all(root());
    fs::copy(checkpoint(one.checkpoint), root(), fs::copy_options::recursive);
    ASSERT_GT(fs::remove_all(root() + "/" + one.file), 0u);
    try {
      expect_tree(read_tree(engine_, root()).get(), expected(one.checkpoint));
      EXPECT_TRUE(one.named.empty()) << "read without it";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::not_found) << error.what();
      EXPECT_FALSE(one.named.empty()) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(root() + one.named));
    }
    EXPECT_EQ(verify_step(engine_, root()).get().ok(), one.named.empty());
  }
}

}  // namespace
}  // namespace cairn

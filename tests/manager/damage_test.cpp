// Damage on disk is reported, never returned as data.

#include <cairn/codecs/cairn_record.h>
#include <gmock/gmock.h>

#include <fstream>
#include <numeric>

#include "manager/stored_samples.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class DamageOnDisk : public test::ManagerTest {
 protected:
  void SetUp() override {
    manager_.emplace(root(), options());
    Array array = Array::uninitialized(DType::float32, {1 << 18});
    auto values = array.values<float>();
    std::iota(values.begin(), values.end(), 1.0F);
    ASSERT_TRUE(manager_->save(0, Dict{{"w", Tree(std::move(array))}, {"s", Tree(1)}}).get());
  }

  /// The item's data file that holds the arrays, or the one with the database's nodes.
  [[nodiscard]] fs::path data_file(bool values, Step step = 0) const {
    fs::path largest;
    fs::path smallest;
    const std::string item = root() + "/" + std::to_string(step) + "/default";
    for (const auto& entry : fs::directory_iterator(item + "/d")) {
      if (largest.empty() || entry.file_size() > fs::file_size(largest)) largest = entry.path();
      if (smallest.empty() || entry.file_size() < fs::file_size(smallest)) smallest = entry.path();
    }
    return values ? largest : smallest;
  }

  static void flip(const fs::path& path, std::uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
  }

  /// `offset`: of the file that is at fault, in what the restore says; none: of all of it.
  void expect_damage(const ::testing::Matcher<std::string>& message,
                     std::optional<std::uint64_t> offset, Step step = 0) {
    const Error error = error_of(manager_->restore(step));
    EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
    EXPECT_THAT(std::string(error.what()), message);
    EXPECT_EQ(error.context().offset, offset) << error.what();
    const std::string path = root() + "/" + std::to_string(step);
    EXPECT_FALSE(verify_step(manager_->engine(), path).get().ok());
  }

  std::optional<CheckpointManager> manager_;
};
CAIRN_ON_EVERY_BACKEND(DamageOnDisk);

TEST_P(DamageOnDisk, AnItemThatTheMetadataNamesAndThatIsGoneIsNamed) {
  args::Composite both;
  both.items.emplace_back("model", args::StandardSave(Dict{{"a", Tree(1)}}));
  both.items.emplace_back("extra", args::JsonSave(boost::json::value("text")));
  CheckpointManager manager((root() + "-several"), options());
  ASSERT_TRUE(manager.save(0, std::move(both)).get());
  fs::remove_all(manager.directory() + "/0/extra");
  args::CompositeRestore named;
  named.items.emplace_back("extra", args::JsonRestore());
  args::CompositeRestore other;
  other.items.emplace_back("model", args::StandardRestore());
  for (const args::RestoreArgs& wanted :
       {args::RestoreArgs(args::CompositeRestore()), args::RestoreArgs(named)}) {
    try {
      static_cast<void>(manager.restore(0, wanted).get());
      ADD_FAILURE() << "restored without it";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
      EXPECT_EQ(error.context().item, "extra");
    }
  }
  EXPECT_TRUE(manager.restore(0, other).get().tree("model") == Tree(Dict{{"a", Tree(1)}}));
}

TEST_P(DamageOnDisk, ASingleTreeThatIsGoneIsNotReplacedByAnother) {
  fs::rename(root() + "/0/default", root() + "/0/other");
  expect_damage(AllOf(HasSubstr("default"), HasSubstr("is missing")), std::nullopt);
}

TEST_P(DamageOnDisk, AFlippedBitInAnArrayNamesFileArrayAndChunk) {
  const fs::path file = data_file(true);
  flip(file, 70000);
  expect_damage(AllOf(HasSubstr(file.string()), HasSubstr("key path w"), HasSubstr("chunk c/0"),
                      HasSubstr("crc32c")),
                0);
}

TEST_P(DamageOnDisk, TheOffsetIsWhereTheDamagedChunkBeginsInItsFile) {
  Dict tree;
  for (const float first : {1.0F, 3e5F}) {
    Array array = Array::uninitialized(DType::float32, {1 << 18});
    auto values = array.values<float>();
    std::iota(values.begin(), values.end(), first);
    tree["from" + std::to_string(static_cast<int>(first))] = Tree(std::move(array));
  }
  const auto begin = tree.at("from300000").as<Array>().bytes().first(64);
  const std::string wanted(reinterpret_cast<const char*>(begin.data()), begin.size());
  ASSERT_TRUE(manager_->save(1, std::move(tree)).get());
  const fs::path file = data_file(true, 1);
  const std::size_t offset = test::read_file(file).find(wanted);
  ASSERT_NE(offset, std::string::npos);
  ASSERT_GT(offset, 0u);
  flip(file, offset + 70000);
  const std::string place = file.string() + " at byte " + std::to_string(offset);
  expect_damage(AllOf(HasSubstr("key path from300000"), HasSubstr(place)), offset, 1);
}

TEST_P(DamageOnDisk, AFlippedBitInAChecksumIsFound) {
  flip(data_file(true), (1 << 20) + 2);
  expect_damage(HasSubstr("crc32c"), 0);
}

TEST_P(DamageOnDisk, ATruncatedDataFileNamesWhereItEnds) {
  const fs::path file = data_file(true);
  fs::resize_file(file, 4096);
  expect_damage(AllOf(HasSubstr(file.string()), HasSubstr("4096")), 0);
}

TEST_P(DamageOnDisk, ABrokenNodeIsFound) {
  flip(data_file(false), 20);
  expect_damage(HasSubstr(data_file(false).string()), 0);
}

TEST_P(DamageOnDisk, ATruncatedNodeFileIsFound) {
  fs::resize_file(data_file(false), 10);
  expect_damage(HasSubstr(data_file(false).string()), 0);
}

TEST_P(DamageOnDisk, ABrokenManifestIsFound) {
  flip(root() + "/0/default/manifest.ocdbt", 30);
  expect_damage(HasSubstr("manifest.ocdbt"), std::nullopt);
}

TEST_P(DamageOnDisk, BrokenTreeMetadataIsFound) {
  fs::resize_file(root() + "/0/default/_METADATA", 20);
  expect_damage(HasSubstr("_METADATA"), 20);
}

TEST_P(DamageOnDisk, TreeMetadataThatSaysSomethingElseIsFoundInEveryLayout) {
  for (const Layout layout :
       {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2, Layout::zarr3, Layout::zarr2}) {
    SCOPED_TRACE(to_string(layout));
    CheckpointManager manager(root() + std::string(to_string(layout)), options());
    args::StandardSave save(
        Tree(Dict{{"w", Tree(Array(DType::int8, {3}))}, {"none", Tree(Dict())}}));
    save.layout = layout;
    save.custom_metadata = {{"run", "before"}};
    ASSERT_TRUE(manager.save(0, std::move(save)).get());
    const fs::path item = manager.directory() + "/0/default";
    const std::string whole = test::read_file(item / "_METADATA");
    for (const auto& [from, to] : {std::pair<std::string, std::string>("before", "behind"),
                                   std::pair<std::string, std::string>("none", "nine")}) {
      std::string text = whole;
      for (auto at = text.find(from); at != text.npos; at = text.find(from))
        text.replace(at, from.size(), to);
      ASSERT_NE(text, whole);
      test::write_file(item / "_METADATA", text);
      const Error error = error_of(manager.restore(0));
      EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
      EXPECT_EQ(error.context().path, (item / "_METADATA").string());
      // What else there is has been checked all the same.
      const VerifyReport report = verify_step(manager.engine(), manager.directory() + "/0").get();
      ASSERT_EQ(report.damages.size(), 1u);
      EXPECT_EQ(report.damages[0].file, (item / "_METADATA").string());
      EXPECT_EQ(report.arrays, 1u);
      // Records of versions that did not write the hash are silent.
      const std::string record = test::read_file(item / "_CAIRN");
      CairnRecord without = decode_record(record);
      without.metadata_hash.clear();
      test::write_file(item / "_CAIRN", encode(without));
      EXPECT_NO_THROW(static_cast<void>(manager.restore(0).get()));
      EXPECT_TRUE(verify_step(manager.engine(), manager.directory() + "/0").get().ok());
      test::write_file(item / "_CAIRN", record);
    }
    test::write_file(item / "_METADATA", whole);
    EXPECT_NO_THROW(static_cast<void>(manager.restore(0).get()));
  }
}

TEST_P(DamageOnDisk, TheRecordOfAnItemThatWasRewrittenDoesNotCount) {
  const Tree other(Dict{{"v", Tree(Array(DType::int8, {3}))}, {"none", Tree(Dict())}});
  ASSERT_TRUE(manager_->save(1, other).get());
  const fs::path to = root() + "/0/default", from = root() + "/1/default";
  fs::copy_file(to / "_CAIRN", root() + "/0/aside");
  fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  fs::rename(root() + "/0/aside", to / "_CAIRN");
  EXPECT_EQ(manager_->restore(0).get().tree(), other);
  const VerifyReport report = verify_step(manager_->engine(), root() + "/0").get();
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_EQ(report.damages[0].file, (to / "manifest.ocdbt").string());
}

TEST_P(DamageOnDisk, ABrokenRecordIsFound) {
  flip(root() + "/0/default/_CAIRN", 12);
  expect_damage(HasSubstr("_CAIRN"), std::nullopt);
}

TEST_P(DamageOnDisk, AMissingDataFileIsFound) {
  fs::remove(data_file(true));
  try {
    static_cast<void>(manager_->restore(0).get());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
  }
}

TEST_P(DamageOnDisk, StepMetadataThatIsDamagedCountsAsAbsent) {
  fs::resize_file(root() + "/0/_CHECKPOINT_METADATA", 5);
  EXPECT_EQ(manager_->restore(0).get().tree().at("s"), Tree(1));
}

TEST_P(DamageOnDisk, WhatIsWrongWithStepMetadataIsSaid) {
  const std::string file = root() + "/0/_CHECKPOINT_METADATA";
  std::ofstream(file, std::ios::trunc) << R"({"item_handlers": })";
  const VerifyReport report = verify_step(manager_->engine(), root() + "/0").get();
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_EQ(report.damages[0].file, file);
  EXPECT_EQ(report.damages[0].offset, 18u);
  EXPECT_THAT(report.damages[0].message,
              AllOf(HasSubstr("line 1"), HasSubstr("found"), HasSubstr("allowed")));
}

TEST_P(DamageOnDisk, AnItemWithoutARecordIsRead) {
  fs::remove(root() + "/0/default/_CAIRN");
  EXPECT_EQ(manager_->restore(0).get().tree().at("s"), Tree(1));
}

}  // namespace
}  // namespace cairn

// cairn verify: damage is found and named.

#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "tools/command.h"

namespace cairn::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Verify : public CommandTest {
 protected:
  static Array noise(Shape shape) {
    Array array = Array::uninitialized(DType::uint32, std::move(shape));
    std::uint32_t state = 1;
    for (std::uint32_t& value : array.values<std::uint32_t>())
      value = state = state * 1664525 + 1013904223;
    return array;
  }
  /// Flips one bit where these bytes lie in the step's data file; returns the file.
  std::filesystem::path flip(Step step, std::span<const std::byte> where) {
    const auto path = data_file(step);
    std::string bytes = read_file(path);
    const auto at =
        bytes.find(std::string_view(reinterpret_cast<const char*>(where.data()), where.size()));
    EXPECT_NE(at, std::string::npos);
    if (at != std::string::npos) bytes[at] ^= 1;
    write_bytes(path, bytes);
    return path;
  }
};
CAIRN_ON_EVERY_BACKEND(Verify);

TEST_P(Verify, NamesFileArrayAndChunkOfAFlippedByte) {
  const Array big = noise({9, 1 << 20});  // several chunks
  save(0, Dict{{"good", noise({1000})}, {"layers", List{Dict{{"w", big}}}}});
  save(1, Dict{{"good", noise({1000})}});
  ASSERT_EQ(cairn({"verify", root()}).status, 0);
  // The last row lies in the last chunk.
  const auto path = flip(0, big.bytes().last(4096));
  const Outcome damaged = cairn({"verify", root()});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.out,
              AllOf(HasSubstr("step 0: DAMAGED, 2 arrays"), HasSubstr("key path layers[0]/w"),
                    HasSubstr(path.string()), HasSubstr("crc32c"), HasSubstr("step 1: good")));
  const auto report = cairn({"verify", root(), "--json"}).json();
  EXPECT_FALSE(report.at("ok").as_bool());
  const auto& step = report.at("steps").as_array().at(0).as_object();
  ASSERT_EQ(step.at("damages").as_array().size(), 1u);
  const auto& damage = step.at("damages").as_array()[0].as_object();
  EXPECT_EQ(damage.at("item").as_string(), "default");
  EXPECT_EQ(damage.at("file").as_string(), path.string());
  EXPECT_EQ(damage.at("key_path").as_string(), "layers[0]/w");
  EXPECT_GT(damage.at("offset").to_number<std::uint64_t>(), 0u);
  const Shape chunk = inspect_step(make_engine(GetParam()), root() + "/0")
                          .get()
                          .items.at(0)
                          .leaves.at(1)
                          .chunk_shape;
  const std::string last = "chunk c/" + std::to_string((9 - 1) / chunk[0]) + "/" +
                           std::to_string(((1 << 20) - 1) / chunk[1]);
  EXPECT_THAT(std::string(damage.at("message").as_string()), HasSubstr(last));
  EXPECT_EQ(cairn({"verify", root(), "--step", "1"}).status, 0);
  // What is damaged is not exported either.
  EXPECT_EQ(cairn({"export", root(), file("out"), "--step", "0"}).status, 1);
  EXPECT_FALSE(std::filesystem::exists(file("out")));
}

TEST_P(Verify, ReportsEveryDamagedChunk) {
  const Array a = noise({5000});
  Array b = noise({6000});
  std::ranges::reverse(b.values<std::uint32_t>());
  save(0, Dict{{"a", a}, {"b", b}});
  flip(0, a.bytes().first(64));
  flip(0, b.bytes().first(64));
  const Outcome damaged = cairn({"verify", root()});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.out, AllOf(HasSubstr("key path a"), HasSubstr("key path b")));
}

TEST_P(Verify, FindsADataFileThatIsCutOrGone) {
  save(0, Dict{{"a", noise({50000})}});
  const auto path = data_file(0);
  std::filesystem::resize_file(path, 4096);
  const Outcome cut = cairn({"verify", root()});
  EXPECT_EQ(cut.status, 1);
  EXPECT_THAT(cut.out, AllOf(HasSubstr(path.string()), HasSubstr("the file has 4096 bytes")));
  std::filesystem::remove(path);
  const Outcome gone = cairn({"verify", root()});
  EXPECT_EQ(gone.status, 1);
  EXPECT_THAT(gone.out, HasSubstr(path.string()));
}

TEST_P(Verify, FindsADamagedManifest) {
  save(0, Dict{{"a", noise({50})}});
  const std::string manifest = root() + "/0/default/manifest.ocdbt";
  std::string bytes = read_file(manifest);
  bytes[bytes.size() / 2] ^= 1;
  write_bytes(manifest, bytes);
  const Outcome damaged = cairn({"verify", root()});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.out, HasSubstr(manifest));
}

TEST_P(Verify, ComparesTheStepsMetadataWithWhatIsThere) {
  save(0, Dict{{"a", 1}});
  save(1, Dict{{"a", 1}});
  std::filesystem::remove_all(root() + "/0/default");
  write_bytes(root() + "/1/_CHECKPOINT_METADATA", "{\"item_handlers\": 1");
  const Outcome damaged = cairn({"verify", root()});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.out, AllOf(HasSubstr("its folder is not there"),
                                 HasSubstr("the step's metadata cannot be decoded")));
}

TEST_P(Verify, FindsThatAStepThatIsOneItemItselfHasNoTree) {
  std::filesystem::create_directories(root() + "/0/d");
  write_bytes(root() + "/0/_CHECKPOINT_METADATA",
              R"({"item_handlers": "a.StandardCheckpointHandler"})");
  const Outcome damaged = cairn({"verify", root()});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.out, AllOf(HasSubstr("step 0: DAMAGED"), HasSubstr("_METADATA")));
}

TEST_P(Verify, SaysWhichArraysItCouldNotCheckAndChecksTheOthers) {
  const std::filesystem::path item = file("arrays");
  const std::string checkpoint = std::string(CAIRN_TEST_DATA) + "/checkpoints/ts_files";
  std::filesystem::copy(checkpoint, item, std::filesystem::copy_options::recursive);
  const std::filesystem::path strange = item / "raw/zarr.json";
  std::string text = read_file(strange);
  ASSERT_NE(text.find("\"bytes\""), std::string::npos);
  text.replace(text.find("\"bytes\""), 7, "\"tuned\"");
  write_bytes(strange, text);
  const Outcome outcome = cairn({"verify", item});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("NOT ALL CHECKED"), HasSubstr("key path raw"), HasSubstr("tuned")));
  const auto report = cairn({"verify", item, "--json"}).json().at("steps").at(0).as_object();
  EXPECT_FALSE(report.at("ok").as_bool());
  EXPECT_EQ(report.at("unchecked").as_array().size(), 1u);
  EXPECT_TRUE(report.at("damages").as_array().empty());
  EXPECT_GT(report.at("arrays").to_number<std::uint64_t>(), 3u);
  // Damage counts more.
  write_bytes(item / "plain/zarr.json", "{");
  EXPECT_EQ(cairn({"verify", item}).status, 1);
}

TEST_P(Verify, OneArrayThatCannotBeReadHidesNoneOfTheOthersFromInspect) {
  const std::filesystem::path item = file("arrays");
  const std::string checkpoint = std::string(CAIRN_TEST_DATA) + "/checkpoints/ts_files";
  std::filesystem::copy(checkpoint, item, std::filesystem::copy_options::recursive);
  const std::filesystem::path strange = item / "raw/zarr.json";
  std::string text = read_file(strange);
  text.replace(text.find("\"bytes\""), 7, "\"tuned\"");
  write_bytes(strange, text);
  const Outcome outcome = cairn({"inspect", item, "--values"});
  EXPECT_EQ(outcome.status, 2) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("CANNOT BE READ"), HasSubstr("tuned")));
  const auto document = cairn({"inspect", item, "--values", "--json"}).json();
  std::size_t read = 0;
  for (const auto& entry : document.at("items").at(0).at("leaves").as_array()) {
    const auto& leaf = entry.as_object();
    const bool raw = leaf.at("key_path").as_string() == "raw";
    EXPECT_EQ(leaf.contains("error"), raw);
    EXPECT_EQ(leaf.contains("values"), !raw) << leaf.at("key_path");
    if (raw) {
      EXPECT_EQ(leaf.at("error").at("code").as_string(), "not_supported");
    }
    read += raw ? 0 : 1;
  }
  EXPECT_GT(read, 3u);
  write_bytes(item / "plain/zarr.json", "{");
  EXPECT_EQ(cairn({"inspect", item}).status, 1);
}

TEST_P(Verify, AStepThatIsBeingDeletedIsNoFailureOfItsRoot) {
  for (const Step step : {0, 1, 2}) save(step, Dict{{"a", step}});
  // What whoever deletes a step does first.
  const std::string path = root() + "/2/_CHECKPOINT_METADATA";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  const Outcome verified = cairn({"verify", root()});
  EXPECT_EQ(verified.status, 0) << verified.err;
  EXPECT_THAT(verified.out, AllOf(HasSubstr("step 1: good"), HasSubstr("step 2: deleted")));
  const auto report = cairn({"verify", root(), "--json"}).json();
  EXPECT_EQ(report.at("steps").as_array().size(), 2u);
  EXPECT_EQ(report.at("deleted").as_array(), boost::json::array{2});
  // The latest is the one before it.
  const Outcome inspected = cairn({"inspect", root()});
  EXPECT_EQ(inspected.status, 0) << inspected.err;
  EXPECT_THAT(inspected.out, HasSubstr(root() + "/1"));
  EXPECT_EQ(cairn({"inspect", root(), "--step", "2"}).status, 2);
  ::close(fd);
  EXPECT_THAT(cairn({"inspect", root()}).out, HasSubstr(root() + "/2"));
}

TEST_P(Verify, SaysWhichItemsItDidNotCheck) {
  save(0, Dict{{"a", 1}});
  std::filesystem::create_directory(root() + "/0/strange");
  const Outcome outcome = cairn({"verify", root()});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("not checked: item 'strange'"));
}

}  // namespace
}  // namespace cairn::test

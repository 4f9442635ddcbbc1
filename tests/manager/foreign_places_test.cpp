// What stands in the place of a file or directory of a plain layout and is none: a symbolic link
// says nothing of what it leads to and is refused, anything else is damage. None reads as a chunk
// that is not there, which may mean the fill value.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "manager/expected_tree.h"
#include "manager/stored_samples.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using test::write_file;

const std::string kArray =
    R"({"zarr_format":3,"node_type":"array","shape":[4],"data_type":"int32",)"
    R"("chunk_grid":{"name":"regular","configuration":{"chunk_shape":[4]}},)"
    R"("chunk_key_encoding":{"name":"default"},)"
    R"("codecs":[{"name":"bytes","configuration":{"endian":"little"}}],"fill_value":0})";
const std::string kGroup = R"({"zarr_format":3,"node_type":"group","attributes":{}})";

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class ForeignPlaces : public test::ManagerTest {
 protected:
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam());

  [[nodiscard]] fs::path below_root(const std::string& name) const {
    return fs::path(root()) / name;
  }
  /// An array of four ones.
  static void make_array(const fs::path& path) {
    fs::create_directories(path / "c");
    write_file(path / "zarr.json", kArray);
    std::string chunk;
    for (int i = 0; i < 4; ++i) chunk += std::string("\1\0\0\0", 4);
    write_file(path / "c/0", chunk);
  }
  /// Of Orbax, in files. `stored`: what its metadata says of chunks that equal the fill value.
  fs::path make_item(const std::string& name, bool stored) {
    const fs::path path = below_root(name);
    fs::create_directories(root());
    fs::copy(test::checkpoint("files_zarr3"), path, fs::copy_options::recursive);
    if (stored) return path;
    std::string text = read_file(path / "_METADATA");
    const std::string member = "\"store_array_data_equal_to_fill_value\": ";
    const auto at = text.find(member + "true");
    EXPECT_NE(at, std::string::npos);
    write_file(path / "_METADATA", text.replace(at, member.size() + 4, member + "false"));
    return path;
  }
  /// Moves `path` to `target`, as seen from its directory, and puts a link there.
  static void replace_by_link(const fs::path& path, const fs::path& target) {
    fs::rename(path, target.is_absolute() ? target : path.parent_path() / target);
    fs::create_symlink(target, path);
  }
  void expect_error(const fs::path& path, const ReadOptions& options, ErrorCode code,
                    const fs::path& culprit) {
    const Error error = error_of(read_tree(engine_, path.string(), options));
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_EQ(error.context().path, culprit.string()) << error.what();
    if (code != ErrorCode::not_supported) return;
    EXPECT_THAT(error.what(), HasSubstr("symbolic link"));
    EXPECT_THAT(error.what(), HasSubstr("cp -L"));
  }
  void expect_refused_link(const fs::path& path, const fs::path& link) {
    expect_error(path, ReadOptions(), ErrorCode::not_supported, link);
    const VerifyReport report = verify_item(engine_, path.string()).get();
    EXPECT_TRUE(report.ok());
    ASSERT_EQ(report.unchecked.size(), 1u);
    EXPECT_EQ(report.unchecked[0].file, link.string());
    const Error values = error_of(inspect_values(engine_, path.string(), "", {}));
    EXPECT_EQ(values.code(), ErrorCode::not_supported) << values.what();
  }
  void expect_damage(const fs::path& path, const fs::path& culprit) {
    expect_error(path, ReadOptions(), ErrorCode::data_loss, culprit);
    const VerifyReport report = verify_item(engine_, path.string()).get();
    ASSERT_EQ(report.damages.size(), 1u);
    EXPECT_EQ(report.damages[0].file, culprit.string());
    EXPECT_THAT(report.damages[0].message, HasSubstr("regular file"));
  }
};
CAIRN_ON_EVERY_BACKEND(ForeignPlaces);

TEST_P(ForeignPlaces, ALinkToTheChunksOfAnArrayIsRefused) {
  for (const bool outside : {true, false}) {
    const fs::path path = below_root(outside ? "outside" : "inside");
    make_array(path);
    ASSERT_EQ(read_tree(engine_, path.string()).get().as<Array>().values<std::int32_t>()[3], 1);
    replace_by_link(path / "c", outside ? below_root("elsewhere") : fs::path("c2"));
    expect_refused_link(path, path / "c");
    const ItemInfo info = inspect_item(engine_, path.string()).get();
    ASSERT_EQ(info.leaves.size(), 1u);
    ASSERT_TRUE(info.leaves[0].fault);
    EXPECT_EQ(info.leaves[0].fault->code(), ErrorCode::not_supported);
  }
}

TEST_P(ForeignPlaces, AnArrayOfAGroupThatIsALinkIsRefusedAndTheOthersCanBeRead) {
  const fs::path path = below_root("group");
  make_array(path / "a");
  make_array(path / "b");
  write_file(path / "zarr.json", kGroup);
  replace_by_link(path / "b", below_root("elsewhere"));
  expect_refused_link(path, path / "b");
  EXPECT_EQ(verify_item(engine_, path.string()).get().arrays, 1u);
  const ReadOptions linked({args::Selection("b")});
  expect_error(path, linked, ErrorCode::not_supported, path / "b");
  const ReadOptions other({args::Selection("a")});
  EXPECT_EQ(read_tree(engine_, path.string(), other).get().at("a").as<Array>().shape(), Shape{4});
  // What an array has beside its chunks is its own affair.
  fs::remove(path / "b");
  fs::create_symlink(below_root("elsewhere"), path / "a/notes");
  EXPECT_EQ(read_tree(engine_, path.string()).get().at("a").as<Array>().shape(), Shape{4});
}

TEST_P(ForeignPlaces, ALinkOnTheWayToAnArrayOfOrbaxIsRefusedWhateverMissingChunksMean) {
  const ReadOptions part({args::Selection("w")});
  for (const bool stored : {true, false}) {
    for (const std::string name : {"w", "w/c", "w/c/0"}) {
      for (const bool outside : {true, false}) {
        SCOPED_TRACE(name + (stored ? ", stored" : ", left out") +
                     (outside ? ", outside" : ", inside"));
        const fs::path path = make_item("item", stored);
        replace_by_link(path / name, outside ? below_root("elsewhere") : fs::path("moved"));
        expect_refused_link(path, path / name);
        expect_error(path, part, ErrorCode::not_supported, path / name);
        fs::remove_all(below_root("elsewhere"));
        fs::remove_all(path);
      }
    }
  }
}

TEST_P(ForeignPlaces, AFifoOrADirectoryInAChunksPlaceIsDamageWhateverMissingChunksMean) {
  const ReadOptions part({args::Selection("w")});
  for (const bool fifo : {true, false}) {
    const auto put = [fifo](const fs::path& path) {
      fs::remove(path);
      if (fifo) {
        ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
      } else {
        fs::create_directory(path);
        write_file(path / "0", "");
      }
    };
    const fs::path bare = below_root(fifo ? "bare_fifo" : "bare_directory");
    make_array(bare);
    put(bare / "c/0");
    expect_damage(bare, bare / "c/0");
    for (const bool stored : {true, false}) {
      SCOPED_TRACE(std::string(fifo ? "FIFO" : "directory") + (stored ? "" : ", left out"));
      const fs::path path = make_item("item", stored);
      put(path / "w/c/0/0");
      expect_damage(path, path / "w/c/0/0");
      expect_error(path, part, ErrorCode::data_loss, path / "w/c/0/0");
      fs::remove_all(path);
    }
    const fs::path path = make_item("item", true);
    put(path / "w/zarr.json");
    expect_damage(path, path / "w/zarr.json");
    fs::remove_all(path);
  }
}

}  // namespace
}  // namespace cairn

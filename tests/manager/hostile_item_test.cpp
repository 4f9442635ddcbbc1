// Items of few bytes that claim much: reading them takes memory in proportion to what is there. And
// such as would make a reader wait for ever.

#include <cairn/codecs/orbax.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <numeric>
#include <set>

#include "codecs/ocdbt_samples.h"
#include "manager/stored_samples.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using args::Selection;
using test::peak_growth;
using test::write_file;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::string_view kManifest = "manifest.ocdbt";
constexpr std::string_view kNodes = "d/nodes";

class HostileItem : public test::ManagerTest {
 protected:
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam());

  /// `file`: at fault, of the root; `offset`: in it; none where all of it is.
  void expect_refused(const std::string& text, std::string_view file,
                      std::optional<std::uint64_t> offset = std::nullopt,
                      ErrorCode code = ErrorCode::data_loss) {
    const Error error = error_of(read_tree(engine_, root()));
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(text));
    EXPECT_EQ(error.context().path, root() + "/" + std::string(file));
    EXPECT_EQ(error.context().offset, offset) << error.what();
  }
  /// A root over one leaf whose keys, of which `suffixes` are stored, begin with `prefix`.
  void write_tree(const std::string& prefix, const std::vector<std::string>& suffixes) {
    const ocdbt::Config config;
    ocdbt::Node leaf;
    std::vector<ocdbt::Entry> entries;
    for (const std::string& suffix : suffixes) entries.emplace_back(suffix, std::string());
    leaf.entries = std::move(entries);
    const std::string encoded = ocdbt::encode(leaf, config);
    ocdbt::Child child;
    child.key = prefix + suffixes.front();
    child.common_prefix = static_cast<std::uint32_t>(prefix.size());
    child.location.length = encoded.size();
    ocdbt::Node top;
    top.height = 1;
    top.files = {ocdbt::DataFile("", "d/nodes")};
    top.entries = std::vector<ocdbt::Child>{child};
    test::write_nodes(root(), 1, {encoded, ocdbt::encode(top, config)});
  }
};
CAIRN_ON_EVERY_BACKEND(HostileItem);

TEST_P(HostileItem, APrefixThatIsStoredOnceAndHeldByEveryKeyIsRefused) {
  // 20,000 keys of 60 KB: 1.2 GB from 50 KB.
  std::vector<std::string> suffixes;
  for (int i = 100'000; i < 120'000; ++i) suffixes.push_back(std::to_string(i));
  write_tree(std::string(60'000, 'k'), suffixes);
  const std::uint64_t grown =
      peak_growth([&] { expect_refused("out of proportion to the", kManifest); });
  EXPECT_LT(grown, 400 * kMiB);
}

TEST_P(HostileItem, APathOfTheRootNodeThatLeadsOutIsRefused) {
  write_tree("k", {"a"});
  ocdbt::Manifest manifest = ocdbt::decode_manifest(test::read_file(fs::path(root()) / kManifest));
  for (const std::string path : {"../nodes", "/nodes", "d/../nodes"}) {
    manifest.files = {ocdbt::DataFile("", path)};
    write_file(fs::path(root()) / kManifest, ocdbt::encode(manifest));
    expect_refused(path, kManifest);
  }
}

TEST_P(HostileItem, AManifestOfALaterVersionOrAnotherCompressionIsNoDamage) {
  write_tree("k", {"a"});
  const fs::path path = fs::path(root()) / kManifest;
  const std::string manifest = test::read_file(path);
  for (const std::size_t field :
       {ocdbt::testing::kBodyOffset - 2, ocdbt::testing::kBodyOffset - 1}) {
    std::string later = manifest;
    later[field] = 5;
    write_file(path, ocdbt::testing::resealed(later));
    expect_refused("found 5", kManifest, field, ErrorCode::not_supported);
    const VerifyReport report = verify_item(engine_, root()).get();
    EXPECT_TRUE(report.ok());
    EXPECT_FALSE(report.unchecked.empty());
  }
}

TEST_P(HostileItem, AKeyThatIsLongerThanAnyWithItsPrefixIsRefused) {
  write_tree(std::string(60'000, 'k'), {std::string(5'535, 'a'), std::string(5'536, 'a')});
  expect_refused("a key of 65536 bytes", kNodes, 0);
}

TEST_P(HostileItem, ChunksThatManyArraysClaimAreNotListedAllByName) {
  // 4000 arrays that claim 4096 chunks each: more than 16 million keys.
  constexpr int kArrays = 4000;
  const std::string text = zarr::encode_metadata(test::raw_array(DType::uint8, {4096}, {1}));
  std::vector<std::pair<std::string, std::string>> values;
  orbax::TreeMetadata metadata;
  metadata.use_zarr3 = true;
  for (int i = 0; i < kArrays; ++i) {
    const std::string name = "array_with_a_name_" + std::to_string(i);
    values.emplace_back("group." + name + "/zarr.json", text);
    orbax::TreeEntry entry;
    entry.path = {Key("group", Key::Kind::dict), Key(name, Key::Kind::dict)};
    metadata.entries.push_back(std::move(entry));
  }
  values.emplace_back("group.array_with_a_name_7/c/5", "x");
  test::write_database(root(), std::move(values));
  write_file(fs::path(root()) / "_METADATA", orbax::encode(metadata));
  Tree tree;
  const std::uint64_t grown = peak_growth(
      [&] { tree = read_tree(engine_, root(), ReadOptions({Selection("group")})).get(); });
  EXPECT_LT(grown, 512 * kMiB);
  const Tree& group = tree.at("group");
  EXPECT_EQ(group.as<Dict>().size(), static_cast<std::size_t>(kArrays));
  Array wanted(DType::uint8, {4096});
  EXPECT_EQ(group.at("array_with_a_name_3999").as<Array>(), wanted);
  wanted.values<std::uint8_t>()[5] = 'x';
  EXPECT_EQ(group.at("array_with_a_name_7").as<Array>(), wanted);
}

TEST_P(HostileItem, ValuesThatAFewBytesOfANodeBecomeAreRefused) {
  // 90 MiB of values, and as much of a node, from a few KB.
  std::vector<std::pair<std::string, std::string>> values;
  for (int i = 0; i < 90; ++i)
    values.emplace_back("w/c/" + std::to_string(i), std::string(kMiB, 'x'));
  test::write_database(root(), std::move(values));
  const std::uint64_t grown =
      peak_growth([&] { expect_refused("given the size of all nodes", kNodes, 0); });
  EXPECT_LT(grown, 300 * kMiB);
}

TEST_P(HostileItem, MetadataThatManyArraysShareIsNotReadForEach) {
  // 4000 keys of one range of 15 MiB, which may be sound: 60 GB.
  constexpr std::uint64_t kLength = 15 * kMiB;
  std::vector<ocdbt::Entry> entries;
  for (int i = 10'000; i < 14'000; ++i) {
    ocdbt::Reference place;
    place.file = 0;
    place.length = kLength;
    entries.emplace_back("array_" + std::to_string(i) + "/zarr.json", place);
  }
  ocdbt::Node leaf;
  leaf.files = {ocdbt::DataFile("", "d/values")};
  leaf.entries = std::move(entries);
  test::write_nodes(root(), 0, {ocdbt::encode(leaf, ocdbt::Config())});
  write_file(fs::path(root()) / "d/values", "");
  fs::resize_file(fs::path(root()) / "d/values", kLength);
  const std::uint64_t grown =
      peak_growth([&] { expect_refused("out of proportion to the", kManifest); });
  EXPECT_LT(grown, 1024 * kMiB);
}

/// zstd frames of blocks that repeat a byte (RFC 8878): `stored` bytes, 128 KiB from each four.
std::string repeated_blocks(std::size_t stored) {
  // No content size, a window of 128 KiB.
  std::string frame("\x28\xb5\x2f\xfd\x00\x38", 6);
  const std::uint32_t block = (128u << 13) | (1u << 1);
  while (frame.size() + 8 <= stored) {
    for (const std::uint32_t shift : {0u, 8u, 16u})
      frame.push_back(static_cast<char>((block >> shift) & 0xff));
    frame.push_back('x');
  }
  // The last, of one byte.
  return frame + std::string("\x0b\x00\x00x", 4);
}

TEST_P(HostileItem, InlineChunksCostNoMemoryThatTheirArraysDoNotCallFor) {
  // One element in chunks of 128 GiB, and of 1 GiB, which the bytes would decode to.
  const std::string bytes = repeated_blocks(64u << 10);
  for (const Index chunk : {Index{1} << 37, Index{1} << 30}) {
    SCOPED_TRACE(chunk);
    zarr::ArrayMetadata form = test::raw_array(DType::uint8, {1}, {chunk});
    form.codecs.emplace_back(zarr::Zstd{});
    test::write_database(root(), {{"w/zarr.json", zarr::encode_metadata(form)}, {"w/c/0", bytes}});
    const std::uint64_t grown = peak_growth([&] {
      expect_refused(chunk == Index{1} << 30 ? "does not justify" : "too few to decode", kNodes, 0);
      EXPECT_FALSE(verify_step(engine_, root()).get().ok());
    });
    EXPECT_LT(grown, 64 * kMiB);
    fs::remove_all(root());
  }
}

TEST_P(HostileItem, MemoryThatNoElementOfAnInlineChunkReachesIsNotTouched) {
  // As large as a chunk may be whatever its array, and as short as such a chunk can be; no zstd.
  zarr::ArrayMetadata form = test::raw_array(DType::uint8, {16}, {Index{200} << 20});
  form.codecs.emplace_back(zarr::Zstd{});
  std::vector<std::pair<std::string, std::string>> values;
  for (int i = 0; i < 8; ++i) {
    const std::string name = "array_" + std::to_string(i);
    values.emplace_back(name + "/zarr.json", zarr::encode_metadata(form));
    values.emplace_back(name + "/c/0", std::string(8u << 10, 'x'));
  }
  test::write_database(root(), std::move(values));
  const std::uint64_t grown = peak_growth([&] { expect_refused("codecs[1] zstd", kNodes, 0); });
  EXPECT_LT(grown, 64 * kMiB);
}

TEST_P(HostileItem, AFifoInAFilesPlaceIsRefusedWithoutWaiting) {
  Array array(DType::float32, {5000});
  std::iota(array.values<float>().begin(), array.values<float>().end(), 0.5F);
  {
    CheckpointManager manager(root(), options());
    const Dict saved{{"w", Tree(array)}, {"text", Tree("words")}};
    ASSERT_TRUE(manager.save(0, args::PyTreeSave(Tree(saved))).get());
  }
  const fs::path step = fs::path(root()) / "0";
  const fs::path item = step / "default";
  const fs::path aside = fs::path(root()) / "aside";
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(item)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::set<std::string> refused;
  for (const fs::path& file : files) {
    SCOPED_TRACE(file);
    fs::rename(file, aside);
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
    bool sound = false;
    try {
      static_cast<void>(read_tree(engine_, item).get());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
      EXPECT_THAT(error.what(), HasSubstr("not a regular file"));
      EXPECT_EQ(error.context().path, file.string());
      refused.insert(fs::relative(file, item).string());
    }
    try {
      sound = verify_step(engine_, step.string()).get().ok();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
    }
    EXPECT_FALSE(sound && refused.contains(fs::relative(file, item).string()));
    try {
      static_cast<void>(inspect_item(engine_, item.string()).get());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
    }
    fs::remove(file);
    fs::rename(aside, file);
  }
  EXPECT_THAT(refused,
              ::testing::IsSupersetOf({"_METADATA", "_CAIRN", "manifest.ocdbt", "_strings.json"}));
  EXPECT_TRUE(
      std::ranges::any_of(refused, [](const auto& name) { return name.starts_with("d/"); }));
  EXPECT_EQ(read_tree(engine_, item).get().at("w").as<Array>(), array);
}

TEST_P(HostileItem, AFifoInAStepsOrTheRootsPlaceIsRefusedWithoutWaiting) {
  {
    CheckpointManager manager(root(), options());
    ASSERT_TRUE(manager.save(0, state(1)).get());
  }
  const auto expect_error = [this](const fs::path& fifo, auto work) {
    const fs::path aside = fs::path(root()) / "aside";
    if (fs::exists(fifo)) fs::rename(fifo, aside);
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    const Error error = error_of(work);
    EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
    EXPECT_EQ(error.context().path, fifo.string());
    EXPECT_THAT(error.what(), HasSubstr(": not a regular file"));
    fs::remove(fifo);
    if (fs::exists(aside)) fs::rename(aside, fifo);
  };
  expect_error(fs::path(root()) / "0" / std::string(orbax::kStepMetadataFile), [this] {
    const CheckpointManager manager(root(), options());
    static_cast<void>(manager.restore(0).get());
  });
  expect_error(fs::path(root()) / ".cairn.lock", [this] {
    CheckpointManager manager(root(), options());
    static_cast<void>(manager.save(1, state(1)).get());
  });
  const CheckpointManager manager(root(), options());
  EXPECT_EQ(manager.restore(0).get().tree(), state(1));
}

}  // namespace
}  // namespace cairn

// The version tree of an OCDBT database: verify looks at every node of it, and no reader at any.

#include <cairn/codecs/orbax.h>
#include <gmock/gmock.h>

#include <cstring>
#include <functional>

#include "codecs/ocdbt_samples.h"
#include "manager/stored_samples.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using ocdbt::VersionNode;
using ocdbt::VersionNodeReference;
using test::write_file;
using ::testing::HasSubstr;

constexpr std::uint8_t kArity = 2;
/// Before each node of the samples, so that an offset is not just 0.
constexpr std::size_t kNodeOffset = 10;

/// Versions of generations 13, 16, 17, 20 and, in the manifest, 23.
class VersionTree : public test::ManagerTest {
 protected:
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam());
  ocdbt::Manifest manifest_;

  [[nodiscard]] fs::path at(const std::string& name) const { return fs::path(root()) / name; }

  /// An item of one array whose database has that tree, each node in a file of its own.
  void write_item() {
    test::write_database(
        root(), {{"w/zarr.json", zarr::encode_metadata(test::raw_array(DType::uint8, {4}, {4}))},
                 {"w/c/0", "abcd"}});
    manifest_ = ocdbt::decode_manifest(test::read_file(at("manifest.ocdbt")));
    manifest_.config.version_tree_arity_log2 = kArity;
    manifest_.versions.front().generation = 23;
    manifest_.files = {{"", "d/nodes"}, {"", "d/low"}, {"", "d/tall"}};
    write_leaf("d/leaf20", {17, 20});
    write_leaf("d/leaf16", {13, 16});
    write_interior("d/low", 1, "d/leaf20", {20});
    write_interior("d/below", 1, "d/leaf16", {16});
    write_interior("d/tall", 2, "d/below", {16});
    manifest_.version_nodes = {reference(2, "d/tall", 16, 2), reference(1, "d/low", 20, 1)};
    write_manifest();
  }
  void write_manifest() { write_file(at("manifest.ocdbt"), ocdbt::encode(manifest_)); }

  void write_node(const std::string& name, const VersionNode& node) {
    write_file(at(name), std::string(kNodeOffset, 'x') + ocdbt::encode(node, manifest_.config));
  }
  void write_leaf(const std::string& name, const std::vector<std::uint64_t>& generations) {
    VersionNode node;
    node.arity_log2 = kArity;
    node.files = {{"", "d/nodes"}};
    std::vector<ocdbt::Version> versions;
    for (const std::uint64_t generation : generations)
      versions.push_back(ocdbt::testing::version(generation));
    node.entries = std::move(versions);
    write_node(name, node);
  }
  /// Over nodes that are all in `child`; `path`: what it is called in the node.
  void write_interior(const std::string& name, std::uint8_t height, const std::string& child,
                      const std::vector<std::uint64_t>& generations, std::string path = "") {
    VersionNode node;
    node.arity_log2 = kArity;
    node.height = height;
    node.files = {{"", path.empty() ? child : path}};
    std::vector<VersionNodeReference> children;
    for (const std::uint64_t generation : generations)
      children.push_back(reference(0, child, generation, static_cast<std::uint8_t>(height - 1)));
    node.entries = std::move(children);
    write_node(name, node);
  }
  VersionNodeReference reference(std::uint64_t file, const std::string& name,
                                 std::uint64_t generation, std::uint8_t height) {
    VersionNodeReference reference = ocdbt::testing::version_node(generation, height, 2);
    reference.location.file = file;
    reference.location.offset = kNodeOffset;
    reference.location.length = fs::file_size(at(name)) - kNodeOffset;
    return reference;
  }

  /// One damage at `name`, and values that are read all the same. `offset`: none where the file
  /// itself is at fault.
  void expect_damage(const std::string& name, std::optional<std::uint64_t> offset,
                     const std::string& text) {
    SCOPED_TRACE(text);
    const VerifyReport report = verify_item(engine_, root()).get();
    EXPECT_EQ(report.chunks, 1u);
    ASSERT_EQ(report.damages.size(), 1u);
    EXPECT_EQ(report.damages[0].file, at(name).string());
    EXPECT_EQ(report.damages[0].offset, offset);
    EXPECT_THAT(report.damages[0].message, HasSubstr(text));
    expect_values();
  }
  void expect_values() {
    const Tree tree = read_tree(engine_, root()).get();
    EXPECT_EQ(tree.at("w").as<Array>().values<std::uint8_t>()[3], 'd');
  }
};
CAIRN_ON_EVERY_BACKEND(VersionTree);

TEST_P(VersionTree, IsVerifiedWhereItIsSound) {
  write_item();
  const VerifyReport report = verify_item(engine_, root()).get();
  EXPECT_TRUE(report.ok()) << report.damages.at(0).message;
  EXPECT_TRUE(report.unchecked.empty());
  expect_values();
}

TEST_P(VersionTree, ANodeThatIsCutShortFlippedOrMissingIsNamed) {
  for (const std::string name : {"d/low", "d/tall", "d/below", "d/leaf16", "d/leaf20"}) {
    SCOPED_TRACE(name);
    write_item();
    const std::string bytes = test::read_file(at(name));
    write_file(at(name), std::string_view(bytes).substr(0, bytes.size() - 1));
    expect_damage(name, kNodeOffset, "bytes is said to be here, but the file has");
    std::string flipped = bytes;
    flipped[flipped.size() - 6] ^= 1;
    write_file(at(name), flipped);
    const VerifyReport report = verify_item(engine_, root()).get();
    ASSERT_EQ(report.damages.size(), 1u);
    EXPECT_EQ(report.damages[0].file, at(name).string());
    EXPECT_TRUE(report.damages[0].offset.has_value());
    EXPECT_THAT(report.damages[0].message, HasSubstr("checksum"));
    fs::remove(at(name));
    expect_damage(name, std::nullopt, "No such file");
  }
}

TEST_P(VersionTree, ANodeOfAnotherHeightOrGenerationIsNamed) {
  write_item();
  manifest_.files[1] = {"", "d/leaf20"};
  manifest_.version_nodes[1] = reference(1, "d/leaf20", 20, 1);
  write_manifest();
  expect_damage("d/leaf20", kNodeOffset, "height: found 0; allowed: 1");
  write_item();
  manifest_.version_nodes[1].generation = 19;
  write_manifest();
  expect_damage("d/low", kNodeOffset, "latest generation: found 20; allowed: 19");
}

TEST_P(VersionTree, ANodeIsReadOnceHoweverOftenItIsReferredTo) {
  write_item();
  write_interior("d/below", 1, "d/leaf16", {4, 8, 12, 16});
  write_interior("d/tall", 2, "d/below", {16});
  manifest_.version_nodes[0] = reference(2, "d/tall", 16, 2);
  write_manifest();
  const VerifyReport report = verify_item(engine_, root()).get();
  ASSERT_EQ(report.damages.size(), 3u);
  for (const Damage& damage : report.damages) {
    EXPECT_EQ(damage.file, at("d/leaf16").string());
    EXPECT_THAT(damage.message, HasSubstr("refers to this node twice"));
  }
  expect_values();
}

TEST_P(VersionTree, APathThatLeadsOutIsNamedWithTheNodeThatHasIt) {
  write_item();
  write_interior("d/low", 1, "d/leaf20", {20}, "../leaf20");
  manifest_.version_nodes[1] = reference(1, "d/low", 20, 1);
  write_manifest();
  expect_damage("d/low", kNodeOffset, "../leaf20");
}

TEST_P(VersionTree, ANodeOfALaterVersionIsNotChecked) {
  write_item();
  const std::string bytes = test::read_file(at("d/leaf20"));
  std::string node = bytes.substr(kNodeOffset);
  node[ocdbt::testing::kBodyOffset - 2] = 5;
  write_file(at("d/leaf20"), bytes.substr(0, kNodeOffset) + ocdbt::testing::resealed(node));
  const VerifyReport report = verify_item(engine_, root()).get();
  EXPECT_TRUE(report.ok());
  ASSERT_EQ(report.unchecked.size(), 1u);
  EXPECT_EQ(report.unchecked[0].file, at("d/leaf20").string());
  EXPECT_THAT(report.unchecked[0].message, HasSubstr("found 5"));
}

/// Flips a bit of each version tree node in a file of nodes that lie back to back.
std::size_t damage_version_nodes(const fs::path& file, std::uint32_t magic) {
  std::string bytes = test::read_file(file);
  std::size_t found = 0;
  for (std::size_t begin = 0; begin + 16 <= bytes.size();) {
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data() + begin + 4, sizeof(length));
    std::uint32_t here = 0;
    for (std::size_t i = 0; i < 4; ++i)
      here = here << 8 | static_cast<unsigned char>(bytes[begin + i]);
    begin += static_cast<std::size_t>(length);
    if (here != magic) continue;
    bytes[begin - 1] ^= 1;
    ++found;
  }
  write_file(file, bytes);
  return found;
}

TEST_P(VersionTree, OfTensorStoreIsCheckedAsItIsWritten) {
  for (const std::string name : {"arity2_of_11", "arity4_of_23"}) {
    SCOPED_TRACE(name);
    const fs::path item = at(name);
    fs::create_directories(root());
    fs::copy(fs::path(CAIRN_TEST_DATA) / "ocdbt" / name, item, fs::copy_options::recursive);
    // The keys are no arrays: of a tree without any, the database is checked all the same.
    orbax::TreeMetadata metadata;
    orbax::TreeEntry entry;
    entry.path = {Key("nothing", Key::Kind::dict)};
    entry.type = orbax::ValueType::none;
    metadata.entries = {entry};
    metadata.use_ocdbt = true;
    write_file(item / "_METADATA", orbax::encode(metadata));
    const VerifyReport sound = verify_item(engine_, item.string()).get();
    EXPECT_TRUE(sound.ok()) << sound.damages.at(0).message;
    std::size_t nodes = 0;
    for (const auto& file : fs::directory_iterator(item / "d"))
      nodes += damage_version_nodes(file.path(), ocdbt::kVersionTreeMagic);
    EXPECT_GT(nodes, 2u);
    const VerifyReport damaged = verify_item(engine_, item.string()).get();
    EXPECT_FALSE(damaged.ok());
    EXPECT_EQ(read_tree(engine_, item.string()).get(), Tree(Dict{{"nothing", Tree()}}));
  }
}

}  // namespace
}  // namespace cairn

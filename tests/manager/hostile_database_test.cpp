// Databases whose nodes are sound each by itself and no tree together: refused, with the node that
// is at fault.

#include <gmock/gmock.h>

#include "codecs/ocdbt_samples.h"
#include "manager/stored_samples.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::string_view kNodeFile = "d/nodes";

/// Nodes of one file, back to back. The last that is added is the root.
class NodeFile {
 public:
  [[nodiscard]] std::uint64_t end() const { return end_; }
  /// To a node that begins where the next will.
  [[nodiscard]] ocdbt::Reference next() const {
    ocdbt::Reference place;
    place.offset = end_;
    place.length = 1;
    return place;
  }

  ocdbt::Reference add(const ocdbt::Node& node) {
    nodes_.push_back(ocdbt::encode(node, ocdbt::testing::raw_config()));
    ocdbt::Reference place = next();
    place.length = nodes_.back().size();
    end_ += place.length;
    return place;
  }
  /// A node of the values of these keys, which are their own values.
  ocdbt::Reference add_leaf(const std::vector<std::string>& keys) {
    ocdbt::Node leaf;
    std::vector<ocdbt::Entry> entries;
    for (const std::string& key : keys) entries.emplace_back(key, key);
    leaf.entries = std::move(entries);
    return add(leaf);
  }
  ocdbt::Reference add_interior(std::uint8_t height, std::vector<ocdbt::Child> children) {
    ocdbt::Node node;
    node.height = height;
    node.files = {ocdbt::DataFile("", std::string(kNodeFile))};
    node.entries = std::move(children);
    return add(node);
  }
  void write(const std::string& folder, std::uint8_t root_height) const {
    test::write_nodes(folder, root_height, nodes_);
  }

 private:
  std::vector<std::string> nodes_;
  std::uint64_t end_ = 0;
};

/// `common`: how many bytes of the key the child's own keys omit.
ocdbt::Child child_at(std::string key, ocdbt::Reference place, std::uint32_t common = 0) {
  return ocdbt::testing::child(std::move(key), common, place, {});
}

class HostileDatabase : public test::ManagerTest {
 protected:
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam());

  /// Of a read of everything, and of one key alone.
  void expect_refused(std::uint64_t offset, const ::testing::Matcher<std::string>& text,
                      const std::string& key = "") {
    std::vector<args::Selection> keys;
    if (!key.empty()) keys.emplace_back(key);
    for (const ReadOptions& wanted : {ReadOptions(), ReadOptions(keys)}) {
      const Error error = error_of(read_tree(engine_, root(), wanted));
      EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
      EXPECT_EQ(error.context().path, root() + "/" + std::string(kNodeFile));
      EXPECT_EQ(error.context().offset, offset) << error.what();
      EXPECT_THAT(error.reason(), text);
    }
    const VerifyReport report = verify_item(engine_, root()).get();
    ASSERT_EQ(report.damages.size(), 1u);
    EXPECT_EQ(report.damages[0].file, root() + "/" + std::string(kNodeFile));
    EXPECT_EQ(report.damages[0].offset, offset);
  }
};
CAIRN_ON_EVERY_BACKEND(HostileDatabase);

TEST_P(HostileDatabase, ARootThatIsItsOwnChildIsRefused) {
  NodeFile nodes;
  nodes.add_leaf({"other"});
  const ocdbt::Reference self = nodes.next();
  nodes.add_interior(1, {child_at("a", self)});
  nodes.write(root(), 1);
  expect_refused(self.offset, AllOf(HasSubstr("references to this node: found a second one"),
                                    HasSubstr("from \"a\"; allowed: one")));
}

TEST_P(HostileDatabase, ANodeThatIsItsOwnGrandchildIsRefused) {
  NodeFile nodes;
  nodes.add_leaf({"other"});
  ocdbt::Reference upper = nodes.next();
  const ocdbt::Reference lower = nodes.add_interior(1, {child_at("b", upper)});
  // The lower one lies in front of the upper one, which it has to name.
  upper.offset = nodes.end();
  NodeFile loop;
  loop.add_leaf({"other"});
  ASSERT_EQ(loop.add_interior(1, {child_at("b", upper)}), lower);
  loop.add_interior(2, {child_at("b", lower)});
  loop.write(root(), 2);
  expect_refused(upper.offset, HasSubstr("references to this node: found a second one"));
}

TEST_P(HostileDatabase, TwoChildrenThatAreOneNodeAreRefused) {
  NodeFile nodes;
  nodes.add_leaf({"other"});
  // Without the prefixes, the keys of both.
  const ocdbt::Reference leaf = nodes.add_leaf({"zarr.json"});
  nodes.add_interior(1, {child_at("a/", leaf, 2), child_at("b/", leaf, 2)});
  nodes.write(root(), 1);
  expect_refused(leaf.offset,
                 HasSubstr("references to this node: found a second one, for keys from \"b/\""));
}

TEST_P(HostileDatabase, AKeyBehindTheBeginOfTheNextNodeIsRefused) {
  NodeFile nodes;
  nodes.add_leaf({"other"});
  const ocdbt::Reference first = nodes.add_leaf({"a", "k"});
  const ocdbt::Reference second = nodes.add_leaf({"k", "m"});
  nodes.add_interior(1, {child_at("a", first), child_at("k", second)});
  nodes.write(root(), 1);
  expect_refused(first.offset,
                 HasSubstr("key: found \"k\"; allowed: keys before \"k\", where the next node"),
                 "a");
}

TEST_P(HostileDatabase, AKeyBeforeTheBeginOfItsNodeIsRefused) {
  NodeFile nodes;
  nodes.add_leaf({"other"});
  const ocdbt::Reference first = nodes.add_leaf({"a"});
  const ocdbt::Reference second = nodes.add_leaf({"b", "m"});
  nodes.add_interior(1, {child_at("a", first), child_at("k", second)});
  nodes.write(root(), 1);
  expect_refused(second.offset,
                 AllOf(HasSubstr("entry 0: key: found \"b\""), HasSubstr("\"k\" or after")));
}

TEST_P(HostileDatabase, AnInteriorNodeThatReachesIntoTheNextIsRefused) {
  // Each leaf keeps to what its own parent says.
  NodeFile nodes;
  const ocdbt::Reference a = nodes.add_leaf({"a"});
  const ocdbt::Reference p = nodes.add_leaf({"p"});
  const ocdbt::Reference m = nodes.add_leaf({"m"});
  const ocdbt::Reference left = nodes.add_interior(1, {child_at("a", a), child_at("p", p)});
  const ocdbt::Reference right = nodes.add_interior(1, {child_at("m", m)});
  nodes.add_interior(2, {child_at("a", left), child_at("m", right)});
  nodes.write(root(), 2);
  expect_refused(left.offset, HasSubstr("key: found \"p\"; allowed: keys before \"m\""), "a");
}

TEST_P(HostileDatabase, ALeafThatReachesPastTheNodeAboveItIsRefused) {
  // The last child of a node ends where the node does.
  NodeFile nodes;
  const ocdbt::Reference a = nodes.add_leaf({"a", "n"});
  const ocdbt::Reference m = nodes.add_leaf({"m"});
  const ocdbt::Reference left = nodes.add_interior(1, {child_at("a", a)});
  const ocdbt::Reference right = nodes.add_interior(1, {child_at("m", m)});
  nodes.add_interior(2, {child_at("a", left), child_at("m", right)});
  nodes.write(root(), 2);
  expect_refused(a.offset, HasSubstr("key: found \"n\"; allowed: keys before \"m\""), "a");
}

TEST_P(HostileDatabase, AChildOfAnotherHeightThanItsPlaceCallsForIsRefused) {
  for (const std::uint8_t height : {std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{200}}) {
    SCOPED_TRACE(static_cast<int>(height));
    NodeFile nodes;
    const ocdbt::Reference leaf = nodes.add_leaf({"a"});
    const ocdbt::Reference middle = nodes.add_interior(height, {child_at("a", leaf)});
    nodes.add_interior(1, {child_at("a", middle)});
    nodes.write(root(), 1);
    expect_refused(middle.offset, HasSubstr("height: found " + std::to_string(height) +
                                            "; allowed: 0, as the node above calls for"));
  }
  NodeFile nodes;
  const ocdbt::Reference leaf = nodes.add_leaf({"a"});
  nodes.add_interior(2, {child_at("a", leaf)});
  nodes.write(root(), 2);
  expect_refused(leaf.offset, HasSubstr("height: found 0; allowed: 1"));
}

TEST_P(HostileDatabase, ARootOfAnotherHeightThanTheManifestSaysIsRefused) {
  for (const std::uint8_t height : {std::uint8_t{1}, std::uint8_t{255}}) {
    SCOPED_TRACE(static_cast<int>(height));
    NodeFile nodes;
    nodes.add_leaf({"other"});
    const ocdbt::Reference leaf = nodes.add_leaf({"a"});
    nodes.write(root(), height);
    expect_refused(leaf.offset, HasSubstr("height: found 0; allowed: " + std::to_string(height)));
  }
}

TEST_P(HostileDatabase, NodesThatAreATreeAreRead) {
  // What the other tests spoil is refused for that alone.
  const std::string text = zarr::encode_metadata(test::raw_array(DType::uint8, {1}, {1}));
  NodeFile nodes;
  std::vector<ocdbt::Reference> leaves;
  for (const std::string chunk : {"x", "y"}) {
    ocdbt::Node leaf;
    leaf.entries = std::vector<ocdbt::Entry>{{"c/0", chunk}, {"zarr.json", text}};
    leaves.push_back(nodes.add(leaf));
  }
  const ocdbt::Reference left = nodes.add_interior(1, {child_at("", leaves[0])});
  const ocdbt::Reference right = nodes.add_interior(1, {child_at("", leaves[1])});
  nodes.add_interior(2, {child_at("a/", left, 2), child_at("b/", right, 2)});
  nodes.write(root(), 2);
  const Tree tree = read_tree(engine_, root()).get();
  EXPECT_EQ(tree.at("a").as<Array>().values<std::uint8_t>()[0], 'x');
  EXPECT_EQ(tree.at("b").as<Array>().values<std::uint8_t>()[0], 'y');
  EXPECT_TRUE(verify_item(engine_, root()).get().ok());
}

}  // namespace
}  // namespace cairn

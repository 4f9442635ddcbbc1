#include <cairn/codecs/format_error.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "codecs/ocdbt_database.h"
#include "codecs/ocdbt_samples.h"

namespace cairn::ocdbt {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): samples

const FileTable kFiles{{"", "d/values"}, {"", "d/more"}, {"", "d/nodes"}, {"", "d/unused"}};
constexpr std::uint64_t kNodeFile = 2;
constexpr std::uint64_t kNodeOffset = 8192;

bool by_key(const Entry& a, const Entry& b) {
  return a.key < b.key;
}

/// Walks a tree in memory and checks what a reader may rely on.
class Walk {
 public:
  Walk(const EncodedTree& tree, std::string base = "") : tree_(tree), base_(std::move(base)) {
    if (tree.version.root) {
      root_ = visit(*tree.version.root, tree.version.root_height, "", "");
    }
  }
  std::vector<Entry> entries;
  std::size_t nodes = 0;
  std::size_t largest_body = 0;
  std::size_t leaf_tables_with_all_files = 0;
  Statistics root_;

 private:
  Node node_at(const Reference& at) {
    EXPECT_GE(at.offset, kNodeOffset);
    // Children lie before their parents.
    EXPECT_LT(at.offset, last_offset_);
    return decode_node(std::string_view(tree_.bytes)
                           .substr(static_cast<std::size_t>(at.offset - kNodeOffset),
                                   static_cast<std::size_t>(at.length)),
                       100'000'000);
  }

  Statistics visit(const Reference& at, std::uint8_t height, const std::string& prefix,
                   std::string_view min_key) {
    const auto node = node_at(at);
    ++nodes;
    check_child(node, height, min_key);
    Statistics totals{0, at.length, 0};
    if (const auto* leaf = std::get_if<std::vector<Entry>>(&node.entries)) {
      largest_body = std::max(largest_body, static_cast<std::size_t>(at.length));
      std::vector<bool> used(node.files.size());
      for (auto entry : *leaf) {
        entry.key = prefix + entry.key;
        if (auto* value = std::get_if<Reference>(&entry.value)) {
          totals.num_indirect_value_bytes += value->length;
          used[static_cast<std::size_t>(value->file)] = true;
          const auto path = base_ + node.files[static_cast<std::size_t>(value->file)].path();
          value->file = index_of(path);
        }
        entries.push_back(std::move(entry));
      }
      EXPECT_TRUE(std::all_of(used.begin(), used.end(), [](bool b) { return b; }));
      totals.num_keys = leaf->size();
      return totals;
    }
    const auto& children = std::get<std::vector<Child>>(node.entries);
    EXPECT_GE(children.size(), 2u);
    EXPECT_EQ(node.files.size(), 1u);
    for (const auto& one : children) {
      const auto before = std::exchange(last_offset_, at.offset);
      const auto below = visit(one.location, static_cast<std::uint8_t>(height - 1),
                               prefix + one.key.substr(0, one.common_prefix),
                               std::string_view(one.key).substr(one.common_prefix));
      last_offset_ = before;
      EXPECT_EQ(below, one.statistics);
      totals.num_keys += below.num_keys;
      totals.num_tree_bytes += below.num_tree_bytes;
      totals.num_indirect_value_bytes += below.num_indirect_value_bytes;
    }
    return totals;
  }

  std::uint64_t index_of(const std::string& path) const {
    for (std::uint64_t i = 0; i < kFiles.size(); ++i) {
      if (base_ + kFiles[static_cast<std::size_t>(i)].path() == path) return i;
    }
    ADD_FAILURE() << path;
    return 0;
  }

  const EncodedTree& tree_;
  std::string base_;
  std::uint64_t last_offset_ = ~std::uint64_t{0};
};

TEST(EncodeTree, HoldsEveryEntryAtEveryTarget) {
  const std::uint64_t seed = 7;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const std::size_t target : {1u, 60u, 200u, 1000u, 5000u, 1u << 21}) {
    for (const std::size_t count : {1u, 2u, 3u, 50u, 700u}) {
      auto entries = random_entries(random, count, 2);
      const auto tree = encode_tree(entries, kFiles, kNodeFile, kNodeOffset, Config{}, target);
      const Walk walk(tree);
      std::sort(entries.begin(), entries.end(), by_key);
      EXPECT_EQ(walk.entries, entries) << "target " << target << ", " << count << " entries";
      EXPECT_EQ(walk.root_, tree.version.statistics);
      EXPECT_EQ(walk.root_.num_tree_bytes, tree.bytes.size());
      EXPECT_EQ(tree.version.root->offset + tree.version.root->length,
                kNodeOffset + tree.bytes.size());
      EXPECT_EQ(tree.version.root->file, kNodeFile);
      if (target == 1 && count > 4) {
        EXPECT_GE(tree.version.root_height, 2);
      }
    }
  }
}

TEST(EncodeTree, KeepsLeavesBelowTheTarget) {
  std::mt19937_64 random(11);
  const auto entries = random_entries(random, 5000, 2);
  const auto tree = encode_tree(entries, kFiles, kNodeFile, kNodeOffset, raw_config(), 4000);
  const Walk walk(tree);
  EXPECT_LE(walk.largest_body, 4000 + kBodyOffset + kChecksumBytes);
  // Nodes are filled: a tree of half-empty ones would have twice as many.
  EXPECT_LE(walk.nodes, tree.bytes.size() / 4000 * 3 / 2);
}

TEST(EncodeTree, NodesStayBelowTheLimitOfTheConfiguration) {
  std::mt19937_64 random(12);
  auto config = raw_config();
  config.max_decoded_node_bytes = 500;
  const auto tree = encode_tree(random_entries(random, 300, 2), kFiles, kNodeFile, 0, config);
  EXPECT_GE(tree.version.root_height, 1);
}

TEST(EncodeTree, OrderOfEntriesDoesNotMatter) {
  std::mt19937_64 random(3);
  auto entries = random_entries(random, 400, 2);
  const auto shuffled = encode_tree(entries, kFiles, kNodeFile, 0, Config{}, 900);
  std::sort(entries.begin(), entries.end(), by_key);
  EXPECT_EQ(encode_tree(entries, kFiles, kNodeFile, 0, Config{}, 900).bytes, shuffled.bytes);
}

TEST(TreeBuilder, LeavesEncodedSideBySideGiveTheSameTree) {
  std::mt19937_64 random(4);
  const auto entries = random_entries(random, 400, 2);
  const auto whole = encode_tree(entries, kFiles, kNodeFile, kNodeOffset, Config{}, 900);
  TreeBuilder builder(std::vector<EntryView>(entries.begin(), entries.end()), kFiles, kNodeFile,
                      kNodeOffset, Config{}, 900);
  ASSERT_GE(builder.leaves(), 8u);
  const auto encode_every_other = [&builder](std::size_t from) {
    std::string scratch;
    for (std::size_t left = builder.leaves(); left > 0; --left) {
      if (left % 2 == from) builder.encode_leaf(left - 1, scratch);
    }
  };
  std::thread other(encode_every_other, 0);
  encode_every_other(1);
  other.join();
  const auto tree = builder.finish();
  EXPECT_EQ(tree.bytes, whole.bytes);
  EXPECT_EQ(tree.version, whole.version);
}

TEST(EncodeTree, NoEntriesAreTheEmptyTree) {
  const auto tree = encode_tree({}, kFiles, kNodeFile, kNodeOffset, Config{});
  EXPECT_EQ(tree.bytes, "");
  EXPECT_FALSE(tree.version.root);
  EXPECT_EQ(tree.version.statistics, Statistics{});
  EXPECT_EQ(tree.version.generation, 1u);
  Manifest manifest;
  manifest.versions = {tree.version};
  const auto decoded = decode_manifest(encode(manifest));
  EXPECT_EQ(decoded.versions, manifest.versions);
  EXPECT_EQ(decoded.files, FileTable(1));
}

/// encode_tree() for its errors alone.
void build(std::vector<Entry> entries, const FileTable& files = kFiles,
           std::uint64_t node_file = kNodeFile) {
  static_cast<void>(encode_tree(std::move(entries), files, node_file, 0, Config{}));
}

TEST(EncodeTree, PathsAreRelativeToTheBaseOfTheNodes) {
  FileTable files;
  for (const auto& file : kFiles) files.emplace_back("process/", file.path());
  std::vector<Entry> entries{{"a", Reference{0, 0, 1}}, {"b", Reference{1, 0, 1}}};
  const auto tree = encode_tree(entries, files, kNodeFile, kNodeOffset, Config{}, 1);
  EXPECT_EQ(tree.version.root_height, 1);
  EXPECT_EQ(Walk(tree).entries, entries);
  files[0].base = "elsewhere/";
  EXPECT_THROW(build(entries, files), std::invalid_argument);
}

TEST(EncodeTree, RefusesWhatNoDirectoryTreeCouldHold) {
  const auto refuses = [](std::vector<Entry> entries, const std::string& message) {
    try {
      build(std::move(entries));
      ADD_FAILURE() << "no error: " << message;
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(error.what(), message);
    }
  };
  refuses({{"a", "1"}, {"b", "2"}, {"a", "3"}}, "encode_tree: two entries have the key \"a\"");
  // "a!" and "a.b" sort between "a" and "a/b".
  refuses({{"a", "1"}, {"a!", ""}, {"a.b", "2"}, {"a/b", "3"}},
          "encode_tree: a value has entries below it: \"a\"");
  EXPECT_NO_THROW(build({{"a/b", "1"}, {"a0", "2"}, {"ab/c", "3"}, {"a/bc", "4"}}));
}

TEST(EncodeTree, RefusesWhatTheFormatCannotHold) {
  EXPECT_THROW(build({{std::string(65536, 'k'), ""}}), std::invalid_argument);
  EXPECT_THROW(build({{"k", Reference{4, 0, 1}}}), std::invalid_argument);
  EXPECT_THROW(build({{"k", Reference{0, ~std::uint64_t{0}, 1}}}), std::invalid_argument);
  EXPECT_THROW(build({{"k", std::string((1 << 20) + 1, 'v')}}), std::invalid_argument);
  EXPECT_THROW(build({{"k", ""}}, kFiles, kFiles.size()), std::invalid_argument);
}

TEST(EncodeTree, LongestKeysAndManyEntriesRoundTrip) {
  std::vector<Entry> entries;
  for (char last = 'a'; last <= 'f'; ++last) {
    entries.emplace_back(std::string(65534, 'k') + last, std::string(1, last));
  }
  for (const std::size_t target : {1u, 1u << 21}) {
    const auto tree = encode_tree(entries, kFiles, kNodeFile, kNodeOffset, Config{}, target);
    EXPECT_EQ(Walk(tree).entries, entries);
  }
}

}  // namespace
}  // namespace cairn::ocdbt

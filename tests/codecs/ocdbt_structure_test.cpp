// Rules of single structures: configuration, versions, nodes, paths.

#include <cairn/codecs/format_error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codecs/ocdbt_samples.h"

namespace cairn::ocdbt {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): samples
using ::testing::HasSubstr;

TEST(OcdbtManifest, RoundTripsWithEveryCompression) {
  for (const auto compression : {Compression::none, Compression::zstd}) {
    for (const int level : {-5, 0, 19}) {
      auto manifest = sample_manifest();
      manifest.config.compression = compression;
      manifest.config.zstd_level = compression == Compression::none ? 0 : level;
      manifest.config.uuid[7] = std::byte{0xab};
      EXPECT_EQ(decode_manifest(encode(manifest)), manifest);
    }
  }
}

/// The encoder refuses what a change makes of the sample; `decoder` is what the change would be on
/// disk.
void refuses(const std::function<void(Manifest&)>& change, const std::string& why) {
  auto manifest = sample_manifest();
  change(manifest);
  try {
    static_cast<void>(encode(manifest));
    ADD_FAILURE() << "no error: " << why;
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), HasSubstr(why));
  }
}

TEST(OcdbtManifest, RefusesConfigurationsBeyondTheFormat) {
  refuses([](Manifest& m) { m.config.numbered = true; }, "numbered manifests are read only");
  refuses([](Manifest& m) { m.config.version_tree_arity_log2 = 0; }, "found 0, allowed 1 to 16");
  refuses([](Manifest& m) { m.config.version_tree_arity_log2 = 17; }, "version_tree_arity_log2");
  refuses([](Manifest& m) { m.config.max_inline_value_bytes = (1 << 20) + 1; },
          "max_inline_value_bytes: found 1048577, allowed at most 1048576");
  refuses(
      [](Manifest& m) {
        m.config.compression = Compression::zstd;
        m.config.zstd_level = 23;
      },
      "zstd level: found 23");
}

TEST(OcdbtManifest, RefusesVersionsOutOfOrderOrOutsideTheirWindow) {
  refuses([](Manifest& m) { m.versions.clear(); }, "num_entries: found 0");
  refuses([](Manifest& m) { std::swap(m.versions[0], m.versions[1]); }, "entry 1: generation");
  refuses([](Manifest& m) { m.versions[0].generation = 20; }, "entry 0: generation: found 20");
  refuses([](Manifest& m) { m.versions[0].root->file = 2; },
          "entry 0: data_file_id: found 2, allowed less than num_files, which is 2");
  refuses([](Manifest& m) { m.versions[0].root->length = std::uint64_t{1} << 63; }, "2^63 - 1");
  refuses([](Manifest& m) { m.versions[1].root_height = 1; }, "entry 1: root_height");
  refuses([](Manifest& m) { m.versions[1].statistics.num_keys = 1; }, "entry 1: statistics");
}

TEST(OcdbtManifest, RefusesVersionNodesThatDoNotFitTheGenerations) {
  refuses([](Manifest& m) { std::swap(m.version_nodes[0], m.version_nodes[1]); }, "generation");
  refuses([](Manifest& m) { m.version_nodes[0].height = 3; }, "entry 0: height: found 3");
  refuses([](Manifest& m) { m.version_nodes[1].height = 0; }, "entry 1: height: found 0");
  refuses([](Manifest& m) { m.version_nodes[1].generation = 21; },
          "entry 1: generation: found 21, allowed 17 to 20 at height 1");
  refuses([](Manifest& m) { m.version_nodes[0].generation = 17; }, "1 to 16 at height 2");
  refuses([](Manifest& m) { m.version_nodes[1].num_generations = 17; }, "num_generations");
  refuses([](Manifest& m) { m.version_nodes[0].location.file = 9; }, "data_file_id");
}

TEST(OcdbtManifest, HeightsMayBeLeftOutAndGenerationsMayBeHuge) {
  auto manifest = sample_manifest();
  manifest.version_nodes.erase(manifest.version_nodes.begin() + 1);
  EXPECT_EQ(decode_manifest(encode(manifest)), manifest);
  // Windows of a wide tree pass 64 bits: no shift may.
  manifest.config.version_tree_arity_log2 = 16;
  manifest.version_nodes = {version_node(1, 2, 1)};
  manifest.versions = {version(~std::uint64_t{0})};
  manifest.versions[0].root->offset = 0;
  manifest.version_nodes[0].generation = ~std::uint64_t{0} << 32;
  EXPECT_EQ(decode_manifest(encode(manifest)), manifest);
  manifest.version_nodes[0].height = 3;
  EXPECT_THROW(static_cast<void>(encode(manifest)), std::invalid_argument);
}

TEST(OcdbtManifest, EmptyVersionRefersToAnEmptyPath) {
  auto manifest = sample_manifest();
  manifest.files.pop_back();
  const auto decoded = decode_manifest(encode(manifest));
  EXPECT_EQ(decoded.files, sample_manifest().files);
  EXPECT_EQ(decoded.versions, manifest.versions);
}

TEST(OcdbtVersionNode, RoundTrips) {
  for (const auto& node : {sample_version_leaf(), sample_version_interior()}) {
    Config config;
    config.version_tree_arity_log2 = 2;
    EXPECT_EQ(decode_version_node(encode(node, config), config), node);
  }
}

TEST(OcdbtVersionNode, RefusesAnArityThatIsNotTheManifests) {
  const auto bytes = encode(sample_version_leaf(), Config{});
  try {
    static_cast<void>(decode_version_node(bytes, Config{}));
    ADD_FAILURE();
  } catch (const FormatError& error) {
    // Where it is in what was compressed.
    EXPECT_EQ(error.field(), "version_tree_arity_log2 at byte 0");
    EXPECT_EQ(error.found(), "2");
    EXPECT_EQ(error.allowed(), "4, as the manifest says");
  }
}

TEST(OcdbtVersionNode, IsCheckedAgainstTheReferenceToIt) {
  const auto refused = [](const VersionNode& node, const VersionNodeReference& reference,
                          const std::string& field, const std::string& found) {
    try {
      check_child(node, reference);
      ADD_FAILURE() << "no error: " << field;
    } catch (const FormatError& error) {
      EXPECT_EQ(error.field(), field);
      EXPECT_EQ(error.found(), found);
    }
  };
  check_child(sample_version_leaf(), version_node(8, 0, 3));
  check_child(sample_version_interior(), version_node(28, 1, 6));
  refused(sample_version_leaf(), version_node(8, 1, 3), "height", "0");
  refused(sample_version_interior(), version_node(28, 2, 6), "height", "1");
  refused(sample_version_leaf(), version_node(7, 0, 3), "latest generation", "8");
  refused(sample_version_interior(), version_node(32, 1, 6), "latest generation", "28");
}

TEST(OcdbtVersionNode, TakesItsDecodedBytesFromTheBudget) {
  Config config;
  config.version_tree_arity_log2 = 2;
  const std::string bytes = encode(sample_version_leaf(), config);
  NodeBudget little(1);
  EXPECT_THROW(static_cast<void>(decode_version_node(bytes, config, &little)), FormatError);
  NodeBudget enough(1 << 20);
  EXPECT_EQ(decode_version_node(bytes, config, &enough), sample_version_leaf());
}

TEST(OcdbtVersionNode, RefusesChildrenThatAreNotFullOrNotInItsWindow) {
  const auto refused = [](std::vector<VersionNodeReference> children, const std::string& why) {
    auto node = sample_version_interior();
    node.entries = std::move(children);
    try {
      static_cast<void>(encode(node, Config{}));
      ADD_FAILURE() << "no error: " << why;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  };
  refused({version_node(19, 0, 1)}, "found 19, allowed a multiple of 4");
  refused({version_node(16, 0, 1), version_node(20, 0, 1)}, "the window of 2^4 generations");
  refused({version_node(20, 0, 5)}, "num_generations: found 5, allowed at most 2^2");
  refused({}, "num_entries: found 0");
}

TEST(OcdbtVersionNode, RefusesEntriesOfTheWrongKind) {
  auto leaf = sample_version_leaf();
  leaf.height = 1;
  EXPECT_THROW(static_cast<void>(encode(leaf, Config{})), std::invalid_argument);
  auto interior = sample_version_interior();
  interior.height = 0;
  EXPECT_THROW(static_cast<void>(encode(interior, Config{})), std::invalid_argument);
}

TEST(OcdbtNode, RoundTripsRandomEntries) {
  const std::uint64_t seed = 99;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 50; ++round) {
    auto node = sample_leaf();
    auto entries = random_entries(random, random() % 100 + 1, 2);
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.key < b.key; });
    node.entries = entries;
    EXPECT_EQ(decode_node(encode(node, Config{}), Config{}.max_decoded_node_bytes), node);
    EXPECT_EQ(decode_node(encode(node, raw_config()), 0), node);
  }
}

TEST(OcdbtNode, RefusesWhatTheFormatCannotHold) {
  const auto refused = [](auto entries, std::uint8_t height, const std::string& why) {
    Node node;
    node.height = height;
    node.files = {{"", "d/1"}};
    node.entries = std::move(entries);
    try {
      static_cast<void>(encode(node, Config{}));
      ADD_FAILURE() << "no error: " << why;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  };
  using Entries = std::vector<Entry>;
  using Children = std::vector<Child>;
  refused(Entries{}, 0, "num_entries: found 0");
  refused(Entries{{"b", ""}, {"a", ""}}, 0, "entry 1: key");
  refused(Entries{{"a", ""}, {"a", ""}}, 0, "entry 1: key");
  refused(Entries{{"a", Reference{0, 5, 0}}}, 0, "a value without bytes is inline");
  refused(Entries{{"a", Reference{1, 5, 1}}}, 0, "entry 0: data_file_id");
  refused(Entries{{"a", ""}}, 1, "only height 0");
  refused(Children{child("a", 0, {0, 0, 1}, {})}, 0, "height 0 holds values");
  refused(Children{child("a", 2, {0, 0, 1}, {})}, 1, "subtree_common_prefix_length");
  auto long_path = sample_leaf();
  long_path.files[0].relative.assign(65536, 'p');
  EXPECT_THROW(static_cast<void>(encode(long_path, Config{})), std::invalid_argument);
}

TEST(OcdbtNode, ChildIsCheckedAgainstItsParent) {
  const auto node = sample_leaf();
  EXPECT_NO_THROW(check_child(node, 0, ""));
  EXPECT_THROW(check_child(node, 1, ""), FormatError);
  EXPECT_THROW(check_child(node, 0, "a"), FormatError);  // its first key is ""
}

TEST(OcdbtPath, StaysInsideTheDatabase) {
  for (const auto* path :
       {"d/0123", "a", "a.b/..c/d..", "ocdbt.process_0/d/x", "__lock.x", "..."}) {
    EXPECT_NO_THROW(check_data_path(path)) << path;
  }
  for (const auto* path : {"", "/", "/etc/passwd", "../x", "d/..", "d/../x", "./x", "d/.", "d//x",
                           "d/", "x__lock", "d/__lock", "x__lock/y", "__lock"}) {
    EXPECT_THROW(check_data_path(path), FormatError) << path;
  }
  EXPECT_THROW(check_data_path(std::string_view("d/a\0b", 5)), FormatError);
  EXPECT_THROW(check_data_path(std::string(65536, 'p')), FormatError);
}

TEST(OcdbtPath, BasesOnTheWayPrecedeTheFile) {
  EXPECT_EQ(data_path("a/", {"b/", "d/1"}), "a/b/d/1");
  EXPECT_THROW(static_cast<void>(data_path("a/", {"../", "d/1"})), FormatError);
  EXPECT_THROW(static_cast<void>(data_path(".", {"./", "d/1"})), FormatError);
}

}  // namespace
}  // namespace cairn::ocdbt

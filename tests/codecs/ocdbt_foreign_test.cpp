// Databases that others wrote: TensorStore (tests/data/ocdbt) and Orbax (tests/data/orbax/ocdbt).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "codecs/ocdbt_database.h"

namespace cairn::ocdbt {
namespace {

namespace fs = std::filesystem;
using testing::Database;
using testing::read_file;
using ::testing::SizeIs;

const fs::path kData = CAIRN_TEST_DATA;

Database::Values expected(const std::string& name) {
  Database::Values values;
  const auto json = boost::json::parse(read_file(kData / "ocdbt" / name / "expected.json"));
  for (const auto& [key, value] : json.as_object()) {
    values[std::string(key)] = std::string(value.as_string());
  }
  return values;
}

class WrittenByTensorStore : public ::testing::TestWithParam<const char*> {};

TEST_P(WrittenByTensorStore, HoldsTheValuesThatWereSaved) {
  Database database(kData / "ocdbt" / GetParam());
  EXPECT_EQ(database.latest(), expected(GetParam()));
}

TEST_P(WrittenByTensorStore, KeepsEveryVersion) {
  Database database(kData / "ocdbt" / GetParam());
  std::uint64_t generation = 0;
  std::size_t keys = 0;
  for (const auto& version : database.versions()) {
    EXPECT_EQ(version.generation, ++generation);
    const auto values = database.values(version);
    EXPECT_TRUE(values.size() > keys || !version.root);
    keys = values.size();
  }
  EXPECT_GT(generation, 1u);
}

INSTANTIATE_TEST_SUITE_P(Databases, WrittenByTensorStore,
                         ::testing::Values("arity2_of_11", "arity4_of_23", "numbered", "interior",
                                           "interior_zstd"),
                         [](const auto& test) { return std::string(test.param); });

TEST(TensorStoreFiles, CoversTallVersionTreesAndTallNodes) {
  Database versions(kData / "ocdbt/arity2_of_11");
  versions.versions();
  EXPECT_GE(versions.tallest_version_node(), 2);
  Database interior(kData / "ocdbt/interior");
  interior.latest();
  EXPECT_GE(interior.tallest_node(), 2);
  EXPECT_TRUE(decode_manifest(read_file(kData / "ocdbt/numbered/manifest.ocdbt")).config.numbered);
}

// Without compression there is one way to write a structure, given the order of its files.
TEST(TensorStoreFiles, IsEncodedToTheSameBytes) {
  std::size_t nodes = 0;
  for (const auto* name : {"arity2_of_11", "arity4_of_23", "interior"}) {
    const auto root = kData / "ocdbt" / name;
    const auto bytes = read_file(root / "manifest.ocdbt");
    const auto manifest = decode_manifest(bytes);
    EXPECT_EQ(encode(manifest), bytes) << name;
    for (const auto& file : fs::directory_iterator(root / "d")) {
      const auto data = read_file(file.path());
      // These files hold nodes only, back to back; each begins with its magic and its length.
      for (std::size_t at = 0; at + 16 <= data.size(); ++nodes) {
        std::uint64_t length = 0;
        std::memcpy(&length, data.data() + at + 4, sizeof(length));
        ASSERT_LE(length, data.size() - at) << file.path();
        const auto node = data.substr(at, static_cast<std::size_t>(length));
        if (node[2] == '\x20') {
          EXPECT_EQ(
              encode(decode_node(node, manifest.config.max_decoded_node_bytes), manifest.config),
              node);
        } else {
          EXPECT_EQ(encode(decode_version_node(node, manifest.config), manifest.config), node);
        }
        at += node.size();
      }
    }
  }
  EXPECT_GT(nodes, 40u);
}

TEST(WrittenByOrbax, ManifestHasTheConfigurationThatWeWrite) {
  const auto manifest = decode_manifest(read_file(kData / "orbax/ocdbt/manifest.ocdbt"));
  auto config = manifest.config;
  config.uuid = {};
  EXPECT_EQ(config, Config{});
  EXPECT_EQ(decode_manifest(encode(manifest)), manifest);
}

TEST(WrittenByOrbax, DatabaseIsReadThroughTheBasesOfItsFiles) {
  Database database(kData / "orbax/ocdbt");
  const auto values = database.latest();
  EXPECT_FALSE(values.empty());
  std::size_t metadata = 0;
  for (const auto& [key, value] : values) {
    if (!key.ends_with(".zarray") && !key.ends_with("zarr.json")) continue;
    EXPECT_TRUE(boost::json::parse(value).is_object()) << key;
    ++metadata;
  }
  EXPECT_GT(metadata, 0u);
  EXPECT_LT(metadata, values.size());
}

}  // namespace
}  // namespace cairn::ocdbt

// The worked examples of codecs/ocdbt_format.md, byte for byte and in both directions.

#include <cairn/codecs/ocdbt.h>
#include <gtest/gtest.h>

#include <string>

namespace cairn::ocdbt {
namespace {

constexpr std::string_view kDataFile = "d/00112233445566778899aabbccddeeff";

/// Bytes from hexadecimal text with spaces; the data file's path stands for itself as PATH.
std::string bytes(std::string_view text) {
  std::string result;
  const auto digit = [](char c) {
    return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == ' ') {
      ++i;
    } else if (text.substr(i, 4) == "PATH") {
      result += kDataFile;
      i += 4;
    } else {
      result += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
      i += 2;
    }
  }
  return result;
}

Config config() {
  Config result;
  for (std::size_t i = 0; i < result.uuid.size(); ++i) result.uuid[i] = static_cast<std::byte>(i);
  result.max_inline_value_bytes = 100;
  result.max_decoded_node_bytes = 8 << 20;
  result.compression = Compression::none;
  return result;
}

const FileTable kOneFile{{"", std::string(kDataFile)}};

// ---- example A: a leaf and its manifest
// -----------------------------------------------------------------

const std::string kLeaf = bytes(
    "0cdb20de 4f00000000000000 00 00  00  01 22 00 PATH  02  02 09 01 772f2e7a6172726179 30"
    "  02 08 00 01  00 80 20  7b7d  7c00f5c4");

Node leaf() {
  Node node;
  node.files = kOneFile;
  node.entries = std::vector<Entry>{{"w/.zarray", "{}"}, {"w/0", Reference{0, 4096, 8}}};
  return node;
}

TEST(OcdbtExample, LeafIsEncoded) {
  EXPECT_EQ(encode(leaf(), config()), kLeaf);
}
TEST(OcdbtExample, LeafIsDecoded) {
  EXPECT_EQ(decode_node(kLeaf, 8 << 20), leaf());
}

const std::string kManifest = bytes(
    "0cdb3a2a 6200000000000000 00 00  000102030405060708090a0b0c0d0e0f 00 64 80808004 04 00"
    "  01 22 00 PATH  01 01 00  00 8040 4f  02 4f 08  00002a36fe9c9717  00  280b0ccd");

Manifest manifest() {
  Manifest result;
  result.config = config();
  result.files = kOneFile;
  Version version;
  version.generation = 1;
  version.root = Reference{0, 8192, 79};
  version.statistics = {2, 79, 8};
  version.commit_time_ns = 1700000000000000000;
  result.versions = {version};
  return result;
}

TEST(OcdbtExample, ManifestIsEncoded) {
  EXPECT_EQ(encode(manifest()), kManifest);
}
TEST(OcdbtExample, ManifestIsDecoded) {
  EXPECT_EQ(decode_manifest(kManifest), manifest());
}

TEST(OcdbtExample, TreeOfOneLeafIsThatLeaf) {
  auto entries = std::get<std::vector<Entry>>(leaf().entries);
  const auto tree = encode_tree(std::move(entries), kOneFile, 0, 8192, config());
  EXPECT_EQ(tree.bytes, kLeaf);
  auto version = manifest().versions[0];
  version.commit_time_ns = 0;
  EXPECT_EQ(tree.version, version);
}

// ---- example B: height 1, common prefixes stripped
// --------------------------------------------------------

const std::string kTree = bytes(
    "0cdb20de 2000000000000000 00 00  00  00  02  00 01 01  30 31  01 01 00 00  50 51  f9adf84a"
    "0cdb20de 1900000000000000 00 00  00  00  01  00  01 00  52  610705e0"
    "0cdb20de 5100000000000000 00 00  01  01 22 00 PATH  02  00 04 03 03 03  612f7830 622f79"
    "  00 00 00 20 20 19  02 01 20 19 00 00  4591f059");

TEST(OcdbtExample, TreeOfHeightOneIsEncoded) {
  // A target that holds two entries of the first leaf but not the third.
  const auto tree =
      encode_tree({{"a/x0", "P"}, {"a/x1", "Q"}, {"b/y", "R"}}, kOneFile, 0, 0, config(), 35);
  EXPECT_EQ(tree.bytes, kTree);
  EXPECT_EQ(tree.version.root_height, 1);
  EXPECT_EQ(tree.version.root, (Reference{0, 57, 81}));
  EXPECT_EQ(tree.version.statistics, (Statistics{3, 138, 0}));
}

TEST(OcdbtExample, RootOfHeightOneIsDecoded) {
  const auto root = decode_node(std::string_view(kTree).substr(57), 8 << 20);
  Child first;
  first.key = "a/x0";
  first.common_prefix = 3;
  first.location = {0, 0, 32};
  first.statistics = {2, 32, 0};
  Child second;
  second.key = "b/y";
  second.common_prefix = 3;
  second.location = {0, 32, 25};
  second.statistics = {1, 25, 0};
  EXPECT_EQ(root.height, 1);
  EXPECT_EQ(root.files, kOneFile);
  EXPECT_EQ(root.entries, (decltype(root.entries)(std::vector<Child>{first, second})));
  EXPECT_EQ(encode(root, config()), kTree.substr(57));
}

// ---- the table of data files
// ------------------------------------------------------------------------------

TEST(OcdbtExample, FilesOfOneBaseShareItAsPrefix) {
  const std::string base = "ocdbt.process_0/d/";
  Node node;
  node.files = {{"ocdbt.process_0/", "d/" + std::string(32, 'a')},
                {"ocdbt.process_0/", "d/" + std::string(32, 'b')}};
  node.entries = std::vector<Entry>{{"k", Reference{1, 0, 1}}};
  const auto encoded = encode(node, config());
  EXPECT_NE(
      encoded.find("\x02\x12\x32\x20\x10\x10" + base + std::string(32, 'a') + std::string(32, 'b')),
      std::string::npos);
  EXPECT_EQ(decode_node(encoded, 8 << 20), node);
}

TEST(OcdbtExample, PrefixStaysInsideTheShorterBaseWhereBasesDiffer) {
  Node node;
  // The paths share 7 bytes, the bases have 2 and 4.
  node.files = {{"a/", "b/c/d/1"}, {"a/b/", "c/d2"}, {"", "a/b"}, {"", ""}};
  node.entries = std::vector<Entry>{{"k", "v"}};
  const auto encoded = encode(node, config());
  EXPECT_EQ(encoded.substr(15, 13), std::string("\x04\x02\x00\x00\x09\x06\x03\x00\x02\x04\x00\x00"
                                                "a",
                                                13));
  EXPECT_EQ(decode_node(encoded, 8 << 20), node);
}

}  // namespace
}  // namespace cairn::ocdbt

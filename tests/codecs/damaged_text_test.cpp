// Damaged text: a decoder either accepts it or throws a FormatError; it never does anything else.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/orbax.h>
#include <cairn/codecs/zarr.h>
#include <codecs/test_data.h>
#include <gtest/gtest.h>

#include <random>

namespace cairn {
namespace {

constexpr unsigned kSeed = 20240601;
constexpr int kRounds = 4000;

// One to four changes: a byte replaced, removed or doubled, a piece moved, the end cut off.
std::string damage(std::string text, std::mt19937& random) {
  constexpr std::string_view kBytes = "{}[]\",:0123456789-+.eENaIntrufl \\/\x01\xFF";
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
  for (std::size_t changes = 1 + below(4); changes > 0 && !text.empty(); --changes) {
    const std::size_t at = below(text.size());
    switch (below(5)) {
      case 0:
        text[at] = kBytes[below(kBytes.size())];
        break;
      case 1:
        text.erase(at, 1 + below(4));
        break;
      case 2:
        text.insert(at, 1, text[at]);
        break;
      case 3:
        text.insert(at, text.substr(below(text.size()), below(30)));
        break;
      default:
        if (below(4) == 0) text.resize(at);
        break;
    }
  }
  return text;
}

template <class Decode>
void expect_only_format_errors(const std::string& text, const Decode& decode) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  ASSERT_NO_THROW(decode(text));
  std::mt19937 random(kSeed);
  int refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string damaged = damage(text, random);
    try {
      decode(damaged);
    } catch (const FormatError& error) {
      ++refused;
      ASSERT_TRUE(error.offset()) << error.what();
      EXPECT_LE(*error.offset(), damaged.size()) << error.what();
    } catch (const std::exception& error) {
      FAIL() << error.what() << " in round " << round << ": " << damaged;
    }
  }
  EXPECT_GT(refused, kRounds / 2);
}

TEST(DamagedText, OfTreeMetadataIsRefusedOrRead) {
  expect_only_format_errors(read_test_data("orbax/odd_keys_METADATA"), [](const std::string& text) {
    // What was read can be written, and says the same again.
    const auto metadata = orbax::decode_tree_metadata(text);
    EXPECT_EQ(orbax::decode_tree_metadata(encode(metadata)).entries, metadata.entries);
  });
}

TEST(DamagedText, OfStepMetadataIsRefusedOrRead) {
  expect_only_format_errors(
      read_test_data("orbax/v1_CHECKPOINT_METADATA"),
      [](const std::string& text) { (void)encode(orbax::decode_step_metadata(text)); });
}

TEST(DamagedText, OfRootMetadataIsRefusedOrRead) {
  expect_only_format_errors(
      R"({"internal_metadata": {"a": [1, null]}, "custom_metadata": {"run": "a\u00e9", "x": -Infinity}})",
      [](const std::string& text) { (void)encode(orbax::decode_root_metadata(text)); });
}

TEST(DamagedText, OfStringsIsRefusedOrRead) {
  expect_only_format_errors(read_test_data("orbax/strings.json"), [](const std::string& text) {
    const auto strings = orbax::parse_json(text, orbax::kStringsFile);
    for (const char* name : {"z", "a.s", "l.0", "a/b", "a/c/d", "t~0x", "t~1x", ""}) {
      (void)orbax::find_string(strings, name, text);
    }
  });
}

TEST(DamagedText, OfArrayMetadataIsRefusedOrRead) {
  const auto rows = read_test_table("zarr/tensorstore.txt");
  ASSERT_FALSE(rows.empty());
  for (const std::size_t row : {std::size_t{0}, rows.size() / 2, rows.size() - 1}) {
    expect_only_format_errors(rows[row].at(2), [](const std::string& text) {
      auto metadata = zarr::decode_metadata(text);
      for (zarr::Codec& codec : metadata.codecs) {
        if (auto* bytes = std::get_if<zarr::Bytes>(&codec.value)) bytes->big_endian = false;
      }
      EXPECT_EQ(zarr::decode_metadata(zarr::encode_metadata(metadata)), metadata);
      (void)zarr::chunk_size_bound(metadata);
    });
  }
}

TEST(DamagedText, OfCodecsAndZarrV2IsRefusedOrRead) {
  for (const auto& row : read_test_table("zarr/chunks.txt")) {
    // These have most of what codecs may say.
    if (row.at(0) == "tensorstore v3 codecs in a row" ||
        row[0] == "tensorstore v3 shards in shards") {
      expect_only_format_errors(row.at(1), [](const std::string& text) {
        (void)zarr::chunk_size_bound(zarr::decode_metadata(text));
      });
    }
    if (row[0] == "tensorstore v2 codec blosc zstd shuffle") {
      expect_only_format_errors(row.at(1), [](const std::string& text) {
        (void)zarr::chunk_size_bound(zarr::decode_v2_metadata(text));
      });
    }
  }
}

}  // namespace
}  // namespace cairn

// Foreign checkpoints cut short, with flipped bits, or made to mislead: one error that names the
// file, or the right values; never other ones, a crash or a hang.

#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/ocdbt.h>
#include <cairn/codecs/orbax.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>
#include <numeric>
#include <set>

#include "manager/expected_tree.h"
#include "support/manager_fixture.h"
#include "support/sanitized.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using test::checkpoint;
using ::testing::AnyOf;
using ::testing::HasSubstr;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// Bytes of a file that is cut at every length.
constexpr std::size_t kSmallFile = 512;
/// Of ts_numbered.
constexpr std::string_view kNewestManifest = "manifest.0000000000000007";

class DamagedForeign : public test::ManagerTest {
 protected:
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam());

  fs::path copy_of(const std::string& name) {
    const fs::path path = fs::path(root()) / name;
    fs::create_directories(root());
    fs::copy(checkpoint(name), path, fs::copy_options::recursive);
    return path;
  }
  static std::vector<fs::path> files_of(const fs::path& folder) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::ranges::sort(files);
    return files;
  }
  /// What a decoder refused names its field and both values. What is missing, or has another length
  /// or hash, is no field.
  static void expect_field_and_values(const Error& error) {
    EXPECT_THAT(error.reason(),
                AnyOf(::testing::ContainsRegex(": .+: found .+; allowed: .+"),
                      HasSubstr("but the file has"), HasSubstr("its metadata asks for"),
                      HasSubstr("it is not there"), HasSubstr("there is no '"),
                      HasSubstr("is missing"), HasSubstr("not the one that the item was")))
        << error.what();
  }
  /// The tree, or nothing where that was refused with an error of the right kind that names a file
  /// of the item.
  std::optional<Tree> try_read(const fs::path& path) {
    try {
      return read_tree(engine_, path.string()).get();
    } catch (const Error& error) {
      // A codec's name with a flipped bit may be one that somebody has.
      EXPECT_THAT(error.code(),
                  AnyOf(ErrorCode::data_loss, ErrorCode::not_found, ErrorCode::not_supported))
          << error.what();
      EXPECT_TRUE(error.context().path.starts_with(path.string() + "/")) << error.what();
      if (error.code() != ErrorCode::not_found) expect_field_and_values(error);
      return std::nullopt;
    }
  }
  void expect_error(const fs::path& path, ErrorCode code, const std::string& text) {
    try {
      static_cast<void>(read_tree(engine_, path.string()).get());
      ADD_FAILURE() << "no error with " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(text));
    }
  }
  /// Key paths of arrays none of whose codecs is a crc32c.
  std::set<std::string> arrays_without_checksums(const fs::path& path) {
    std::set<std::string> found;
    for (const LeafInfo& leaf : inspect_item(engine_, path.string()).get().leaves) {
      const bool checked = std::ranges::any_of(leaf.codecs, [](const std::string& codec) {
        return codec.find("crc32c") != std::string::npos;
      });
      if (!checked) found.insert(leaf.key_path);
    }
    return found;
  }
  /// Key paths at which the trees are not the same. An array whose values changed keeps its dtype
  /// and shape.
  static std::vector<std::string> differences(const Tree& found, const Tree& whole) {
    std::vector<std::string> different;
    const std::vector<FlatEntry> a = flatten(found);
    const std::vector<FlatEntry> b = flatten(whole);
    EXPECT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      EXPECT_EQ(to_string(a[i].path), to_string(b[i].path));
      if (*a[i].node == *b[i].node) continue;
      different.push_back(to_string(b[i].path));
      const auto* left = std::get_if<Array>(&a[i].node->value());
      const auto* right = std::get_if<Array>(&b[i].node->value());
      if (left == nullptr || right == nullptr) continue;
      EXPECT_EQ(left->dtype(), right->dtype());
      EXPECT_EQ(left->shape(), right->shape());
    }
    return different;
  }
  /// Rewrites the array metadata of a file checkpoint.
  static void replace(const fs::path& file, const std::string& from, const std::string& to) {
    std::string text = read_file(file);
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    write_file(file, text.replace(at, from.size(), to));
  }
};
CAIRN_ON_EVERY_BACKEND(DamagedForeign);

TEST_P(DamagedForeign, FilesCutShortAnywhereGiveAnErrorOrTheSameValues) {
  for (const std::string name : {"ocdbt_zarr3", "two_processes", "files_zarr2"}) {
    const fs::path path = copy_of(name);
    const Tree whole = read_tree(engine_, path.string()).get();
    std::set<std::string> names;
    for (const fs::path& file : files_of(path)) {
      SCOPED_TRACE(file);
      const std::string bytes = read_file(file);
      fs::remove(file);
      const auto without = try_read(path);
      if (without) {
        EXPECT_EQ(*without, whole) << "without the file";
      }
      // Every length of a small file that is read, and of one array's in place of all arrays'; of
      // other files about 20 lengths.
      const bool every =
          bytes.size() <= kSmallFile && !without && names.insert(file.filename()).second;
      const std::size_t step =
          test::kOneCaseIn * (every ? 1 : std::max<std::size_t>(1, bytes.size() / 20));
      for (std::size_t size = 0; size < bytes.size(); size += step) {
        write_file(file, bytes.substr(0, size));
        const auto tree = try_read(path);
        if (tree) {
          EXPECT_EQ(*tree, whole) << "cut at " << size;
        }
      }
      write_file(file, bytes);
    }
  }
}

TEST_P(DamagedForeign, FlippedBitsOfChecksummedBytesGiveAnErrorOrTheSameValues) {
  // OCDBT's nodes carry checksums, and so do some arrays: those may not change. An array without
  // one may, by itself: a bit belongs to one.
  for (const std::string name : {"ts_ocdbt", "ocdbt_zarr3"}) {
    const fs::path path = copy_of(name);
    const Tree whole = read_tree(engine_, path.string()).get();
    const std::set<std::string> unprotected = arrays_without_checksums(path);
    for (const fs::path& file : files_of(path)) {
      if (file.filename() == "_METADATA" || file.filename() == "_strings.json") continue;
      SCOPED_TRACE(file);
      const std::string bytes = read_file(file);
      const std::size_t step = std::max<std::size_t>(1, bytes.size() / (test::kSanitized ? 4 : 15));
      for (std::size_t at = 0; at < bytes.size(); at += step) {
        std::string flipped = bytes;
        flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
        write_file(file, flipped);
        const auto tree = try_read(path);
        if (!tree) continue;
        const std::vector<std::string> changed = differences(*tree, whole);
        EXPECT_LE(changed.size(), 1u) << "byte " << at;
        for (const std::string& one : changed)
          EXPECT_TRUE(unprotected.contains(one)) << one << ", byte " << at;
      }
      write_file(file, bytes);
    }
  }
}

TEST_P(DamagedForeign, FlippedBitsOfWhatCairnWroteGiveAnErrorOrTheSameValues) {
  for (const Layout layout : {Layout::ocdbt_zarr3, Layout::zarr3, Layout::zarr2}) {
    const fs::path path = fs::path(root()) / ("step_" + std::to_string(static_cast<int>(layout)));
    ManagerOptions options = this->options();
    options.layout = layout;
    CheckpointManager manager(path, options);
    Array array(DType::float32, {5000});
    std::iota(array.values<float>().begin(), array.values<float>().end(), 0.5F);
    const Dict saved{{"large", Tree(array)},
                     {"small", Tree(Array(DType::int16, {7}))},
                     {"n", Tree(3)},
                     {"none", Tree(Dict())}};
    ASSERT_TRUE(manager.save(0, Tree(saved)).get());
    const fs::path item = path / "0/default";
    const Tree whole = read_tree(engine_, item).get();
    for (const fs::path& file : files_of(item)) {
      SCOPED_TRACE(file);
      const std::string bytes = read_file(file);
      const std::size_t step = std::max<std::size_t>(1, bytes.size() / (test::kSanitized ? 8 : 40));
      for (std::size_t at = 0; at < bytes.size(); at += step) {
        std::string flipped = bytes;
        flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
        write_file(file, flipped);
        const auto tree = try_read(item);
        if (tree) {
          EXPECT_THAT(differences(*tree, whole), ::testing::IsEmpty()) << "byte " << at;
        }
      }
      write_file(file, bytes);
    }
  }
}

TEST_P(DamagedForeign, ShapesThatChangedInWhatCairnWroteAreFoundByTheRecord) {
  for (const Layout layout : {Layout::zarr3, Layout::zarr2}) {
    const std::string name = root() + (layout == Layout::zarr3 ? "/v3" : "/v2");
    ManagerOptions options = this->options();
    options.layout = layout;
    CheckpointManager manager(name, options);
    const Dict saved{{"a", Tree(Array(DType::int32, {5000}))},
                     {"b", Tree(Array(DType::int8, {3}))}};
    ASSERT_TRUE(manager.save(0, Tree(saved)).get());
    const fs::path item = name + "/0/default";
    const std::string file = layout == Layout::zarr3 ? "a/zarr.json" : "a/.zarray";
    replace(item / file, "\"shape\":[5000]", "\"shape\":[4000]");
    expect_error(item, ErrorCode::data_loss, file);
    expect_error(item, ErrorCode::data_loss, "not the one that the item was committed with");
    const VerifyReport report = verify_step(engine_, name + "/0").get();
    ASSERT_EQ(report.damages.size(), 1u);
    EXPECT_EQ(report.damages[0].key_path, "a");
    EXPECT_EQ(report.damages[0].file, (item / file).string());
    EXPECT_EQ(report.arrays, 1u);
    // The other array is as good as ever.
    const ReadOptions other({args::Selection("b")});
    EXPECT_EQ(read_tree(engine_, item, other).get(), Tree(Dict{{"b", saved.at("b")}}));
    // Nothing tells what a record without the hash is of, as one of an earlier version is.
    CairnRecord record = decode_record(read_file(item / "_CAIRN"));
    EXPECT_EQ(record.array_metadata.size(), 2u);
    record.array_metadata.clear();
    write_file(item / "_CAIRN", encode(record));
    EXPECT_EQ(read_tree(engine_, item).get().at("a").as<Array>().shape(), Shape{4000});
  }
}

TEST_P(DamagedForeign, ShapesThatNoMemoryHoldsAreRefusedBeforeAnyIsTaken) {
  const fs::path path = copy_of("files_zarr2");
  const fs::path array = path / "w/.zarray";
  const std::string text = read_file(array);
  replace(array, "\"shape\":[4,2]", "\"shape\":[4611686018427387904,2]");
  expect_error(path, ErrorCode::data_loss, "w/.zarray");
  write_file(array, text);
  replace(array, "\"shape\":[4,2]", "\"shape\":[9223372036854775807]");
  expect_error(path, ErrorCode::data_loss, "w/.zarray");
  write_file(array, text);
  // 2^57 chunks, of which one is there: the missing ones are counted, not listed.
  replace(array, "\"shape\":[4,2]", "\"shape\":[576460752303423488,2]");
  expect_error(path, ErrorCode::data_loss, "others of this array");
  write_file(array, text);
  // Chunks that may be left out make an array of any size; no machine has that memory.
  replace(path / "_METADATA", "\"store_array_data_equal_to_fill_value\": true",
          "\"store_array_data_equal_to_fill_value\": false");
  replace(array, "\"shape\":[4,2]", "\"shape\":[576460752303423488,2]");
  expect_error(path, ErrorCode::resource_exhausted, "memory");
}

TEST_P(DamagedForeign, ChunksThatClaimMoreThanTheyCanDecodeToAreRefused) {
  const fs::path path = copy_of("files_zarr2");
  const fs::path array = path / "w/.zarray";
  replace(array, "\"chunks\":[4,2]", "\"chunks\":[1073741824,2]");
  expect_error(path, ErrorCode::data_loss, "too few to decode");
  const std::uint64_t window = engine_->stats().window.peak_bytes;
  EXPECT_LT(window, 64u << 20);
}

TEST_P(DamagedForeign, SymlinksAreNotFollowed) {
  const fs::path path = copy_of("files_zarr3");
  const fs::path outside = fs::path(root()) / "outside";
  for (const std::string name : {"w/c/0/0", "w/zarr.json"}) {
    const std::string bytes = read_file(path / name);
    write_file(outside, bytes);
    for (const fs::path& target :
         {outside, fs::path("../../../../outside"), fs::path("/dev/null")}) {
      fs::remove(path / name);
      fs::create_symlink(target, path / name);
      // What a link leads to may be as good as ever: no damage, and a way out.
      expect_error(path, ErrorCode::not_supported, "symbolic link");
      expect_error(path, ErrorCode::not_supported, "cp -L");
    }
    const VerifyReport report = verify_step(engine_, path.string()).get();
    EXPECT_TRUE(report.ok());
    ASSERT_EQ(report.unchecked.size(), 1u);
    EXPECT_EQ(report.unchecked[0].file, (path / name).string());
    fs::remove(path / name);
    write_file(path / name, bytes);
  }
  // Neither is one in a directory's place followed.
  write_file(fs::path(root()) / "0", read_file(path / "w/c/0/0"));
  fs::remove_all(path / "w/c/0");
  fs::create_directory_symlink(root(), path / "w/c/0");
  expect_error(path, ErrorCode::not_supported, (path / "w/c/0").string());
  expect_error(path, ErrorCode::not_supported, "symbolic link");
}

TEST_P(DamagedForeign, NoFileOfADatabaseMayBeASymlinkEither) {
  const fs::path path = copy_of("ocdbt_zarr3");
  for (const fs::path& file : files_of(path)) {
    const std::string name = file.filename();
    const bool is_read = name == "manifest.ocdbt" || name == "_METADATA" || name.size() == 32;
    if (!is_read || file.string().find("process_0/manifest") != std::string::npos) continue;
    SCOPED_TRACE(file);
    const fs::path aside = fs::path(root()) / "aside";
    fs::rename(file, aside);
    fs::create_symlink(aside, file);
    try {
      static_cast<void>(read_tree(engine_, path.string()).get());
    } catch (const Error& error) {  // files that nothing refers to are not opened
      EXPECT_EQ(error.code(), ErrorCode::not_supported) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(file.string()));
      EXPECT_THAT(error.what(), HasSubstr("links are not followed"));
    }
    fs::remove(file);
    fs::rename(aside, file);
  }
}

TEST_P(DamagedForeign, NamesThatLeadOutOfThePlainItemAreRefused) {
  const fs::path path = copy_of("files_zarr3");
  const std::string file = (path / "_METADATA").string();
  const orbax::TreeMetadata sound = orbax::decode_tree_metadata(read_file(file));
  const Tree whole = read_tree(engine_, path.string()).get();
  // What they lead to is an array as good as the one in the item.
  fs::copy(path / "w", fs::path(root()) / "x", fs::copy_options::recursive);
  for (const std::string& name : {std::string("../x"), std::string("/x"), root() + "/x",
                                  std::string("rank0/../../x"), std::string("./w")}) {
    SCOPED_TRACE(name);
    orbax::TreeMetadata changed = sound;
    const KeyPath out{Key(name, Key::Kind::dict)};
    for (orbax::TreeEntry& entry : changed.entries) {
      if (to_string(entry.path) == "w") entry.path = out;
    }
    write_file(file, orbax::encode(changed));
    for (const ReadOptions& wanted : {ReadOptions(), ReadOptions({args::Selection(out)})}) {
      const Error error = error_of(read_tree(engine_, path.string(), wanted));
      EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
      EXPECT_EQ(error.context().path, file);
      EXPECT_EQ(error.context().key_path, to_string(out));
      EXPECT_THAT(error.reason(), HasSubstr("found \"" + name + "\"; allowed: a path that stays"));
    }
    const VerifyReport report = verify_item(engine_, path.string()).get();
    ASSERT_EQ(report.damages.size(), 1u);
    EXPECT_EQ(report.damages[0].file, file);
    const ReadOptions others({args::Selection("bools")});
    EXPECT_EQ(read_tree(engine_, path.string(), others).get().at("bools"), whole.at("bools"));
  }
}

TEST_P(DamagedForeign, StringsThatAreMissingAreNamed) {
  const fs::path path = copy_of("ocdbt_zarr2");
  write_file(path / "_strings.json", "{}");
  expect_error(path, ErrorCode::data_loss, "'text'");
  write_file(path / "_strings.json", "{\"text\": 3}");
  expect_error(path, ErrorCode::data_loss,
               "_strings.json: text at byte 9: found 3; allowed: a string");
  fs::remove(path / "_strings.json");
  expect_error(path, ErrorCode::data_loss, "_strings.json");
}

TEST_P(DamagedForeign, ANumberedManifestMustHaveTheGenerationOfItsName) {
  const fs::path path = copy_of("ts_numbered");
  const boost::json::object values = test::expected("ts_numbered");
  test::expect_tree(read_tree(engine_, path.string()).get(), values);
  const fs::path misnamed = path / "manifest.00000000000000ff";
  fs::copy(path / kNewestManifest, misnamed);
  const Error error = error_of(read_tree(engine_, path.string()));
  EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
  EXPECT_EQ(error.context().path, misnamed.string());
  EXPECT_THAT(error.reason(), HasSubstr("latest generation is 7, its name says 255"));
  fs::rename(misnamed, path / "manifest.00000000000000FF");
  test::expect_tree(read_tree(engine_, path.string()).get(), values);
}

TEST_P(DamagedForeign, ANumberedManifestMustHaveTheConfigurationOfTheDatabase) {
  const fs::path path = copy_of("ts_numbered");
  const std::string newest = (path / kNewestManifest).string();
  const ocdbt::Manifest sound = ocdbt::decode_manifest(read_file(newest));
  const std::pair<std::string, std::function<void(ocdbt::Config&)>> changes[] = {
      {"uuid: found ff", [](auto& config) { config.uuid.fill(std::byte{0xff}); }},
      {"max_inline_value_bytes: found 65; allowed: 64, as in manifest.ocdbt",
       [](auto& config) { ++config.max_inline_value_bytes; }},
      {"max_decoded_node_bytes: found ", [](auto& config) { ++config.max_decoded_node_bytes; }},
      {"version_tree_arity_log2: found 5; allowed: 4",
       [](auto& config) { config.version_tree_arity_log2 = 5; }},
      {"compression_method: found 0; allowed: 1",
       [](auto& config) { config.compression = ocdbt::Compression::none; }},
      {"zstd level: found 3; allowed: 0", [](auto& config) { config.zstd_level = 3; }}};
  for (const auto& [text, change] : changes) {
    SCOPED_TRACE(text);
    ocdbt::Manifest changed = sound;
    change(changed.config);
    write_file(newest, ocdbt::encode(changed));
    const Error error = error_of(read_tree(engine_, path.string()));
    EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
    EXPECT_EQ(error.context().path, newest);
    EXPECT_THAT(error.reason(), HasSubstr(text));
  }
  // That of the database itself, which has no versions.
  fs::copy_file(path / "manifest.ocdbt", newest, fs::copy_options::overwrite_existing);
  const Error error = error_of(read_tree(engine_, path.string()));
  EXPECT_EQ(error.context().path, newest);
  EXPECT_THAT(error.reason(), HasSubstr("manifest_kind: found 1; allowed: 0"));
}

TEST_P(DamagedForeign, AMissingChunkIsDamageOnlyWhereAllAreStored) {
  const fs::path path = copy_of("files_zarr3");
  fs::remove(path / "w/c/0/0");
  expect_error(path, ErrorCode::data_loss, "chunk c/0/0: it is not there");
  const VerifyReport report = verify_step(engine_, path.string()).get();
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_EQ(report.damages[0].key_path, "w");
  replace(path / "_METADATA", "\"store_array_data_equal_to_fill_value\": true",
          "\"store_array_data_equal_to_fill_value\": false");
  const Tree tree = read_tree(engine_, path.string()).get();
  EXPECT_EQ(tree.at("w").as<Array>(), Array(DType::float32, {4, 2}));
}

TEST_P(DamagedForeign, NestedDirectoriesEnd) {
  fs::path path = fs::path(root()) / "deep";
  fs::path below = path;
  for (int i = 0; i < 300; ++i) below /= "d";
  fs::create_directories(below);
  write_file(path / ".zgroup", "{\"zarr_format\":2}");
  expect_error(path, ErrorCode::data_loss, "nested");
}

TEST_P(DamagedForeign, FormatsWithoutChecksumsAreCheckedByTheRecord) {
  for (const Layout layout : {Layout::zarr2, Layout::ocdbt_zarr2}) {
    const std::string name = root() + (layout == Layout::zarr2 ? "/files" : "/database");
    ManagerOptions options = this->options();
    options.layout = layout;
    CheckpointManager manager(name, options);
    Array array(DType::int32, {1000});
    ASSERT_TRUE(manager.save(0, Dict{{"w", Tree(array)}}).get());
    const fs::path item = name + "/0/default";
    fs::path data;
    for (const fs::path& file : files_of(item)) {
      if (data.empty() || fs::file_size(file) > fs::file_size(data)) data = file;
    }
    const std::string bytes = read_file(data);
    std::string flipped = bytes;
    flipped[1000] ^= 4;
    write_file(data, flipped);
    expect_error(item, ErrorCode::data_loss, "crc32c in _CAIRN");
    EXPECT_FALSE(verify_step(engine_, name + "/0").get().ok());
    // The record is an extra: without it there is nothing to compare with.
    fs::rename(item / "_CAIRN", item / "aside");
    EXPECT_NE(read_tree(engine_, item).get().at("w").as<Array>(), array);
    write_file(data, bytes);
    fs::rename(item / "aside", item / "_CAIRN");
    EXPECT_EQ(read_tree(engine_, item).get().at("w").as<Array>(), array);
  }
}

}  // namespace
}  // namespace cairn

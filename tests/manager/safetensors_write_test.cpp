// Writing safetensors files: what is written is what was given, and is there whole or not at all.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>

#include "manager/safetensors_samples.h"
#include "support/array_source.h"

namespace cairn::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class WriteSafetensors : public SafetensorsTest {
 protected:
  static safetensors::Header header_of(const std::string& bytes) {
    const auto length =
        safetensors::decode_header_length(std::string_view(bytes).substr(0, 8), bytes.size());
    return safetensors::decode_header(std::string_view(bytes).substr(8, length), bytes.size());
  }
  void refuses(Tree tree, const std::string& name, ErrorCode code, const std::string& why,
               const SafetensorsWriteOptions& options = {}) {
    const std::vector<std::string> before = entries();
    try {
      static_cast<void>(write_safetensors(new_engine(), std::move(tree), at(name), options).get());
      ADD_FAILURE() << "no error: " << why;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
    EXPECT_EQ(entries(), before);
  }
  std::mt19937_64 random_{make_seed()};
};
CAIRN_ON_EVERY_BACKEND(WriteSafetensors);

class BrokenSource final : public Source {
 public:
  void read(const IndexRange&, std::span<std::byte>,
            std::function<void(std::exception_ptr)> done) override {
    done(std::make_exception_ptr(std::runtime_error("the device is gone")));
  }
};

TEST_P(WriteSafetensors, GivesBackWhatWasWrittenWithEveryKindOfElements) {
  const Array large = random_array(DType::float32, {1100, 3001}, random_);
  const Array small = random_array(DType::uint8, {777}, random_);
  // The same elements with rows and columns exchanged.
  const ArrayView strided(DType::float32, {3001, 1100}, large.bytes().data(), {4, 3001 * 4});
  Array transposed = Array::uninitialized(DType::float32, {3001, 1100});
  copy_region(strided, Shape{0, 0}, strided.shape(), transposed.bytes().data());
  Array top = Array::uninitialized(DType::float32, {100, 3001});
  copy_region(large, Shape{0, 0}, top.shape(), top.bytes().data());
  const ArrayView bottom(DType::float32, {1000, 3001}, large.bytes().data() + 100 * 3001 * 4);
  std::vector<LeafPart> parts;
  parts.emplace_back(IndexRange{{0, 0}, {100, 3001}}, std::make_shared<ArraySource>(top));
  parts.emplace_back(IndexRange{{100, 0}, {1000, 3001}}, bottom);
  const Dict given{{"small", small},
                   {"view", ArrayView(large)},
                   {"strided", strided},
                   {"leaf", Leaf(DType::float32, {1100, 3001}, std::move(parts))},
                   {"lazy", Leaf(DType::uint8, {777}, std::make_shared<ArraySource>(small))},
                   {"array", large},
                   {"empty", Array(DType::int8, {0, 3})}};
  const Tree expected(Dict{{"small", small},
                           {"view", large},
                           {"strided", transposed},
                           {"leaf", large},
                           {"lazy", small},
                           {"array", large},
                           {"empty", Array(DType::int8, {0, 3})}});
  for (const std::size_t alignment : {0u, 1u, 64u, 4096u}) {
    for (const auto direct : {engine::DirectIo::automatic, engine::DirectIo::off}) {
      EngineSettings settings;
      settings.direct_io = direct;
      const auto engine = new_engine(settings);
      SafetensorsWriteOptions options;
      options.alignment = alignment;
      options.overwrite = true;
      options.metadata = {{"format", "pt"}};
      const SafetensorsWritten written =
          write_safetensors(engine, Tree(given), at("a"), options).get();
      const SafetensorsContent back = read_safetensors(engine, at("a")).get();
      EXPECT_TRUE(back.tree == expected) << alignment;
      EXPECT_THAT(back.metadata, ElementsAre(Pair("format", "pt")));
      EXPECT_THAT(written.files, ElementsAre(at("a")));
      EXPECT_EQ(written.stored_bytes, std::filesystem::file_size(at("a")));
      EXPECT_EQ(written.bytes, back.bytes);
      EXPECT_EQ(written.tensors, 7u);
    }
  }
  EXPECT_THAT(entries(), ElementsAre("a"));
}

TEST_P(WriteSafetensors, GathersBlocksThatEndWhereChunksDo) {
  EngineSettings small;
  small.staging_bytes = 16u << 20;
  for (int round = 0; round < 4; ++round) {
    Dict arrays, leaves;
    for (int i = 0; i < 8; ++i) {
      const Shape shape = {1 + static_cast<Index>(random_() % 9),
                           1 + static_cast<Index>(random_() % 300'000)};
      const Shape box = {1 + static_cast<Index>(random_() % 9),
                         1 + static_cast<Index>(random_() % 300'000)};
      const DType dtype = i % 2 == 0 ? DType::uint8 : DType::uint32;
      const Array array = random_array(dtype, shape, random_);
      const std::string name = "w" + std::to_string(i);
      leaves[name] = Tree(Leaf(dtype, shape, std::make_shared<ChunkedSource>(array, box)));
      arrays[name] = Tree(array);
    }
    SafetensorsWriteOptions replace;
    replace.overwrite = true;
    const auto engine = new_engine(small);
    write_safetensors(engine, Tree(std::move(leaves)), at("out"), replace).get();
    EXPECT_TRUE(read_safetensors(engine, at("out")).get().tree == Tree(std::move(arrays)));
    EXPECT_LE(engine->stats().staging.peak_bytes, small.staging_bytes);
  }
}

TEST_P(WriteSafetensors, AlignsDataToBlocksAndTensorsToTheirElements) {
  const Dict tree{{"odd", Array(DType::uint8, {4097})},
                  {"wide", Array(DType::float64, {1000})},
                  {"half", Array(DType::float16, {999})},
                  {"block", Array(DType::uint8, {1 << 20})},
                  {"blocks", Array(DType::float32, {2048})}};
  for (const std::size_t alignment : {0u, 16u, 4096u, 65536u}) {
    SafetensorsWriteOptions options;
    options.alignment = alignment;
    options.overwrite = true;
    static_cast<void>(write_safetensors(new_engine(), Tree(tree), at("a"), options).get());
    const safetensors::Header header = header_of(get("a"));
    EXPECT_EQ(header.data_offset % (alignment == 0 ? 4096 : alignment), 0u);
    for (const safetensors::TensorInfo& info : header.tensors) {
      const auto offset = header.data_offset + info.begin;
      EXPECT_EQ(offset % size_of(info.dtype), 0u) << info.name;
      if (alignment != 16 && info.name.starts_with("block")) {
        EXPECT_EQ(offset % 4096, 0u) << info.name;
      }
    }
  }
  // Nothing to align for: the file stays small.
  static_cast<void>(write_safetensors(new_engine(), Tree(Dict{{"a", 1}}), at("small")).get());
  EXPECT_LT(get("small").size(), 200u);
}

TEST_P(WriteSafetensors, SplitsIntoShardsWithAnIndexAsTheHubDoes) {
  const Array mebibyte = random_array(DType::uint8, {1 << 20}, random_);
  const Array large = random_array(DType::uint8, {3 << 20}, random_);
  const Tree tree(
      Dict{{"a", mebibyte}, {"b", Dict{{"c", mebibyte}}}, {"d", large}, {"e", mebibyte}});
  SafetensorsWriteOptions options;
  options.max_shard_bytes = 2 << 20;
  options.metadata = {{"format", "pt"}};
  const auto engine = new_engine();
  const SafetensorsWritten written =
      write_safetensors(engine, tree, at("model.safetensors"), options).get();
  EXPECT_THAT(entries(),
              ElementsAre("model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                          "model-00003-of-00003.safetensors", "model.safetensors.index.json"));
  EXPECT_EQ(written.files.size(), 4u);
  EXPECT_EQ(written.files.back(), at("model.safetensors.index.json"));
  const auto index = safetensors::decode_index(get("model.safetensors.index.json"));
  EXPECT_THAT(index.weight_map, ElementsAre(Pair("a", "model-00001-of-00003.safetensors"),
                                            Pair("b.c", "model-00001-of-00003.safetensors"),
                                            Pair("d", "model-00002-of-00003.safetensors"),
                                            Pair("e", "model-00003-of-00003.safetensors")));
  EXPECT_EQ(index.total_size, 6u << 20);
  const SafetensorsContent back = read_safetensors(engine, root()).get();
  EXPECT_EQ(back.tree,
            Tree(Dict{{"a", mebibyte}, {"b.c", mebibyte}, {"d", large}, {"e", mebibyte}}));
  EXPECT_THAT(header_of(get("model-00002-of-00003.safetensors")).metadata,
              ElementsAre(Pair("format", "pt")));
}

TEST_P(WriteSafetensors, KeepsWhatIsThereUnlessToldToReplaceIt) {
  SafetensorsWriteOptions shards;
  shards.max_shard_bytes = 1;
  const Tree three(Dict{{"a", 1}, {"b", 2}, {"c", 3}});
  const Tree two(Dict{{"a", 4}, {"b", 5}});
  const auto engine = new_engine();
  static_cast<void>(write_safetensors(engine, three, at("m.safetensors"), shards).get());
  const std::string why = "m.safetensors.index.json: the file is there already";
  refuses(two, "m.safetensors", ErrorCode::already_exists, why, shards);
  refuses(two, "m.safetensors", ErrorCode::already_exists, why);
  put("n-00002-of-00002.safetensors", "precious");
  refuses(two, "n.safetensors", ErrorCode::already_exists,
          "n-00002-of-00002.safetensors: the file is there already", shards);
  std::filesystem::remove(at("n-00002-of-00002.safetensors"));

  shards.overwrite = true;
  put("m-notes.safetensors", "not ours");
  static_cast<void>(write_safetensors(engine, two, at("m.safetensors"), shards).get());
  EXPECT_THAT(entries(), ElementsAre("m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors",
                                     "m-notes.safetensors", "m.safetensors.index.json"));
  EXPECT_EQ(read_safetensors(engine, at("m.safetensors.index.json")).get().tree.at("b"),
            Tree(Array::scalar(std::int64_t{5})));

  SafetensorsWriteOptions single;
  single.overwrite = true;
  static_cast<void>(write_safetensors(engine, three, at("m.safetensors"), single).get());
  EXPECT_THAT(entries(), ElementsAre("m-notes.safetensors", "m.safetensors"));
  static_cast<void>(write_safetensors(engine, two, at("m.safetensors"), shards).get());
  EXPECT_THAT(entries(), ElementsAre("m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors",
                                     "m-notes.safetensors", "m.safetensors.index.json"));
}

TEST_P(WriteSafetensors, RefusesWhatSafetensorsCannotHold) {
  const auto not_supported = ErrorCode::not_supported;
  refuses(Dict{{"a", List{"text"}}}, "a", not_supported,
          "key path a[0]: safetensors has tensors only, not a string");
  refuses(Dict{{"w", 1}, {"a", Null()}}, "a", not_supported, "not a null");
  refuses(Dict{{"w", 1}, {"a", Dict()}}, "a", not_supported, "not a dict");
  for (const DType dtype : {DType::complex128, DType::int4, DType::float8_e3m4}) {
    refuses(Dict{{"z", Array(dtype, {2})}}, "a", not_supported,
            "key path z: safetensors has no " + std::string(name_of(dtype)));
  }
  SafetensorsWriteOptions drop;
  drop.drop_empty = true;
  refuses(Dict{{"w", 1}, {"a", "text"}}, "a", not_supported, "not a string", drop);
  refuses(Dict{{"w", 1}, {"a", Placeholder()}}, "a", ErrorCode::invalid_argument,
          "key path a: a leaf spec (placeholder) has no elements to save", drop);
  const Dict with_null{{"w", 1}, {"a", Null()}, {"b", List{}}};
  EXPECT_EQ(write_safetensors(new_engine(), Tree(with_null), at("a"), drop).get().tensors, 1u);
}

TEST_P(WriteSafetensors, RefusesNamesThatClash) {
  const auto invalid = ErrorCode::invalid_argument;
  refuses(Dict{{"a", Dict{{"b", 1}}}, {"a.b", 2}}, "a", invalid,
          "key path a.b: its name would be \"a.b\", as that of a/b is");
  SafetensorsWriteOptions shards;
  shards.max_shard_bytes = 1;
  refuses(Dict{{"a", Dict{{"b", 1}}}, {"a.b", 2}}, "a.safetensors", invalid, "a/b", shards);
  refuses(Dict{{"__metadata__", 1}}, "a", invalid, "the name is reserved");
  refuses(Dict{{"a\xff", 1}}, "a", invalid, "JSON");
}

TEST_P(WriteSafetensors, RefusesPathsAndOptionsThatMakeNoSense) {
  const auto invalid = ErrorCode::invalid_argument;
  std::filesystem::create_directory(at("folder"));
  refuses(Dict{{"a", 1}}, "folder", invalid, "is a directory");
  refuses(Dict{{"a", 1}}, "folder/", invalid, "is a directory");
  refuses(Dict{{"a", 1}}, "none/a", ErrorCode::not_found, "No such file");
  SafetensorsWriteOptions options;
  options.alignment = 3;
  refuses(Dict{{"a", 1}}, "a", invalid, "the alignment is 3", options);
  options.alignment = 2 << 20;
  refuses(Dict{{"a", 1}}, "a", invalid, "powers of two up to 1048576", options);
  options = {};
  options.max_shard_bytes = 10;
  refuses(Dict{{"a", 1}}, "a.bin", invalid, "ends with .safetensors", options);
}

TEST_P(WriteSafetensors, ReplacesNothingButARegularFile) {
  ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo(at("m-00002-of-00002.safetensors").c_str(), 0600), 0);
  put("target", "precious");
  std::filesystem::create_symlink("target", at("link"));
  std::filesystem::create_directory(at("folder"));
  SafetensorsWriteOptions replace;
  replace.overwrite = true;
  const Tree tree = Dict{{"a", Array(DType::int8, {4})}, {"b", Array(DType::int8, {4})}};
  const auto refused = [&](const std::string& name, const std::string& why) {
    refuses(tree, name, ErrorCode::invalid_argument, why, replace);
  };
  refused("fifo", "is a FIFO, socket or device");
  refused("link", "is a symbolic link");
  refused("folder", "is a directory");
  replace.max_shard_bytes = 4;
  refused("m.safetensors", "is a FIFO, socket or device");
  EXPECT_EQ(get("target"), "precious");
}

TEST_P(WriteSafetensors, LeavesOlderShardsThatAreNoFiles) {
  SafetensorsWriteOptions shards;
  shards.max_shard_bytes = 4;
  const Tree tree = Dict{{"a", Array(DType::int8, {4})}, {"b", Array(DType::int8, {4})}};
  static_cast<void>(write_safetensors(new_engine(), tree, at("m.safetensors"), shards).get());
  std::filesystem::create_directories(at("m-00003-of-00003.safetensors/precious"));
  shards.overwrite = true;
  shards.max_shard_bytes = 0;
  static_cast<void>(write_safetensors(new_engine(), tree, at("m.safetensors"), shards).get());
  EXPECT_THAT(entries(), ElementsAre("m-00003-of-00003.safetensors", "m.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(at("m-00003-of-00003.safetensors/precious")));
}

TEST_P(WriteSafetensors, LeavesNothingWhenASourceFails) {
  const Dict tree{{"a", Array(DType::uint8, {8 << 20})},
                  {"b", Leaf(DType::uint8, {1 << 20}, std::make_shared<BrokenSource>())}};
  refuses(tree, "a.safetensors", ErrorCode::internal, "the device is gone");
  SafetensorsWriteOptions shards;
  shards.max_shard_bytes = 1 << 20;
  refuses(tree, "a.safetensors", ErrorCode::internal, "the device is gone", shards);
  Leaf part(DType::uint8, {4}, {LeafPart(IndexRange{{0}, {2}}, std::make_shared<BrokenSource>())});
  refuses(Dict{{"a", part}}, "a", ErrorCode::invalid_argument, "has 2 of its 4 elements");
}

TEST_P(WriteSafetensors, NamesABareArrayAsTold) {
  SafetensorsWriteOptions options;
  options.root_name = "x";
  const auto engine = new_engine();
  static_cast<void>(
      write_safetensors(engine, Tree(Array(DType::int8, {2})), at("a"), options).get());
  EXPECT_EQ(read_safetensors(engine, at("a")).get().tree,
            Tree(Dict{{"x", Array(DType::int8, {2})}}));
}

/// Each operation of a write fails once: an error, and what was there before is there still, or the
/// new checkpoint whole.
TEST_P(WriteSafetensors, IsThereWholeOrNotAtAllWhicheverOperationFails) {
  for (const bool sharded : {false, true}) {
    SafetensorsWriteOptions options;
    if (sharded) options.max_shard_bytes = 1;
    bool clean = false;
    for (std::uint64_t n = 1; !clean; ++n) {
      ASSERT_LT(n, 200u);
      auto faults = std::make_shared<engine::FaultPlan>();
      EngineSettings settings;
      settings.faults = faults;
      const auto engine = new_engine(settings);
      faults->fail(engine::FaultPlan::any(), n, EIO);
      bool failed = false;
      try {
        static_cast<void>(
            write_safetensors(engine, Tree(Dict{{"a", 1}, {"b", 2}}), at("m.safetensors"), options)
                .get());
      } catch (const Error&) {
        failed = true;
      }
      clean = faults->injected() == 0;
      const std::vector<std::string> left = entries();
      EXPECT_TRUE(failed || !left.empty()) << n;
      if (!left.empty()) {
        EXPECT_EQ(left.size(), sharded ? 3u : 1u) << n;
        EXPECT_EQ(read_safetensors(new_engine(), root()).get().bytes, 16u) << n;
      }
      for (const std::string& name : left) std::filesystem::remove(at(name));
    }
  }
}

}  // namespace
}  // namespace cairn::test

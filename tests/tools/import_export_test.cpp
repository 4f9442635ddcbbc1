// Import and export: what came in goes out, byte for byte.

#include <gmock/gmock.h>

#include <boost/json/serialize.hpp>

#include "tools/command.h"
#include "tools/safetensors_samples.h"

namespace cairn::test {
namespace {

using ::testing::HasSubstr;

class ImportExport : public CommandTest {
 protected:
  /// Imports `bytes` as step 0, verifies it and exports it again; returns the exported file.
  std::string round_trip(const std::string& bytes) {
    write_bytes(file("in.safetensors"), bytes);
    const Outcome in = cairn({"import", file("in.safetensors"), root(), "--step", "0"});
    EXPECT_EQ(in.status, 0) << in.err;
    const Outcome verified = cairn({"verify", root()});
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
    const Outcome out =
        cairn({"export", root(), file("out.safetensors"), "--step", "0", "--force"});
    EXPECT_EQ(out.status, 0) << out.err;
    return out.status == 0 ? read_file(file("out.safetensors")) : "";
  }

  static safetensors::Header header_of(const std::string& bytes) {
    const auto length =
        safetensors::decode_header_length(std::string_view(bytes).substr(0, 8), bytes.size());
    return safetensors::decode_header(std::string_view(bytes).substr(8, length), bytes.size());
  }

  /// name -> dtype, shape and elements: what has to be equal, wherever it lies in the file.
  static std::map<std::string, std::string> tensors_of(const std::string& bytes) {
    const safetensors::Header header = header_of(bytes);
    std::map<std::string, std::string> tensors;
    for (const safetensors::TensorInfo& tensor : header.tensors) {
      const std::string elements =
          bytes.substr(header.data_offset + tensor.begin, tensor.end - tensor.begin);
      tensors[tensor.name] =
          fmt::format("{} [{}] ", name_of(tensor.dtype), fmt::join(tensor.shape, ",")) + elements;
    }
    return tensors;
  }
};
CAIRN_ON_EVERY_BACKEND(ImportExport);

TEST_P(ImportExport, GivesBackEveryDtypeByteForByte) {
  safetensors::Header header;
  header.metadata = {{"format", "pt"}, {"note", "caf\xc3\xa9 \"quoted\""}};
  // Upwards in size, so that the export has to move them.
  for (const std::size_t size : {1u, 2u, 4u, 8u}) {
    for (std::size_t i = 0; i < kDTypeCount; ++i) {
      const auto dtype = static_cast<DType>(i);
      if (!safetensors::safetensors_name(dtype) || size_of(dtype) != size) continue;
      const std::string name(name_of(dtype));
      // F4 has even numbers of elements, and so no scalars.
      const bool packed = dtype == DType::float4_e2m1fn;
      header.tensors.push_back(tensor(name + ".scalar", dtype, packed ? Shape{2} : Shape{}));
      header.tensors.push_back(tensor(name + ".matrix", dtype, {packed ? 6 : 5, 7}));
      header.tensors.push_back(tensor(name + ".packed", dtype, {40, 61}));
      header.tensors.push_back(tensor(name + ".empty", dtype, {3, 0}));
    }
  }
  ASSERT_EQ(header.tensors.size(), 4 * 20u);
  const std::string in = safetensors_file(header, make_seed());
  const std::string out = round_trip(in);
  EXPECT_EQ(tensors_of(out), tensors_of(in));
  EXPECT_EQ(header_of(out).metadata, header.metadata);
  for (const safetensors::TensorInfo& info : header_of(out).tensors) {
    EXPECT_EQ(info.begin % size_of(info.dtype), 0u) << info.name;
  }
}

TEST_P(ImportExport, SplitsLargeTensorsWhereverTheirChunksLie) {
  safetensors::Header header;
  header.tensors = {
      tensor("long", DType::uint8, {40 << 20}),        // split along its only axis
      tensor("tall", DType::float32, {5, 1'300'007}),  // a row is split, with a short last part
      tensor("deep", DType::uint16, {3, 7, 500'009}),  // the axis in the middle has to be split
      tensor("half", DType::float4_e2m1fn, {6, 3'500'003}),  // rows that begin within a byte
  };
  const std::string in = safetensors_file(header, make_seed());
  EXPECT_TRUE(tensors_of(round_trip(in)) == tensors_of(in));
}

TEST_P(ImportExport, KeepsNamesAsFlatKeysInTheFilesOrder) {
  safetensors::Header header;
  header.tensors = {tensor("layer.1.weight", DType::float64, {2}), tensor("", DType::float32, {1}),
                    tensor("a b/\xc3\xa9", DType::float32, {2}),
                    tensor("zarr.json.bak", DType::int8, {1})};
  const std::string in = safetensors_file(header, make_seed());
  const std::string out = round_trip(in);
  EXPECT_EQ(out.substr(header_of(out).data_offset), in.substr(header_of(in).data_offset));
  CheckpointManager manager(root(), options());
  const Restored restored = manager.restore(0).get();
  const Dict& dict = std::any_cast<const Tree&>(restored.items().at(0).second).as<Dict>();
  std::vector<std::string> names;
  for (const auto& [name, value] : dict) names.push_back(name);
  EXPECT_THAT(names, ::testing::ElementsAre("layer.1.weight", "", "a b/\xc3\xa9", "zarr.json.bak"));
}

TEST_P(ImportExport, StoresTheArraysInTheCodecAndLayoutAskedFor) {
  safetensors::Header header;
  header.tensors = {tensor("w", DType::uint32, {300'000}), tensor("tiny", DType::uint8, {3})};
  std::string in = safetensors_file(header, make_seed());
  // Two of four bytes are the same everywhere.
  for (std::size_t i = header_of(in).data_offset; i + 4 <= in.size() - 3; i += 4)
    in[i] = in[i + 1] = 7;
  write_bytes(file("in"), in);
  struct Case {
    const char* codec;
    const char* layout;
    const char* label;
    const char* stored;  ///< in the leaf's chain of codecs
  };
  int step = 0;
  for (const Case& one :
       {Case{"zstd:1", "zarr3", "zstd(1)", "zstd(1)"}, Case{"gzip", "zarr2", "gzip(6)", "gzip(6)"},
        Case{"auto", "ocdbt_zarr2", "blosc planes", "blosc(zstd"},
        Case{"blosc:3", "ocdbt_zarr3", "blosc(3)", "blosc(zstd,3"},
        Case{"raw", "ocdbt_zarr3", "raw", "crc32c"}}) {
    SCOPED_TRACE(one.codec);
    const std::string number = std::to_string(step++);
    const Outcome imported = cairn({"import", file("in"), root(), "--step", number, "--codec",
                                    one.codec, "--layout", one.layout, "--json"});
    ASSERT_EQ(imported.status, 0) << imported.err;
    std::string labels;
    const auto document = imported.json();
    for (const auto& codec : document.at("codecs").as_array())
      labels += std::string(codec.at("codec").as_string()) + " ";
    EXPECT_THAT(labels, HasSubstr(one.label));
    const auto shown = cairn({"inspect", root(), "--step", number, "--json"}).json();
    const auto& item = shown.at("items").at(0).as_object();
    EXPECT_EQ(item.at("layout").as_string(),
              std::string_view(one.layout).starts_with("ocdbt") ? "OCDBT" : "directory");
    EXPECT_THAT(boost::json::serialize(item.at("leaves").at(0).at("codecs")),
                HasSubstr(one.stored));
    ASSERT_EQ(cairn({"export", root(), file("out"), "--step", number, "--force"}).status, 0);
    EXPECT_TRUE(tensors_of(read_file(file("out"))) == tensors_of(in));
  }
  const Outcome text = cairn({"import", file("in"), root(), "--step", "9", "--codec", "zstd:1"});
  EXPECT_THAT(text.out, ::testing::AllOf(HasSubstr("RATIO"), HasSubstr("as asked")));
  for (const char* codec : {"lz4", "zstd:23"}) {
    const Outcome refused = cairn({"import", file("in"), root(), "--step", "10", "--codec", codec});
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.err, HasSubstr("--codec"));
  }
}

TEST_P(ImportExport, ReplacesAStepWithOverwriteAlone) {
  safetensors::Header header;
  header.tensors = {tensor("w", DType::float32, {4000})};
  const std::uint64_t seed = make_seed();
  round_trip(safetensors_file(header, seed));
  const std::string second = safetensors_file(header, seed + 1);
  write_bytes(file("second"), second);
  const Outcome refused = cairn({"import", file("second"), root(), "--step", "0"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("the step is there already"));
  const Outcome replaced =
      cairn({"import", file("second"), root(), "--step", "0", "--overwrite", "--json"});
  EXPECT_EQ(replaced.status, 0) << replaced.err;
  EXPECT_EQ(replaced.json().at("tensors").to_number<int>(), 1);
  EXPECT_EQ(replaced.json().at("bytes").to_number<int>(), 16000);
  ASSERT_EQ(cairn({"export", root(), file("third")}).status, 0);
  EXPECT_TRUE(tensors_of(read_file(file("third"))) == tensors_of(second));
}

TEST_P(ImportExport, ExportsShardsAndImportsThemByIndexOrDirectory) {
  safetensors::Header header;
  header.metadata = {{"format", "pt"}};
  header.tensors = {tensor("a", DType::float32, {300'000}), tensor("b", DType::uint8, {100}),
                    tensor("c", DType::bfloat16, {700, 1000}),
                    tensor("d", DType::float4_e2m1fn, {700, 1001})};
  const std::string in = safetensors_file(header, make_seed());
  round_trip(in);
  std::filesystem::create_directory(file("shards"));
  const std::string out = file("shards/model.safetensors");
  const Outcome exported = cairn({"export", root(), out, "--max-shard-size", "1300KB", "--json"});
  ASSERT_EQ(exported.status, 0) << exported.err;
  EXPECT_EQ(exported.json().at("files").as_array().size(), 4u);
  EXPECT_FALSE(std::filesystem::exists(out));
  const Outcome again = cairn({"export", root(), out, "--max-shard-size", "1300KB"});
  EXPECT_EQ(again.status, 2);
  EXPECT_THAT(again.err, HasSubstr("the file is there already"));
  for (const std::string source : {"shards", "shards/model.safetensors.index.json"}) {
    const Outcome imported =
        cairn({"import", file(source), root(), "--step", "7", "--overwrite", "--json"});
    ASSERT_EQ(imported.status, 0) << imported.err;
    EXPECT_EQ(imported.json().at("files").as_array().size(), 3u);
    ASSERT_EQ(cairn({"export", root(), file("back"), "--step", "7", "--force"}).status, 0);
    EXPECT_TRUE(tensors_of(read_file(file("back"))) == tensors_of(in));
    EXPECT_EQ(header_of(read_file(file("back"))).metadata, header.metadata);
  }
}

TEST_P(ImportExport, FollowsLinksOutOfAnIndexsDirectoryWhenToldTo) {
  safetensors::Header header;
  header.tensors = {tensor("w", DType::float32, {4})};
  write_bytes(file("blob"), safetensors_file(header, make_seed()));
  std::filesystem::create_directory(file("snapshot"));
  std::filesystem::create_symlink("../blob", file("snapshot/1.safetensors"));
  write_bytes(file("snapshot/m.safetensors.index.json"),
              R"({"weight_map": {"w": "1.safetensors"}})");
  const Outcome refused = cairn({"import", file("snapshot"), root(), "--step", "0"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("--follow-links"));
  EXPECT_EQ(cairn({"import", file("snapshot"), root(), "--step", "0", "--follow-links"}).status, 0);
}

TEST_P(ImportExport, WritesNestedTreesUnderDottedNamesAndNumbersAsRankZero) {
  const float values[] = {1, 2, 3};
  SaveOptions with_metadata;
  with_metadata.custom_metadata = {{"run", "a"}, {"epochs", 3}};
  save(5,
       Dict{{"layers", List{Dict{{"w", Array::from<float>(values, {3})}}, 7}},
            {"rate", 0.5},
            {"on", true},
            {"big", std::uint64_t{1} << 63}},
       with_metadata);
  ASSERT_EQ(cairn({"export", root(), file("out")}).status, 0);
  const std::string bytes = read_file(file("out"));
  const auto text = [](const auto& value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  const std::map<std::string, std::string> expected = {
      {"layers.0.w", "float32 [3] " + text(values)},
      {"layers.1", "int64 [] " + text(std::int64_t{7})},
      {"rate", "float64 [] " + text(0.5)},
      {"on", std::string("bool [] \x01")},
      {"big", "uint64 [] " + text(std::uint64_t{1} << 63)}};
  EXPECT_EQ(tensors_of(bytes), expected);
  EXPECT_THAT(header_of(bytes).metadata,
              ::testing::ElementsAre(::testing::Pair("run", "a"), ::testing::Pair("epochs", "3")));
}

TEST_P(ImportExport, NamesABareArrayAfterItsItem) {
  save(0, Tree(Array(DType::int8, {2})));
  ASSERT_EQ(cairn({"export", root(), file("out")}).status, 0);
  EXPECT_EQ(header_of(read_file(file("out"))).tensors.at(0).name, "default");
}

TEST_P(ImportExport, RefusesWhatSafetensorsCannotHold) {
  save(0, Dict{{"a", Dict{{"z", Array(DType::complex128, {2})}}}});
  save(1, Dict{{"w", Array(DType::int8, {2})}, {"none", Null()}});
  const Outcome dtype = cairn({"export", root(), file("out"), "--step", "0"});
  EXPECT_EQ(dtype.status, 2);
  EXPECT_THAT(dtype.err, HasSubstr("key path a/z: safetensors has no complex128"));
  save(2, Dict{{"w", Array(DType::float4_e2m1fn, {3})}});
  const Outcome odd = cairn({"export", root(), file("out"), "--step", "2"});
  EXPECT_EQ(odd.status, 2);
  EXPECT_THAT(odd.err, HasSubstr("key path w: safetensors packs two elements of float4_e2m1fn"));
  const Outcome null = cairn({"export", root(), file("out"), "--step", "1"});
  EXPECT_EQ(null.status, 2);
  EXPECT_THAT(null.err, HasSubstr("key path none: safetensors has tensors only, not a null"));
  EXPECT_FALSE(std::filesystem::exists(file("out")));
  EXPECT_EQ(cairn({"export", root(), file("out"), "--step", "1", "--drop-empty"}).status, 0);
  EXPECT_EQ(header_of(read_file(file("out"))).tensors.size(), 1u);
}

TEST_P(ImportExport, AsksForTheItemWhereThereAreSeveralTrees) {
  CheckpointManager manager(root(), options());
  args::Composite composite;
  composite.add("params", args::StandardSave(Dict{{"w", 1}}));
  composite.add("state", args::StandardSave(Dict{{"v", 2}}));
  composite.add("config", args::JsonSave(boost::json::value(3)));
  ASSERT_TRUE(manager.save(0, std::move(composite)).get());
  const Outcome several = cairn({"export", root(), file("out")});
  EXPECT_EQ(several.status, 2);
  EXPECT_THAT(several.err, HasSubstr("items: config (json), params (tree), state (tree)"));
  const Outcome json = cairn({"export", root(), file("out"), "--item", "config"});
  EXPECT_EQ(json.status, 2);
  EXPECT_THAT(json.err, HasSubstr("there is no tree 'config'"));
  ASSERT_EQ(cairn({"export", root(), file("out"), "--item", "state"}).status, 0);
  EXPECT_EQ(header_of(read_file(file("out"))).tensors.at(0).name, "v");
}

}  // namespace
}  // namespace cairn::test

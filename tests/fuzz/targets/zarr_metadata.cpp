// zarr.json and .zarray: what decodes can be written again and reads the same, and keys, grids and
// sizes can be had of it.

#include <cairn/codecs/zarr.h>
#include <fuzz/json_inputs.h>
#include <fuzz/zarr_inputs.h>

#include <sstream>

namespace cairn::fuzz {
namespace {

using namespace zarr;  // NOLINT(google-build-using-namespace): all of this is zarr

void check_grid(const ArrayMetadata& metadata) {
  const auto grid = grid_shape(metadata);
  require(grid.size() == metadata.shape.size(), "a grid has the array's rank");
  for (std::size_t i = 0; i < grid.size(); ++i) {
    require(grid[i] >= 0 && (grid[i] == 0) == (metadata.shape[i] == 0), "a grid covers the array");
    require(grid[i] == 0 || (grid[i] - 1) <= (metadata.shape[i] - 1) / metadata.chunk_shape[i],
            "a grid has no chunk beyond the array");
  }
  require(!chunk_key(metadata, Shape(grid.size(), 0)).empty(), "a chunk has a key");
}

void check_sizes(const ArrayMetadata& metadata) {
  const auto expansion = max_expansion(metadata);
  require(!expansion || *expansion >= 1, "what is stored may be as long as what it says");
  const auto bytes = chunk_bytes(metadata);
  if (!bytes) return;
  const auto fixed = fixed_chunk_size(metadata);
  const auto bound = chunk_size_bound(metadata);
  require(!fixed || (*fixed >= *bytes && *fixed <= bound), "a chunk's size is within its bound");
  static_cast<void>(has_checksum(metadata));
  if (!is_sharded(metadata)) return;
  const auto inner = inner_array(metadata);
  require(inner.shape == metadata.chunk_shape, "a shard is an array of its own");
  check_grid(inner);
}

template <class Decode>
void check_with(std::string_view input, const Decode& decode) {
  const auto metadata = decoded_document(input, json_memory(input), decode);
  if (!metadata) return;
  const auto written = written_form(*metadata);
  require(written_form(decode(encode_metadata(written))) == written,
          "metadata read back as they were");
  require(!metadata_file(metadata->format).empty(), "metadata have a file");
  check_grid(*metadata);
  check_sizes(*metadata);
}

void check_v3(std::string_view input) {
  check_with(input, [](std::string_view text) { return decode_metadata(text); });
}
void check_v2(std::string_view input) {
  check_with(input, [](std::string_view text) { return decode_v2_metadata(text); });
}

std::string mutate(std::string_view input, Mutation& mutation) {
  return mutate_json(input, zarr_words(), mutation);
}

// The third column of a table of what TensorStore wrote, every few lines, and the chunks' metadata.
Seeds seeds_of(const TestData& data, const char* table, std::string_view format) {
  constexpr std::size_t kEvery = 5;
  Seeds found;
  std::istringstream lines(data.read(table));
  std::size_t number = 0;
  for (std::string type, element, text; std::getline(lines, type, '\t') &&
                                        std::getline(lines, element, '\t') &&
                                        std::getline(lines, text);) {
    if (number++ % kEvery == 0) found.push_back(text);
  }
  for (const auto& chunk : golden_chunks(data)) {
    auto text = split(chunk).text;
    if (text.find(format) != text.npos) found.push_back(std::move(text));
  }
  return found;
}

// What our encoder would not write, as the text says `codecs`: chains that are none.
std::string text_with(const std::string& chunk, const std::string& codecs) {
  return R"({"chunk_grid":{"configuration":{"chunk_shape":)" + chunk +
         R"(},"name":"regular"},"chunk_key_encoding":{"name":"default"},"codecs":)" + codecs +
         R"(,"data_type":"int8","fill_value":0,"node_type":"array","shape":)" + chunk +
         R"(,"zarr_format":3})";
}
std::string shard_of(const std::string& codecs, const std::string& index_codecs) {
  return R"([{"configuration":{"chunk_shape":[1,1],"codecs":)" + codecs + R"(,"index_codecs":)" +
         index_codecs + R"(},"name":"sharding_indexed"}])";
}

Seeds seeds_v3(const TestData& data) {
  constexpr std::size_t kDepth = 6;
  constexpr int kCodecs = 17;
  const std::string bytes = R"([{"name":"bytes"}])";
  const std::string endian = R"([{"configuration":{"endian":"little"},"name":"bytes"}])";
  auto found = seeds_of(data, "zarr/tensorstore.txt", "\"zarr_format\":3");
  std::string deep = bytes;
  for (std::size_t i = 0; i < kDepth; ++i) {
    deep = shard_of(deep, endian);
    found.push_back(text_with("[4,4]", deep));
  }
  found.push_back(text_with("[4,4]", shard_of(bytes, bytes)));
  found.push_back(text_with("[4,4]", shard_of(bytes, R"([{"name":"crc32c"}])")));
  found.push_back(text_with("[65536,65536]", shard_of(bytes, endian)));
  found.push_back(text_with("[4,4]", R"([{"configuration":{"order":[1,0]},"name":"transpose"}])"));
  std::string many = "[" + bytes.substr(1, bytes.size() - 2);
  for (int i = 1; i < kCodecs; ++i) many += R"(,{"name":"crc32c"})";
  found.push_back(text_with("[4,4]", many + "]"));
  return found;
}
Seeds seeds_v2(const TestData& data) {
  return seeds_of(data, "zarr/tensorstore_v2.txt", "\"zarr_format\":2");
}

const Registration v3({"zarr_json", check_v3, mutate, seeds_v3});
const Registration v2({"zarray", check_v2, mutate, seeds_v2});

}  // namespace
}  // namespace cairn::fuzz

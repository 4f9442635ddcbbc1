// The index of a checkpoint in several safetensors files, and the files' names: what decodes can be
// written again and reads the same, and no file is outside the index's directory.

#include <cairn/codecs/safetensors.h>
#include <fuzz/json_inputs.h>

#include <algorithm>

namespace cairn::fuzz {
namespace {

using namespace safetensors;  // NOLINT(google-build-using-namespace): all of this is safetensors

constexpr std::string_view kWords[] = {"metadata",
                                       "total_size",
                                       "weight_map",
                                       "a.safetensors",
                                       "../up",
                                       "..",
                                       ".",
                                       "",
                                       "model-00001-of-00002.safetensors"};

void check_name(std::string_view name) {
  require(!name.empty() && name != "." && name != ".." && name.find('/') == name.npos,
          "a file lies beside the index");
  const auto shard = parse_shard_name(name);
  if (!shard) return;
  require(shard_name(shard->stem, shard->number, shard->count) == name, "a shard has one name");
}

void check(std::string_view input) {
  // Every name is held twice, and as a key of a set.
  const auto index = decoded_document(input, json_memory(input), decode_index);
  if (!index) return;
  auto expected = index->weight_map;
  std::sort(expected.begin(), expected.end());
  const auto again = decode_index(encode_index(*index));
  require(again.weight_map == expected && again.total_size == index->total_size,
          "an index reads back as it was");
  for (const auto& entry : expected) check_name(entry.second);
}

std::string mutate(std::string_view input, Mutation& mutation) {
  return mutate_json(input, kWords, mutation);
}

Seeds seeds(const TestData&) {
  ShardIndex index;
  Seeds found = {encode_index(index)};
  for (std::size_t i = 1; i <= 3; ++i) {
    index.weight_map.emplace_back("layer." + std::to_string(i), shard_name("model", i, 3));
  }
  index.weight_map.emplace_back("\xc3\xa9\"", shard_name("model", 1, 3));
  index.total_size = 1234;
  found.push_back(encode_index(index));
  found.push_back(R"({"weight_map": {}, "other": [1, 2.5, {"a": [null, true, "b"]}], "more": -1})");
  return found;
}

const Registration registration({"safetensors_index", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz

// _CHECKPOINT_METADATA and _ROOT_METADATA: what decodes can be written again and reads the same.

#include <cairn/codecs/orbax.h>
#include <fuzz/json_inputs.h>

namespace cairn::fuzz {
namespace {

using namespace orbax;  // NOLINT(google-build-using-namespace): all of this is Orbax's

constexpr std::string_view kWords[] = {"item_handlers",
                                       "metrics",
                                       "performance_metrics",
                                       "init_timestamp_nsecs",
                                       "commit_timestamp_nsecs",
                                       "custom_metadata",
                                       "internal_metadata",
                                       "state",
                                       "",
                                       kStandardHandler,
                                       kJsonHandler};

// NaN is not equal to itself, and the text says all there is.
template <class Decode>
void check_with(std::string_view input, const Decode& decode) {
  const auto metadata = decoded_document(input, json_memory(input), decode);
  if (!metadata) return;
  std::string text;
  try {
    text = encode(*metadata);
  } catch (const std::invalid_argument&) {
    // Members of one's own, which old files have at the top, are written one deeper.
    const auto deeper = '[' + std::string(input) + ']';
    require(!decoded(json_memory(input), [&] { return parse_json(deeper, "fuzz input"); }),
            "metadata that are read can be written, but for the deepest");
    return;
  }
  require(encode(decode(text)) == text, "the metadata read back as they were");
}

void check_step(std::string_view input) {
  check_with(input, [](std::string_view text) { return decode_step_metadata(text); });
}
void check_root(std::string_view input) {
  check_with(input, [](std::string_view text) { return decode_root_metadata(text); });
}

std::string mutate(std::string_view input, Mutation& mutation) {
  return mutate_json(input, kWords, mutation);
}

// An old file, nested as deep as JSON may be.
std::string deep() {
  constexpr std::size_t kArrays = 255;
  return R"({"a": )" + std::string(kArrays, '[') + std::string(kArrays, ']') + '}';
}

Seeds step_seeds(const TestData& data) {
  Seeds found;
  for (const auto& file : data.files("orbax")) {
    if (file.string().ends_with("_CHECKPOINT_METADATA")) found.push_back(data.read(file));
  }
  StepMetadata metadata;
  found.push_back(encode(metadata));
  metadata.item_handlers = {{"", std::string(kStandardHandler)}};
  metadata.metrics = {{"loss", 0.25}};
  metadata.init_timestamp_ns = 1;
  metadata.commit_timestamp_ns = 2;
  metadata.custom_metadata = {{"a", boost::json::array{1, nullptr, "b"}}};
  found.push_back(encode(metadata));
  found.push_back(R"({"my_key": {"nested": [1, 2]}, "other": NaN})");
  found.push_back(deep());
  return found;
}

Seeds root_seeds(const TestData&) {
  RootMetadata metadata;
  Seeds found = {encode(metadata), R"({"legacy": {"user": -Infinity}})"};
  metadata.internal_metadata = {{"version", 1}};
  metadata.custom_metadata = {{"a", "b"}};
  found.push_back(encode(metadata));
  found.push_back(deep());
  return found;
}

const Registration step({"orbax_step_metadata", check_step, mutate, step_seeds});
const Registration root({"orbax_root_metadata", check_root, mutate, root_seeds});

}  // namespace
}  // namespace cairn::fuzz

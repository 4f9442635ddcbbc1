// Writes checkpoints for the Python peers to read. What each array holds is a formula over its
// name's number (pattern() here, pattern() in check.py), so that neither side trusts the other's
// reader.

#include <cairn/cairn.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace cairn;  // NOLINT(google-build-using-namespace): a program

/// Bits that a dtype allows in a byte.
std::byte valid(DType dtype, std::uint64_t raw) {
  switch (dtype) {
    case DType::boolean:
      return static_cast<std::byte>(raw & 1);
    case DType::int2:
      return static_cast<std::byte>(((raw & 3) ^ 2) - 2);
    case DType::int4:
      return static_cast<std::byte>(((raw & 15) ^ 8) - 8);
    case DType::float4_e2m1fn:
      return static_cast<std::byte>(raw & 15);
    default:
      return static_cast<std::byte>(raw);
  }
}

std::uint64_t mixed(std::uint64_t seed, std::uint64_t k) {
  return (k * 131 + seed * 17 + (k >> 8) * 7) & 0xff;
}

/// Byte `k` of array number `seed`.
std::byte pattern(DType dtype, std::uint64_t seed, std::uint64_t k) {
  return valid(dtype, mixed(seed, k));
}

/// Byte `k` of an array that pays to encode: an element's last byte, where the exponent of a float
/// is, takes two values; the bytes of one-byte elements take sixteen.
std::byte smooth_pattern(DType dtype, std::uint64_t seed, std::uint64_t k) {
  const std::uint64_t raw = mixed(seed, k);
  const std::size_t size = size_of(dtype);
  if (size == 1) return valid(dtype, raw & 15);
  return static_cast<std::byte>(k % size == size - 1 ? 0x3c + (raw & 1) : raw);
}

using Pattern = std::byte (*)(DType, std::uint64_t, std::uint64_t);

Array make(DType dtype, Shape shape, std::uint64_t seed, Pattern byte = pattern) {
  Array array = Array::uninitialized(dtype, std::move(shape));
  const auto bytes = array.bytes();
  for (std::uint64_t k = 0; k < bytes.size(); ++k) bytes[k] = byte(dtype, seed, k);
  return array;
}

const std::vector<Shape> kShapes{{}, {7}, {3, 5}, {2, 3, 4}, {0, 4}, {300, 70}};

/// A dtype in several shapes; the array's number is its dtype's times 10 plus the shape's.
Dict shapes_of(DType dtype) {
  Dict arrays;
  for (std::size_t s = 0; s < kShapes.size(); ++s) {
    const std::uint64_t seed = static_cast<std::uint64_t>(dtype) * 10 + s;
    arrays["s" + std::to_string(s)] = Tree(make(dtype, kShapes[s], seed));
  }
  return arrays;
}

Tree every_dtype() {
  Dict tree;
  for (std::size_t d = 0; d < kDTypeCount; ++d) {
    const auto dtype = static_cast<DType>(d);
    tree[name_of(dtype)] = Tree(shapes_of(dtype));
  }
  return Tree(std::move(tree));
}

/// The arrays of `dtypes`, and of each "smooth" [300000], number = its dtype's times 10 + 9, which
/// is large enough for every codec.
Tree with_smooth(const std::vector<DType>& dtypes) {
  Dict tree;
  for (const DType dtype : dtypes) {
    Dict arrays = shapes_of(dtype);
    const std::uint64_t seed = static_cast<std::uint64_t>(dtype) * 10 + 9;
    arrays["smooth"] = Tree(make(dtype, {300'000}, seed, smooth_pattern));
    tree[name_of(dtype)] = Tree(std::move(arrays));
  }
  return Tree(std::move(tree));
}

Tree structure() {
  Dict names{{"with space", Tree(1)}, {"it's", Tree(2)}, {"\"quoted\"", Tree(3)},
             {"päth", Tree(4)},       {"a/b", Tree(5)},  {"back\\slash", Tree(6)}};
  return Tree(Dict{{"true", Tree(true)},
                   {"int", Tree(-7)},
                   {"float", Tree(0.1)},
                   {"none", Tree(Null())},
                   {"empty_dict", Tree(Dict())},
                   {"empty_list", Tree(List())},
                   {"list", Tree(List{Tree(1), Tree(Null()), Tree(make(DType::float32, {4}, 1))})},
                   {"tuple", Tree(Tuple{Tree(1), Tree(2.5)})},
                   {"long_list", Tree(List{Tree(0), Tree(1), Tree(2), Tree(3), Tree(4), Tree(5),
                                           Tree(6), Tree(7), Tree(8), Tree(9), Tree(10)})},
                   {"names", Tree(std::move(names))}});
}

/// Several chunks, padded edge chunks, and sizes that are packed.
Tree large() {
  return Tree(Dict{{"rows", Tree(make(DType::float32, {5001, 1003}, 1))},
                   {"wide", Tree(make(DType::bfloat16, {3, 9'000'001}, 2))},
                   {"packed", Tree(make(DType::int16, {50'000}, 3))},
                   {"cube", Tree(make(DType::uint8, {301, 302, 303}, 4))}});
}

Tree many(int count) {
  Dict layers;
  for (int i = 0; i < count; ++i)
    layers["p" + std::to_string(i)] =
        Tree(make(DType::float32, {i % 7 + 1}, static_cast<std::uint64_t>(i)));
  return Tree(Dict{{"layers", Tree(std::move(layers))}});
}

void write(const std::string& root) {
  CheckpointManager manager(root + "/single");
  static_cast<void>(manager.save(0, every_dtype()).get());
  static_cast<void>(manager.save(1, structure()).get());
  SaveOptions options;
  options.metrics = {{"loss", 0.5}, {"accuracy", 1}};
  options.custom_metadata = {{"lr", 0.1}, {"note", "päth"}};
  static_cast<void>(manager.save(2, large(), options).get());
  static_cast<void>(manager.save(3, many(20'000)).get());
  static_cast<void>(manager.save(4, Tree(make(DType::float32, {6}, 9))).get());

  CheckpointManager several(root + "/several");
  args::Composite items;
  items.add("params", args::StandardSave(Tree(Dict{{"w", Tree(make(DType::float32, {4, 2}, 5))}})));
  items.add("data", args::JsonSave({{"epoch", 3}, {"file", "a.txt"}}));
  static_cast<void>(several.save(0, std::move(items)).get());
}

[[noreturn]] void refuse(std::string_view what, std::string_view text) {
  throw std::invalid_argument("unknown " + std::string(what) + " '" + std::string(text) + "'");
}

/// "raw", "auto", "zstd:3", "blosc:5", "gzip:6".
Codec parse_codec(std::string_view text) {
  if (text == "raw") return Codec::raw();
  if (text == "auto") return Codec::automatic();
  const auto colon = text.find(':');
  if (colon == text.npos) refuse("codec", text);
  const int level = std::stoi(std::string(text.substr(colon + 1)));
  const std::string_view name = text.substr(0, colon);
  if (name == "blosc") return Codec::blosc(level);
  if (name == "zstd") return Codec::zstd(level);
  if (name == "gzip") return Codec::gzip(level);
  refuse("codec", text);
}

Layout parse_layout(std::string_view text) {
  for (const Layout layout :
       {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2, Layout::zarr3, Layout::zarr2}) {
    if (text == to_string(layout)) return layout;
  }
  refuse("layout", text);
}

/// "all", or names with commas between them.
std::vector<DType> parse_dtypes(std::string_view text) {
  std::vector<DType> dtypes;
  if (text == "all") {
    for (std::size_t d = 0; d < kDTypeCount; ++d) dtypes.push_back(static_cast<DType>(d));
    return dtypes;
  }
  while (!text.empty()) {
    const auto comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    const std::optional<DType> dtype = dtype_from_name(name);
    if (!dtype) refuse("dtype", name);
    dtypes.push_back(*dtype);
    text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
  }
  return dtypes;
}

/// Adds a step to ROOT and prints its number and how its arrays were encoded.
void save(const std::string& root, std::string_view layout, std::string_view codec,
          std::string_view dtypes) {
  ManagerOptions options;
  options.layout = parse_layout(layout);
  options.codec = parse_codec(codec);
  // What the load would decide is for benchmarks: here auto is to be seen at work.
  options.encode_policy = [](const EncodeLoad&) { return EncodeDecision::encode; };
  CheckpointManager manager(root, options);
  const Step step = manager.latest_step().value_or(-1) + 1;
  const SaveResult result = manager.save(step, with_smooth(parse_dtypes(dtypes))).get();
  std::printf("%lld\n", static_cast<long long>(step));
  for (const CodecSummary& summary : result.items.at(0).codecs) {
    std::printf("%llu arrays %s (%s)\n", static_cast<unsigned long long>(summary.arrays),
                summary.codec.c_str(), summary.reason.c_str());
  }
}

/// What this library lists and verifies in a root that a peer has written into.
void list(const std::string& root) {
  CheckpointManager manager(root);
  for (const Step step : manager.all_steps()) {
    try {
      Restored restored = manager.restore(step).get();
      std::printf("%lld restored\n", static_cast<long long>(step));
    } catch (const Error& error) {
      std::printf("%lld %s: %s\n", static_cast<long long>(step),
                  std::string(to_string(error.code())).c_str(), error.what());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string mode = arguments.empty() ? "" : arguments[0];
  const bool known = mode == "save" ? arguments.size() == 5
                                    : (mode == "write" || mode == "list") && arguments.size() == 2;
  if (!known) {
    std::fprintf(stderr,
                 "usage: interop_writer write|list ROOT\n"
                 "       interop_writer save ROOT LAYOUT CODEC DTYPES\n"
                 "LAYOUT: ocdbt_zarr3, ocdbt_zarr2, zarr3, zarr2\n"
                 "CODEC: raw, auto, blosc:LEVEL, zstd:LEVEL, gzip:LEVEL\n"
                 "DTYPES: all, or names with commas between them\n");
    return 2;
  }
  try {
    if (mode == "write") write(arguments[1]);
    if (mode == "list") list(arguments[1]);
    if (mode == "save") save(arguments[1], arguments[2], arguments[3], arguments[4]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "interop_writer: %s\n", error.what());
    return 1;
  }
  return 0;
}

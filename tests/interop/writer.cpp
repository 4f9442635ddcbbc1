// Writes checkpoints for the Python peers to read. What each array holds is a formula over its
// name's number (pattern() here, pattern() in check.py), so that neither side trusts the other's
// reader.

#include <cairn/cairn.h>

#include <cstdio>
#include <string>

namespace {

using namespace cairn;  // NOLINT(google-build-using-namespace): a program

/// Byte `k` of array number `seed`, made valid for its dtype.
std::byte pattern(DType dtype, std::uint64_t seed, std::uint64_t k) {
  const std::uint64_t raw = (k * 131 + seed * 17 + (k >> 8) * 7) & 0xff;
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

Array make(DType dtype, Shape shape, std::uint64_t seed) {
  Array array = Array::uninitialized(dtype, std::move(shape));
  const auto bytes = array.bytes();
  for (std::uint64_t k = 0; k < bytes.size(); ++k) bytes[k] = pattern(dtype, seed, k);
  return array;
}

/// Every dtype in several shapes; the array's number is its dtype's times 10 plus the shape's.
Tree every_dtype() {
  const std::vector<Shape> shapes{{}, {7}, {3, 5}, {2, 3, 4}, {0, 4}, {300, 70}};
  Dict tree;
  for (std::size_t d = 0; d < kDTypeCount; ++d) {
    const auto dtype = static_cast<DType>(d);
    Dict arrays;
    for (std::size_t s = 0; s < shapes.size(); ++s) {
      arrays["s" + std::to_string(s)] = Tree(make(dtype, shapes[s], d * 10 + s));
    }
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
  const std::string mode = argc == 3 ? argv[1] : "";
  if (mode != "write" && mode != "list") {
    std::fprintf(stderr, "usage: interop_writer write|list ROOT\n");
    return 2;
  }
  try {
    mode == "write" ? write(argv[2]) : list(argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "interop_writer: %s\n", error.what());
    return 1;
  }
  return 0;
}

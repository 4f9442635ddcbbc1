// Writes checkpoints for the Python peers to read, and reads those that they wrote.

#include <cairn/cairn.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "matrix.h"
#include "patterns.h"

namespace {

using namespace cairn;  // NOLINT(google-build-using-namespace): a program
using interop::make;

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

/// Items that are no trees of several leaves.
void write_kinds(const std::string& root) {
  CheckpointManager manager(root + "/kinds");
  std::mt19937 engine;
  engine.discard(9999);
  Array key(DType::uint32, {2});
  key.values<std::uint32_t>()[1] = 42;  // jax.random.key(42)
  args::Composite items;
  items.add("arr", args::ArraySave(make(DType::float32, {50, 3}, 11)));
  items.add("num", args::ArraySave(-7));
  items.add("proto", args::ProtoSave(TextProto("string_value: \"hi\"\n")));
  items.add("typed", args::JaxRandomKeySave(JaxRandomKey(key)));
  items.add("untyped", args::JaxRandomKeySave(JaxRandomKey(key, false)));
  items.add("rng", args::RandomKeySave(engine));
  items.add("other_rng", args::RandomKeySave(std::minstd_rand(3)));
  static_cast<void>(manager.save(0, std::move(items)).get());
}

/// Prints what we read of the same items as a peer has written them.
void read_kinds(const std::string& root) {
  CheckpointManager manager(root);
  Restored restored = manager.restore().get();
  std::printf("num %lld\n", static_cast<long long>(restored.tree("num").as<std::int64_t>()));
  std::printf("arr");
  for (const float value : restored.array("arr").values<float>()) std::printf(" %g", value);
  std::printf("\nproto %s", restored.get<TextProto>("proto").text.c_str());
  for (const char* name : {"typed", "untyped"}) {
    const JaxRandomKey& key = restored.get<JaxRandomKey>(name);
    std::printf("%s %d", name, key.typed ? 1 : 0);
    for (const std::uint32_t word : key.data.values<std::uint32_t>()) std::printf(" %u", word);
    std::printf("\n");
  }
  for (const char* name : {"legacy", "rng"}) {
    std::mt19937 engine;
    restored.get<RandomState>(name).set(engine);
    std::printf("%s", name);
    for (int i = 0; i < 700; ++i) std::printf(" %u", static_cast<unsigned>(engine()));
    std::printf("\n");
  }
}

/// Two steps, the second of which has most of its chunks in files of the first, for each layout and
/// with encoded chunks and without.
void write_incremental(const std::string& root) {
  for (const Layout layout : {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2}) {
    for (const Codec codec : {Codec::raw(), Codec::automatic()}) {
      ManagerOptions options;
      options.layout = layout;
      options.codec = codec;
      options.encode_policy = [](const EncodeLoad&) { return EncodeDecision::encode; };
      options.incremental = true;
      const std::string name(layout == Layout::ocdbt_zarr3 ? "zarr3" : "zarr2");
      CheckpointManager manager(root + "/incremental/" + name + "-" + to_string(codec), options);
      Array rows = make(DType::float32, {3000, 300}, 1, interop::smooth_pattern);
      const Array other = make(DType::float32, {300}, 2, interop::smooth_pattern);
      const Array packed = make(DType::int16, {50'000}, 3);
      const auto tree = [&](int step) {
        return Tree(Dict{{"rows", Tree(rows)}, {"packed", Tree(packed)}, {"step", Tree(step)}});
      };
      static_cast<void>(manager.save(0, tree(0)).get());
      std::ranges::copy(other.bytes(), rows.bytes().subspan(1500 * other.bytes().size()).begin());
      const SaveResult result = manager.save(1, tree(1)).get();
      if (result.items.at(0).chunks_linked == 0)
        throw std::runtime_error("the second of two incremental steps links nothing");
      manager.close().get();
    }
  }
}

void write(const std::string& root) {
  interop::save_together(root + "/together");
  write_kinds(root);
  write_incremental(root);
  CheckpointManager manager(root + "/single");
  static_cast<void>(manager.save(0, every_dtype()).get());
  static_cast<void>(manager.save(1, structure()).get());
  SaveOptions options;
  options.metrics = {{"loss", 0.5}, {"accuracy", 1}};
  options.custom_metadata = {{"lr", 0.1}, {"note", "päth"}};
  static_cast<void>(manager.save(2, large(), options).get());
  static_cast<void>(manager.save(3, many(20'000)).get());
  static_cast<void>(manager.save(4, Tree(make(DType::float32, {6}, 9))).get());

  CheckpointManager texts(root + "/texts");
  Dict names{{"a/b", Tree("below")}, {"c", Tree(List{Tree("x"), Tree(1)})}, {"d", Tree("")}};
  static_cast<void>(texts.save(0, args::PyTreeSave(Tree(std::move(names)))).get());
  static_cast<void>(texts.save(1, args::PyTreeSave(Dict{{"all", Tree("text")}})).get());

  CheckpointManager several(root + "/several");
  args::Composite items;
  items.add("params", args::StandardSave(Tree(Dict{{"w", Tree(make(DType::float32, {4, 2}, 5))}})));
  items.add("data", args::JsonSave({{"epoch", 3}, {"file", "a.txt"}}));
  items.add("notes", args::PyTreeSave(Dict{{"text", Tree("grüße")}}));
  static_cast<void>(several.save(0, std::move(items)).get());
}

void delete_step(const std::string& root, Step step) {
  CheckpointManager manager(root);
  manager.delete_step(step).get();
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
  const std::size_t count = arguments.size();
  const std::string mode = arguments.empty() ? "" : arguments[0];
  try {
    if (mode == "write" && count == 2) {
      write(arguments[1]);
    } else if (mode == "list" && count == 2) {
      list(arguments[1]);
    } else if (mode == "delete" && count == 3) {
      delete_step(arguments[1], std::stoll(arguments[2]));
    } else if (mode == "kinds" && count == 2) {
      read_kinds(arguments[1]);
    } else if (mode == "save" && count == 5) {
      interop::save(arguments[1], arguments[2], arguments[3], arguments[4]);
    } else if (mode == "safetensors" && count == 3) {
      interop::write_safetensors_file(arguments[1], arguments[2]);
    } else if (mode == "dump" && count >= 3) {
      interop::dump(arguments[1], {arguments.begin() + 2, arguments.end()});
    } else {
      std::fprintf(stderr,
                   "usage: interop_writer write|list|kinds ROOT\n"
                   "       interop_writer delete ROOT STEP\n"
                   "       interop_writer save ROOT LAYOUT CODEC DTYPES\n"
                   "       interop_writer safetensors FILE DTYPES\n"
                   "       interop_writer dump OUT PATH...\n"
                   "LAYOUT: ocdbt_zarr3, ocdbt_zarr2, zarr3, zarr2\n"
                   "CODEC: raw, auto, auto-stored, blosc:5, zstd:3, gzip:6, or another level\n"
                   "DTYPES: all, or names with commas between them\n");
      return 2;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "interop_writer: %s\n", error.what());
    return 1;
  }
  return 0;
}

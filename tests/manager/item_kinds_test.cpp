// Items that are neither trees of several leaves nor JSON: arrays, protocol buffers, random states.

#include <gmock/gmock.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <random>

#include "support/manager_fixture.h"

namespace cairn {

/// A message of nobody's: "value: 7".
struct Setting {
  int value = 0;
};
template <>
struct ProtoText<Setting> {
  static std::string print(const Setting& s) { return "value: " + std::to_string(s.value) + "\n"; }
  static Setting parse(const std::string& text) {
    Setting setting;
    const bool good =
        text.starts_with("value: ") &&
        std::from_chars(text.data() + 7, text.data() + text.size(), setting.value).ec ==
            std::errc();
    if (!good) throw std::invalid_argument("no Setting: " + text);
    return setting;
  }
};

namespace {

using ::testing::HasSubstr;

class ItemKinds : public test::ManagerTest {
 protected:
  [[nodiscard]] std::string read_text(const std::string& below) const {
    std::ifstream file(root() + "/" + below);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write_text(const std::string& below, const std::string& text) const {
    std::ofstream(root() + "/" + below) << text;
  }
  static Array counted(const Shape& shape) {
    Array array(DType::int32, shape);
    std::int32_t next = 0;
    for (std::int32_t& element : array.values<std::int32_t>()) element = next++;
    return array;
  }
};
CAIRN_ON_EVERY_BACKEND(ItemKinds);

TEST_P(ItemKinds, AnArrayItemIsOrbaxs) {
  CheckpointManager manager(root(), options());
  const Array array = counted({30, 40});
  args::Composite items{{"a", args::ArraySave(array)}, {"n", args::ArraySave(2.5)}};
  EXPECT_TRUE(manager.save(0, std::move(items)).get());
  EXPECT_TRUE(std::filesystem::exists(root() + "/0/a/checkpoint/.zarray"));
  EXPECT_THAT(read_text("0/a/_METADATA"), HasSubstr("\"use_ocdbt\": false"));
  Restored restored = manager.restore(0).get();
  EXPECT_EQ(Tree(restored.array("a")), Tree(array));
  EXPECT_EQ(restored.tree("n"), Tree(2.5));
  Restored part =
      manager.restore(0, args::CompositeRestore{{"a", args::ArrayRestore({{3, 0}, {1, 2}})}}).get();
  EXPECT_EQ(part.array("a").values<std::int32_t>()[1], 121);
  const ItemsMetadata metadata = manager.item_metadata(0).get();
  EXPECT_EQ(*metadata.at("a")->tree, Tree(LeafSpec(DType::int32, {30, 40})));
  EXPECT_EQ(metadata.at("a")->bytes, 4800u);
  EXPECT_THAT(metadata.at("a")->handler, HasSubstr("ArrayCheckpointHandler"));
  EXPECT_TRUE(verify_step(manager.engine(), root() + "/0").get().ok());
}

TEST_P(ItemKinds, AnArrayItemMustBeAnArrayOrNumber) {
  CheckpointManager manager(root(), options());
  const Error error = error_of([&] {
    return manager.save(0, args::ArraySave(Dict{{"a", 1}})).get();
  });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.context().item, "default");
  EXPECT_THAT(error.what(), HasSubstr("this is a dict"));
  EXPECT_EQ(error_of([&] { return manager.save(0, args::ArraySave("text")).get(); }).code(),
            ErrorCode::invalid_argument);
}

TEST_P(ItemKinds, AMessageIsAText) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, args::Composite{{"s", args::ProtoSave(Setting{7})}}).get());
  EXPECT_EQ(read_text("0/s/proto.pbtxt"), "value: 7\n");
  EXPECT_EQ(manager.restore(0).get().get<TextProto>("s").as<Setting>().value, 7);
  std::filesystem::remove(root() + "/0/s/_CAIRN");  // which knows the file as it was
  write_text("0/s/proto.pbtxt", "other");
  Restored other = manager.restore(0, args::CompositeRestore{{"s", args::ProtoRestore()}}).get();
  EXPECT_THROW(static_cast<void>(other.get<TextProto>("s").as<Setting>()), std::invalid_argument);
  std::filesystem::remove(root() + "/0/s/proto.pbtxt");
  const Error error = error_of([&] { return manager.restore(0).get(); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_EQ(error.context().item, "s");
  EXPECT_FALSE(verify_step(manager.engine(), root() + "/0").get().ok());
}

template <class Engine>
void expect_goes_on(CheckpointManager& manager, Step step) {
  Engine engine(17);
  engine.discard(1000);
  EXPECT_TRUE(manager.save(step, args::Composite{{"rng", args::RandomKeySave(engine)}}).get());
  Engine again;
  manager.restore(step).get().get<RandomState>("rng").set(again);
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(again(), engine()) << i;
}

TEST_P(ItemKinds, EnginesGoOnWhereTheyWere) {
  CheckpointManager manager(root(), options());
  expect_goes_on<std::mt19937>(manager, 0);
  expect_goes_on<std::mt19937_64>(manager, 1);
  expect_goes_on<std::minstd_rand>(manager, 2);
  expect_goes_on<std::ranlux24>(manager, 3);
  expect_goes_on<std::knuth_b>(manager, 4);
  EXPECT_EQ(read_text("0/rng/np_random_key_metadata/metadata"), "{\"legacy\": false}");
  const RandomState state = manager.restore(0).get().get<RandomState>("rng");
  EXPECT_EQ(state.bit_generator(), "MT19937");
  EXPECT_EQ(state.numpy().at("state").at("key").as<Array>().shape(), Shape{624});
  EXPECT_TRUE(verify_step(manager.engine(), root() + "/0").get().ok());
}

TEST_P(ItemKinds, AStateOfAnotherGeneratorOrNoneIsRefused) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, args::RandomKeySave(std::mt19937(1))).get());
  const RandomState state = manager.restore(0).get().get<RandomState>("default");
  std::mt19937_64 other(5);
  const std::mt19937_64 before = other;
  const Error error = error_of([&] { state.set(other); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("MT19937, and the engine is std::mt19937_64"));
  EXPECT_EQ(other, before);
  EXPECT_EQ(error_of([&] {
              RandomState(Tree(Dict{{"a", 1}}));
            }).code(),
            ErrorCode::invalid_argument);

  Dict short_state{{"key", Tree(Array(DType::uint32, {3}))}, {"pos", 0}};
  const RandomState damaged(
      Tree(Dict{{"bit_generator", "MT19937"}, {"state", Tree(std::move(short_state))}}));
  std::mt19937 engine(2);
  EXPECT_EQ(error_of([&] { damaged.set(engine); }).code(), ErrorCode::data_loss);
  EXPECT_EQ(engine, std::mt19937(2));
  const RandomState text(Tree(Dict{{"bit_generator", "std::minstd_rand"},
                                   {"state", Tree(Dict{{"text", "not a number"}})}}));
  std::minstd_rand minimal(3);
  EXPECT_EQ(error_of([&] { text.set(minimal); }).code(), ErrorCode::data_loss);
  EXPECT_EQ(minimal, std::minstd_rand(3));
}

TEST_P(ItemKinds, NumpysLegacyStateStaysATuple) {
  CheckpointManager manager(root(), options());
  Array key(DType::uint32, {624});
  key.values<std::uint32_t>()[0] = 9;
  const Tree legacy(Tuple{"MT19937", key, 624, 0, 0.0});
  EXPECT_TRUE(manager.save(0, args::RandomKeySave(RandomState(legacy))).get());
  EXPECT_EQ(read_text("0/default/np_random_key_metadata/metadata"), "{\"legacy\": true}");
  const RandomState state = manager.restore(0).get().get<RandomState>("default");
  EXPECT_EQ(state.numpy(), legacy);
  std::mt19937 engine;
  state.set(engine);
}

TEST_P(ItemKinds, AJaxKeyIsItsWords) {
  CheckpointManager manager(root(), options());
  Array words(DType::uint32, {2});
  words.values<std::uint32_t>()[1] = 0xFFFFFFFE;
  args::Composite items{{"typed", args::JaxRandomKeySave(JaxRandomKey(words))},
                        {"raw", args::JaxRandomKeySave(JaxRandomKey(words, false))}};
  EXPECT_TRUE(manager.save(0, std::move(items)).get());
  Restored restored = manager.restore(0).get();
  EXPECT_EQ(Tree(restored.get<JaxRandomKey>("typed").data), Tree(words));
  EXPECT_TRUE(restored.get<JaxRandomKey>("typed").typed);
  EXPECT_FALSE(restored.get<JaxRandomKey>("raw").typed);
  EXPECT_TRUE(verify_step(manager.engine(), root() + "/0").get().ok());
  const Error error = error_of([&] {
    return manager
        .save(1, args::Composite{{"typed",
                                  args::JaxRandomKeySave(JaxRandomKey(Array(DType::uint32, {4})))}})
        .get();
  });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("uint32[4]"));

  std::filesystem::remove(root() + "/0/raw/jax_random_key_metadata/_CAIRN");
  write_text("0/raw/jax_random_key_metadata/metadata", "{\"typed\": 1}");
  EXPECT_EQ(error_of([&] { return manager.restore(0).get(); }).code(), ErrorCode::data_loss);
  EXPECT_FALSE(verify_step(manager.engine(), root() + "/0").get().ok());
}

TEST_P(ItemKinds, WithoutStepMetadataTheFilesTellTheKind) {
  CheckpointManager manager(root(), options());
  args::Composite items{{"key", args::JaxRandomKeySave(JaxRandomKey(Array(DType::uint32, {2})))},
                        {"proto", args::ProtoSave(TextProto("a: 1"))},
                        {"rng", args::RandomKeySave(std::mt19937(1))}};
  EXPECT_TRUE(manager.save(0, std::move(items)).get());
  std::filesystem::remove(root() + "/0/_CHECKPOINT_METADATA");
  Restored restored = manager.restore(0).get();
  EXPECT_EQ(restored.get<TextProto>("proto").text, "a: 1");
  EXPECT_EQ(restored.get<RandomState>("rng").bit_generator(), "MT19937");
  EXPECT_TRUE(restored.get<JaxRandomKey>("key").typed);
}

TEST_P(ItemKinds, ArgumentsOfAnotherKindAreRefusedWithTheRightOnes) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, args::RandomKeySave(std::mt19937(1))).get());
  const Error error = error_of([&] { return manager.restore(0, args::StandardRestore()).get(); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("Use RandomKeyRestore"));
}

}  // namespace
}  // namespace cairn

// Trees with string leaves: saved in every layout, read back, damaged, refused; on both backends.

#include <cairn/codecs/orbax.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Layout kLayouts[] = {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2, Layout::zarr3,
                               Layout::zarr2};

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

Tree tree_with_strings() {
  Array array = Array::uninitialized(DType::float32, {300});
  std::iota(array.values<float>().begin(), array.values<float>().end(), 1.0F);
  return Tree(Dict{{"w", Tree(std::move(array))},
                   {"name", Tree("grüße \"x\"\n")},
                   {"run", Tree(Dict{{"empty", Tree("")}, {"step", Tree(7)}})},
                   {"list", Tree(List{Tree("one"), Tree(Null()), Tree(Tuple{Tree("two")})})},
                   {"a/b", Tree("below")}});
}

class Strings : public test::ManagerTest {
 protected:
  [[nodiscard]] fs::path item(Step step = 0) const {
    return fs::path(root()) / std::to_string(step) / "default";
  }
  void expect_save_error(args::SaveArgs args, const ::testing::Matcher<std::string>& message) {
    CheckpointManager manager(root(), options());
    try {
      static_cast<void>(manager.save(0, std::move(args)).get());
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_THAT(std::string(error.what()), message);
    }
    EXPECT_EQ(entries(), std::vector<std::string>());
  }
};
CAIRN_ON_EVERY_BACKEND(Strings);

TEST_P(Strings, ComeBackFromEveryLayoutWithoutArguments) {
  const Tree tree = tree_with_strings();
  ManagerOptions o = options();
  CheckpointManager manager(root(), o);
  Step step = 0;
  for (const Layout layout : kLayouts) {
    SCOPED_TRACE(to_string(layout));
    args::PyTreeSave save(tree);
    save.layout = layout;
    EXPECT_TRUE(manager.save(step, std::move(save)).get());
    EXPECT_EQ(manager.restore(step).get().tree(), tree);
    EXPECT_EQ(manager.restore(step, args::StandardRestore()).get().tree(), tree);
    const auto report = verify_step(o.engine, root() + "/" + std::to_string(step)).get();
    EXPECT_TRUE(report.ok()) << report.damages.front().message;
    ++step;
  }
}

TEST_P(Strings, LieInOneFileWithFlatKeysAndTheHandlerIsOrbaxs) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, args::PyTreeSave(tree_with_strings())).get());
  EXPECT_EQ(read_file(item() / "_strings.json"),
            R"({"a":{"b":"below"},"list.0":"one","list.2.0":"two",)"
            R"("name":"grüße \"x\"\n","run.empty":""})");
  const auto step =
      orbax::decode_step_metadata(read_file(item().parent_path() / "_CHECKPOINT_METADATA"));
  EXPECT_EQ(step.item_handlers.at("default"),
            "orbax.checkpoint._src.handlers.pytree_checkpoint_handler.PyTreeCheckpointHandler");
  EXPECT_THAT(read_file(item() / "_METADATA"),
              HasSubstr(R"({"value_type": "string", "skip_deserialize": false})"));
}

TEST_P(Strings, NeedNotBeInATreeThatMayHaveThem) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, args::PyTreeSave(Dict{{"n", 3}})).get());
  EXPECT_FALSE(fs::exists(item() / "_strings.json"));
  EXPECT_EQ(manager.restore(0).get().tree(), Tree(Dict{{"n", 3}}));
}

TEST_P(Strings, MayBeAllThatThereIs) {
  const Tree trees[] = {Tree(Dict{{"a", Tree("x")}, {"none", Tree(Dict())}}), Tree("bare")};
  ManagerOptions o = options();
  CheckpointManager manager(root(), o);
  Step step = 0;
  for (const Layout layout : kLayouts) {
    for (const Tree& tree : trees) {
      SCOPED_TRACE(to_string(layout));
      args::PyTreeSave save(tree);
      save.layout = layout;
      EXPECT_TRUE(manager.save(step, std::move(save)).get());
      EXPECT_EQ(manager.restore(step).get().tree(), tree);
      EXPECT_TRUE(verify_step(o.engine, root() + "/" + std::to_string(step)).get().ok());
      ++step;
    }
  }
}

TEST_P(Strings, OfOrbaxAreReadWhereItMadeNoDatabaseForThem) {
  // What orbax-checkpoint 0.12.8 writes for {"a": "t"}: "use_ocdbt", and no manifest.
  const fs::path step = fs::path(root()) / "0";
  fs::create_directories(step);
  write_file(step / "_METADATA", R"json({"tree_metadata": {"('a',)": {
      "key_metadata": [{"key": "a", "key_type": 2}],
      "value_metadata": {"value_type": "string", "skip_deserialize": false}}},
      "use_ocdbt": true, "use_zarr3": false, "store_array_data_equal_to_fill_value": true,
      "custom_metadata": null})json");
  write_file(step / "_strings.json", R"({"a":"t"})");
  EXPECT_EQ(read_tree(test::make_engine(GetParam()), step).get(), Tree(Dict{{"a", Tree("t")}}));
}

TEST_P(Strings, AreAPartThatCanBeSelected) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, args::PyTreeSave(tree_with_strings())).get());
  const auto read = [&](const std::string& path) {
    std::vector<args::Selection> selection;
    selection.emplace_back(path);
    return manager.restore(0, args::StandardRestore(std::move(selection))).get().tree();
  };
  EXPECT_EQ(read("name"), Tree(Dict{{"name", Tree("grüße \"x\"\n")}}));
  EXPECT_EQ(read("run"), Tree(Dict{{"run", Tree(Dict{{"empty", Tree("")}, {"step", Tree(7)}})}}));
}

TEST_P(Strings, AreRefusedByAStandardSave) {
  for (const bool composite : {false, true}) {
    args::StandardSave save(Dict{{"a", Tree(List{Tree("text")})}});
    const auto message = AllOf(HasSubstr("a[0]"), HasSubstr("PyTreeSave"));
    if (composite) {
      expect_save_error(args::Composite{{"model", std::move(save)}}, message);
    } else {
      expect_save_error(std::move(save), message);
    }
  }
}

TEST_P(Strings, ThatOrbaxCouldNotReadAreRefused) {
  expect_save_error(args::PyTreeSave(Dict{{"a~b", Tree("x")}}),
                    AllOf(HasSubstr("a~b"), HasSubstr("JSON pointers")));
  expect_save_error(args::PyTreeSave(Dict{{"a", Tree("x")}, {"a/b", Tree("y")}}),
                    AllOf(HasSubstr("a/b"), HasSubstr("below")));
  expect_save_error(args::PyTreeSave(Dict{{"a", Tree("\xff")}}),
                    AllOf(HasSubstr("UTF-8"), HasSubstr("a")));
  expect_save_error(args::PyTreeSave(Dict()), HasSubstr("empty"));
}

TEST_P(Strings, OfAnItemAmongOthersComeBack) {
  CheckpointManager manager(root(), options());
  args::Composite items;
  items.add("model", args::StandardSave(Dict{{"n", 1}}));
  items.add("notes", args::PyTreeSave(Dict{{"text", Tree("y")}}));
  EXPECT_TRUE(manager.save(0, std::move(items)).get());
  Restored restored = manager.restore(0).get();
  EXPECT_EQ(restored.tree("notes"), Tree(Dict{{"text", Tree("y")}}));
  EXPECT_EQ(restored.tree("model"), Tree(Dict{{"n", 1}}));
}

TEST_P(Strings, ThatChangedOnDiskAreDamage) {
  ManagerOptions o = options();
  CheckpointManager manager(root(), o);
  Step step = 0;
  for (const Layout layout : kLayouts) {
    SCOPED_TRACE(to_string(layout));
    args::PyTreeSave save(tree_with_strings());
    save.layout = layout;
    EXPECT_TRUE(manager.save(step, std::move(save)).get());
    const fs::path file = item(step) / "_strings.json";
    std::string text = read_file(file);
    text[text.find("below")] = 'B';
    write_file(file, text);
    try {
      static_cast<void>(manager.restore(step).get());
      ADD_FAILURE() << "other strings were restored";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
      EXPECT_THAT(std::string(error.what()), HasSubstr(file.string()));
    }
    const auto report = verify_step(o.engine, root() + "/" + std::to_string(step)).get();
    ASSERT_FALSE(report.ok());
    EXPECT_THAT(report.damages.front().message, HasSubstr("_strings.json"));
    ++step;
  }
}

TEST_P(Strings, SavedAgainAreThoseOfTheNewStep) {
  ManagerOptions o = options();
  o.incremental = true;
  CheckpointManager manager(root(), o);
  Tree tree = tree_with_strings();
  EXPECT_TRUE(manager.save(0, args::PyTreeSave(tree)).get());
  const Tree before = tree;
  tree.at("name") = Tree("changed");
  EXPECT_TRUE(manager.save(1, args::PyTreeSave(tree)).get());
  EXPECT_EQ(manager.restore(1).get().tree(), tree);
  EXPECT_EQ(manager.restore(0).get().tree(), before);
}

}  // namespace
}  // namespace cairn

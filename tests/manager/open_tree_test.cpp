// Trees whose arrays are read when somebody asks: the elements of a restore, in bounded memory.

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <future>
#include <numeric>
#include <thread>

#include "manager/expected_tree.h"
#include "manager/safetensors_samples.h"
#include "support/sanitized.h"
#include "support/weights.h"

namespace cairn::test {
namespace {

using args::Selection;
using ::testing::HasSubstr;

/// All elements of a box of a leaf that has one source.
Array read_leaf(const Leaf& leaf, const IndexRange& box) {
  Array array = Array::uninitialized(leaf.dtype(), box.shape);
  std::promise<std::exception_ptr> done;
  std::get<std::shared_ptr<Source>>(leaf.parts().at(0).source)
      ->read(box, array.bytes(), [&done](std::exception_ptr error) { done.set_value(error); });
  if (const std::exception_ptr error = done.get_future().get()) std::rethrow_exception(error);
  return array;
}

/// The tree with every leaf read.
Tree read_all(Tree tree) {
  if (auto* dict = std::get_if<Dict>(&tree.value())) {
    Dict out;
    for (const auto& [key, child] : *dict) out[key] = read_all(child);
    return Tree(std::move(out));
  }
  if (auto* list = std::get_if<List>(&tree.value())) {
    for (Tree& child : *list) child = read_all(std::move(child));
  } else if (const auto* leaf = std::get_if<Leaf>(&tree.value())) {
    return Tree(read_leaf(*leaf, IndexRange{Shape(leaf->shape().size(), 0), leaf->shape()}));
  }
  return tree;
}

class OpenTree : public SafetensorsTest {
 protected:
  [[nodiscard]] std::string step(int number) const { return at("steps/" + std::to_string(number)); }
  void save(std::shared_ptr<engine::Engine> engine, Tree tree, Codec codec = Codec::raw()) {
    ManagerOptions how;
    how.engine = std::move(engine);
    how.codec = codec;
    CheckpointManager manager(at("steps"), how);
    ASSERT_TRUE(manager.save(0, std::move(tree)).get());
  }
  std::mt19937_64 random_{make_seed()};
};
CAIRN_ON_EVERY_BACKEND(OpenTree);

TEST_P(OpenTree, GivesWhatARestoreGivesOfEveryKindOfCheckpoint) {
  const auto engine = new_engine();
  for (const std::string name :
       {"ocdbt_zarr2", "ocdbt_zarr3", "files_zarr2", "files_zarr3", "ts_files", "ts_ocdbt",
        "ts_bare", "ts_numbered", "zarr2_python", "zarr3_python", "managed/3/model",
        "managed/3/array", "left_out"}) {
    SCOPED_TRACE(name);
    const Tree whole = read_tree(engine, checkpoint(name)).get();
    EXPECT_EQ(read_all(open_tree(engine, checkpoint(name)).get()), whole);
  }
}

TEST_P(OpenTree, GivesAnyBoxOfAnArrayOrOfTheRangeThatWasSelected) {
  const auto engine = new_engine();
  Array big = Array::uninitialized(DType::uint32, {301, 70'001});  // 80 MiB, cut along both axes
  std::iota(big.values<std::uint32_t>().begin(), big.values<std::uint32_t>().end(), 0u);
  save(engine, Dict{{"big", big}, {"small", Array(DType::int8, {1024})}, {"n", 7}}, Codec::zstd(1));
  const Tree tree = open_tree(engine, step(0)).get();
  EXPECT_TRUE(tree.at("small").is<Array>()) << "read at once";
  EXPECT_EQ(tree.at("n"), Tree(7));
  const IndexRange range{{100, 3}, {150, 60'000}};
  ReadOptions some(std::vector<Selection>{Selection("big", range)});
  const Tree part = open_tree(engine, step(0), some).get();
  const auto check = [&](const Leaf& leaf, const IndexRange& within, const IndexRange& box) {
    const Array read = read_leaf(leaf, box);
    const auto values = read.values<std::uint32_t>();
    for (Index row = 0; row < box.shape[0]; ++row) {
      for (const Index column : {Index{0}, box.shape[1] / 2, box.shape[1] - 1}) {
        const Index wanted = (within.origin[0] + box.origin[0] + row) * 70'001 + within.origin[1] +
                             box.origin[1] + column;
        ASSERT_EQ(values[static_cast<std::size_t>(row * box.shape[1] + column)], wanted);
      }
    }
  };
  for (int round = 0; round < 8; ++round) {
    IndexRange box{{}, {}};
    for (const Index extent : range.shape) {
      box.origin.push_back(static_cast<Index>(random_() % static_cast<std::uint64_t>(extent)));
      const auto left = static_cast<std::uint64_t>(extent - box.origin.back());
      box.shape.push_back(1 + static_cast<Index>(random_() % left));
    }
    check(tree.at("big").as<Leaf>(), IndexRange{{0, 0}, {301, 70'001}}, box);
    check(part.at("big").as<Leaf>(), range, box);
  }
}

TEST_P(OpenTree, IsSavedAgainInAnotherCodec) {
  const auto engine = new_engine();
  const Tree tree =
      Dict{{"a", normal_bfloat16({700, 1000}, 1)}, {"l", List{normal_float32({500}, 2), 3, true}}};
  save(engine, tree);
  ManagerOptions how;
  how.engine = engine;
  how.codec = Codec::zstd(3);
  how.layout = Layout::zarr3;
  CheckpointManager copy(at("copy"), how);
  ASSERT_TRUE(copy.save(0, open_tree(engine, step(0)).get()).get());
  EXPECT_EQ(copy.restore(0).get().tree(), tree);
}

TEST_P(OpenTree, TakesTheItemThatIsNamed) {
  const auto engine = new_engine();
  ManagerOptions how;
  how.engine = engine;
  CheckpointManager manager(at("steps"), how);
  args::Composite items;
  items.add("params", args::StandardSave(Dict{{"w", 1}}));
  items.add("state", args::StandardSave(Dict{{"v", 2}}));
  ASSERT_TRUE(manager.save(0, std::move(items)).get());
  ReadOptions named;
  named.item = "state";
  EXPECT_EQ(open_tree(engine, step(0), named).get(), Tree(Dict{{"v", 2}}));
  EXPECT_EQ(read_tree(engine, step(0), named).get(), Tree(Dict{{"v", 2}}));
  named.item = "stat";
  try {
    static_cast<void>(read_tree(engine, step(0), named).get());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
    EXPECT_THAT(error.what(), HasSubstr("items: params, state"));
  }
}

TEST_P(OpenTree, KeepsItsStepFromBeingDeleted) {
  const auto engine = new_engine();
  const Array array = normal_float32({5000}, 1);
  save(engine, Dict{{"w", array}});
  ManagerOptions how;
  how.engine = engine;
  CheckpointManager manager(at("steps"), how);
  {
    const Tree tree = open_tree(engine, step(0)).get();
    try {
      manager.delete_step(0).get();
      ADD_FAILURE() << "deleted under its reader";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::busy);
    }
    EXPECT_EQ(read_leaf(tree.at("w").as<Leaf>(), IndexRange{{0}, {5000}}), array);
  }
  manager.delete_step(0).get();
}

TEST_P(OpenTree, DamageReachesWhoeverAsksForTheChunk) {
  const auto engine = new_engine();
  const Array good = normal_float32({50'000}, 1);
  const Array bad = normal_float32({60'000}, 2);
  save(engine, Dict{{"good", good}, {"bad", bad}});
  for (const auto& entry : std::filesystem::recursive_directory_iterator(step(0))) {
    if (!entry.is_regular_file()) continue;
    const std::string name = std::filesystem::relative(entry.path(), root()).string();
    std::string bytes = get(name);
    const auto place = bytes.find(
        std::string_view(reinterpret_cast<const char*>(bad.bytes().data()) + 80'000, 100));
    if (place == std::string::npos) continue;
    bytes[place] ^= 1;
    put(name, bytes);
  }
  const Tree tree = open_tree(engine, step(0)).get();
  EXPECT_EQ(read_leaf(tree.at("good").as<Leaf>(), IndexRange{{0}, {50'000}}), good);
  const std::vector<std::string> before = entries();
  try {
    write_safetensors(engine, tree, at("out"), {}).get();
    ADD_FAILURE() << "damage went into a file";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::data_loss);
    EXPECT_THAT(error.what(), ::testing::AllOf(HasSubstr("bad"), HasSubstr("crc32c"),
                                               HasSubstr("c/0"), HasSubstr(step(0))));
  }
  EXPECT_EQ(entries(), before);
}

TEST_P(OpenTree, AnExportReadsEachChunkOnce) {
  const auto engine = new_engine();
  Dict tree;
  std::uint64_t bytes = 0;
  int number = 0;
  for (const Shape& shape : {Shape{5, 1'300'007}, Shape{3, 7, 500'009}, Shape{12'000'001}}) {
    Array array = random_array(DType::uint32, shape, random_);
    bytes += array.bytes().size();
    tree["w" + std::to_string(number++)] = Tree(std::move(array));
  }
  const Tree whole(std::move(tree));
  save(engine, whole);
  const std::uint64_t before = engine->stats().bytes_read;
  write_safetensors(engine, open_tree(engine, step(0)).get(), at("out"), {}).get();
  EXPECT_LT(engine->stats().bytes_read - before, bytes + bytes / 20);
  EXPECT_TRUE(read_safetensors(engine, at("out")).get().tree == whole);
}

/// Bytes of this process's memory that are in RAM.
std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE));
}

/// Looks at that again and again, and keeps the most.
class MemoryWatch {
 public:
  MemoryWatch() : thread_([this] { watch(); }) {}
  ~MemoryWatch() { static_cast<void>(stop()); }
  std::uint64_t stop() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
    return most_;
  }

 private:
  void watch() {
    while (!done_) {
      most_ = std::max(most_, resident_bytes());
      std::this_thread::yield();
    }
  }
  std::atomic<bool> done_{false};
  std::uint64_t most_ = 0;
  std::thread thread_;
};

TEST_P(OpenTree, ExportsAStepMuchLargerThanTheArenas) {
  constexpr std::uint64_t kStagingBytes = 24u << 20;
  constexpr std::uint64_t kWindowBytes = 48u << 20;
  constexpr std::uint64_t kStepBytes = 256u << 20;
  EngineSettings small;
  small.staging_bytes = kStagingBytes;
  small.io_window_bytes = kWindowBytes;
  const auto engine = new_engine(small);
  const Array pattern = random_array(DType::uint8, {1 << 16}, random_);
  {
    // Two of 112 MiB, and 32 of 1 MiB; every row differs from the others.
    Dict tree;
    for (int i = 0; i < 34; ++i) {
      const Index rows = i < 2 ? 1792 : 16;
      Array array = Array::uninitialized(DType::uint8, {rows, 1 << 16});
      for (Index row = 0; row < rows; ++row) {
        const auto to = array.bytes().subspan(static_cast<std::size_t>(row) << 16, 1 << 16);
        std::memcpy(to.data(), pattern.bytes().data(), to.size());
        std::memcpy(to.data(), &row, sizeof(row));
        to[8] = static_cast<std::byte>(i);
      }
      tree["w" + std::to_string(i)] = Tree(std::move(array));
    }
    save(engine, Tree(std::move(tree)));
  }
  const std::uint64_t before = resident_bytes();
  MemoryWatch watch;
  const auto written =
      write_safetensors(engine, open_tree(engine, step(0)).get(), at("out"), {}).get();
  const std::uint64_t most = watch.stop();
  EXPECT_EQ(written.bytes, kStepBytes);
  EXPECT_LE(engine->stats().staging.peak_bytes, kStagingBytes);
  // With a sanitizer memory that was freed stays, and all of it has a shadow.
  if (!kSanitized) {
    EXPECT_LT(most, before + kStagingBytes + kWindowBytes + (32u << 20));
  }
  for (int i = 0; i < 34; ++i) {
    SafetensorsReadOptions one;
    one.tensors = {"w" + std::to_string(i)};
    const Tree read = read_safetensors(engine, at("out"), one).get().tree;
    const Array& array = read.as<Dict>().begin()->second.as<Array>();
    for (Index row = 0; row < array.shape()[0]; ++row) {
      const auto bytes = array.bytes().subspan(static_cast<std::size_t>(row) << 16, 1 << 16);
      ASSERT_EQ(std::memcmp(bytes.data(), &row, sizeof(row)), 0) << i << " " << row;
      ASSERT_EQ(bytes[8], static_cast<std::byte>(i));
      ASSERT_EQ(std::memcmp(&bytes[9], &pattern.bytes()[9], bytes.size() - 9), 0);
    }
  }
}

}  // namespace
}  // namespace cairn::test

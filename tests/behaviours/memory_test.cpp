// Behaviours: bytes in flight.

#include <atomic>
#include <thread>

#include "behaviours/behaviour.h"

namespace cairn {
namespace {

constexpr std::size_t kLimit = 16u << 20;
constexpr std::size_t kAmple = 128u << 20;

/// A disk so slow that no large transfer of one kind ends before it is told to.
class SlowDisk {
 public:
  SlowDisk(std::shared_ptr<engine::FaultPlan> plan, engine::IoOp op) : plan_(std::move(plan)) {
    plan_->hold([bytes = bytes_, op](const engine::IoRequest& request) {
      if (request.op != op || request.length < kSmall) return false;
      *bytes += request.length;
      return true;
    });
  }
  ~SlowDisk() { plan_->release(); }
  /// That have been submitted, and so are in flight.
  [[nodiscard]] std::uint64_t bytes() const { return *bytes_; }

 private:
  /// Metadata are smaller.
  static constexpr std::uint64_t kSmall = 100u << 10;
  std::shared_ptr<engine::FaultPlan> plan_;
  std::shared_ptr<std::atomic<std::uint64_t>> bytes_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);
};

// test_memory_limiting. The limits are the engine's: staging_bytes of what is copied and waits for
// the disk, io_window_bytes of what is encoded, and of what is read and decoded.
class B098 : public test::BehaviourTest {
 protected:
  [[nodiscard]] ManagerOptions limited(std::size_t staging_bytes, std::size_t window_bytes) {
    test::EngineSettings settings;
    settings.staging_bytes = staging_bytes;
    settings.io_window_bytes = window_bytes;
    settings.clock = clock_;
    settings.faults = faults_;
    ManagerOptions options;
    options.engine = test::make_engine(GetParam(), settings);
    options.incremental = true;  // chunks far below the limits
    return options;
  }
  /// Until somebody waits for memory: as much is out as may be.
  static void wait_until_full(const engine::BufferArena& arena) {
    while (arena.stats().waiting == 0) std::this_thread::yield();
  }
  /// 40 MiB.
  [[nodiscard]] static Dict large() {
    Dict tree;
    for (int i = 0; i < 20; ++i) {
      Array array = Array::uninitialized(DType::float32, {512, 1024});
      auto next = static_cast<float>(i);
      for (float& value : array.values<float>()) value = next++;
      tree["w" + std::to_string(i)] = Tree(std::move(array));
    }
    return tree;
  }
};
CAIRN_ON_EVERY_BACKEND(B098);

TEST_P(B098, ARestoreFromASlowDiskNeverHasMoreThanTheLimitInFlight) {
  CheckpointManager manager(root(), limited(kAmple, kLimit));
  EXPECT_TRUE(manager.save(0, large()).get());
  const engine::BufferArena& window = manager.engine()->window();
  std::optional<SlowDisk> disk(std::in_place, faults_, engine::IoOp::read);
  Future<Restored> restore = manager.restore(0);
  wait_until_full(window);
  faults_->wait_until_held(2);
  EXPECT_LE(disk->bytes(), kLimit);
  disk.reset();
  EXPECT_EQ(restore.get().tree(), Tree(large()));
  EXPECT_LE(window.stats().peak_bytes, kLimit);
}

TEST_P(B098, ASaveToASlowDiskNeverHasMoreThanTheLimitInFlight) {
  CheckpointManager manager(root(), limited(kLimit, kAmple));
  const engine::BufferArena& staging = manager.engine()->staging();
  std::optional<SlowDisk> disk(std::in_place, faults_, engine::IoOp::write);
  const SaveFuture save = manager.save(0, large());
  wait_until_full(staging);
  faults_->wait_until_held(2);
  EXPECT_LE(disk->bytes(), kLimit);
  disk.reset();
  EXPECT_TRUE(save.get());
  EXPECT_LE(staging.stats().peak_bytes, kLimit);
  EXPECT_EQ(manager.restore(0).get().tree(), Tree(large()));
}

}  // namespace
}  // namespace cairn

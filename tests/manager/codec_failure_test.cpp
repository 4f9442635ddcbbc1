// Saves with codecs that fail or are cancelled half way.

#include <gmock/gmock.h>

#include <future>

#include "support/manager_fixture.h"
#include "support/weights.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;
using test::normal_bfloat16;

/// Elements that cannot be had beyond a certain number of reads.
class FailingSource final : public Source {
 public:
  explicit FailingSource(int reads) : left_(reads) {}
  void read(const IndexRange&, std::span<std::byte> to,
            std::function<void(std::exception_ptr)> done) override {
    std::ranges::fill(to, std::byte{1});
    const bool fails = --left_ < 0;
    done(fails ? std::make_exception_ptr(std::runtime_error("the device is gone")) : nullptr);
  }

 private:
  std::atomic<int> left_;
};

class CodecFailure : public test::ManagerTest {
 protected:
  ManagerOptions faulty(Codec codec, EncodePolicy policy = {}) {
    test::EngineSettings settings;
    settings.faults = faults;
    ManagerOptions o = options(settings);
    o.codec = codec;
    o.encode_policy = std::move(policy);
    return o;
  }
  /// The save fails with `code`, leaves nothing, and the next one works.
  void expect_failure(CheckpointManager& manager, const SaveFuture& save, ErrorCode code) {
    try {
      static_cast<void>(save.get());
      ADD_FAILURE() << "the save succeeded";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_NE(std::string(error.what()).find("save step 0"), std::string::npos) << error.what();
    }
    faults->clear();
    // Nor that file, where the source failed before the save had its turn.
    EXPECT_THAT(entries(), testing::IsSubsetOf({".cairn.lock"}));
    EXPECT_TRUE(manager.save(0, Dict{{"w", Tree(normal_bfloat16({1 << 18}, 1))}}).get());
    EXPECT_EQ(manager.engine()->stats().window.in_use_bytes, 0u);
    EXPECT_EQ(manager.engine()->stats().staging.in_use_bytes, 0u);
  }
  const Tree tree = Tree(Dict{{"w", Tree(normal_bfloat16({40 << 20}, 1))}});
  std::shared_ptr<FaultPlan> faults = std::make_shared<FaultPlan>();
};
CAIRN_ON_EVERY_BACKEND(CodecFailure);

// The blocks of everything cannot be had, nor those of the next chunks, when some are written.
TEST_P(CodecFailure, ADiskThatFillsWhileAFileGrowsFailsTheSave) {
  CheckpointManager manager(root(), faulty(Codec::blosc(1)));
  const auto whole = [](const engine::IoRequest& request) {
    return request.op == IoOp::allocate && request.length > (64u << 20);
  };
  faults->fail(whole, 1, ENOSPC, FaultPlan::kForever);
  const auto later = [](const engine::IoRequest& request) {
    return request.op == IoOp::allocate && request.length > (30u << 20);
  };
  faults->fail(later, 2, ENOSPC, FaultPlan::kForever);
  expect_failure(manager, manager.save(0, tree), ErrorCode::no_space);
}

TEST_P(CodecFailure, ADiskWithRoomForTheEncodedDataButNotForMoreIsEnough) {
  CheckpointManager manager(root(), faulty(Codec::blosc(1)));
  // Everything, and then each reservation that looks ahead: 40 Mi elements of 2 bytes in 5 chunks.
  auto last = std::make_shared<std::atomic<std::uint64_t>>(0);
  const auto ahead = [last](const engine::IoRequest& request) {
    if (request.op != IoOp::allocate) return false;
    const std::uint64_t before = last->exchange(request.length);
    return before == 0 || request.length > before + (18u << 20);
  };
  faults->fail(ahead, 1, ENOSPC, FaultPlan::kForever);
  EXPECT_TRUE(manager.save(0, tree).get());
  EXPECT_GE(faults->injected(), 1u);
  EXPECT_EQ(manager.restore(0).get().tree(), tree);
}

TEST_P(CodecFailure, AFailedWriteOfAnEncodedChunkFailsTheSave) {
  CheckpointManager manager(root(), faulty(Codec::zstd(1)));
  const auto large = [](const engine::IoRequest& request) {
    return request.op == IoOp::write && request.length > 1'000'000;
  };
  faults->fail(large, 3, EIO);
  expect_failure(manager, manager.save(0, tree), ErrorCode::io_error);
}

TEST_P(CodecFailure, AFailedCutOrSyncFailsTheSave) {
  CheckpointManager manager(root(), faulty(Codec::blosc(1)));
  for (const IoOp op : {IoOp::truncate, IoOp::sync_data}) {
    // The first truncation is that of the lock's owner record, which is forgiven.
    faults->fail(FaultPlan::only({op}), op == IoOp::truncate ? 2 : 1, EIO);
    expect_failure(manager, manager.save(0, tree), ErrorCode::io_error);
    manager.delete_step(0).get();
  }
}

TEST_P(CodecFailure, AChunkThatCannotBeEncodedFailsTheSave) {
  auto count = std::make_shared<std::atomic<int>>(0);
  EncodePolicy policy = [count](const EncodeLoad&) {
    if (++*count == 2) throw std::runtime_error("no decision");
    return EncodeDecision::encode;
  };
  CheckpointManager manager(root(), faulty(Codec::automatic(), policy));
  expect_failure(manager, manager.save(0, tree), ErrorCode::internal);
}

TEST_P(CodecFailure, ASourceThatFailsHalfWayFailsTheSave) {
  CheckpointManager manager(root(), faulty(Codec::zstd(1)));
  const Leaf leaf(DType::float32, {12 << 20}, std::make_shared<FailingSource>(2));
  expect_failure(manager, manager.save(0, Dict{{"w", Tree(leaf)}}), ErrorCode::internal);
}

TEST_P(CodecFailure, ASaveCancelledBetweenCaptureAndEncodingLeavesNothing) {
  std::promise<void> asked;
  auto count = std::make_shared<std::atomic<int>>(0);
  EncodePolicy policy = [count, &asked](const EncodeLoad&) {
    const int now = ++*count;
    if (now == 1) return EncodeDecision::store;  // its write hangs, so that there is a wait
    if (now == 2) asked.set_value();
    return now > 1000 ? EncodeDecision::encode : EncodeDecision::wait;
  };
  CheckpointManager manager(root(), faulty(Codec::automatic(), policy));
  faults->hold([](const engine::IoRequest& request) {
    return request.op == IoOp::write && request.length > 1'000'000;
  });
  const SaveFuture save = manager.save(0, tree);
  faults->wait_until_held(1);
  asked.get_future().get();
  save.cancel();
  faults->release();
  *count = 1000;
  expect_failure(manager, save, ErrorCode::cancelled);
}

TEST_P(CodecFailure, PlainLayoutsFailAndCleanUpLikewise) {
  ManagerOptions o = faulty(Codec::zstd(1));
  o.layout = Layout::zarr3;
  CheckpointManager manager(root(), o);
  for (const std::uint64_t nth : {1u, 4u, 9u}) {
    const Tree many(Dict{{"a", Tree(normal_bfloat16({1 << 20}, 1))},
                         {"b", Tree(normal_bfloat16({5000}, 1))},
                         {"c", Tree(normal_bfloat16({5000}, 1))},
                         {"d", Tree(7)}});
    faults->fail(FaultPlan::only({IoOp::sync_data, IoOp::sync_all}), nth, EIO);
    expect_failure(manager, manager.save(0, many), ErrorCode::io_error);
    manager.delete_step(0).get();
  }
}

}  // namespace
}  // namespace cairn

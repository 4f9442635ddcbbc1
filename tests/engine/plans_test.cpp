// The plans behind engine/file.h, one answer of the kernel at a time.

#include <cairn/engine/error.h>
#include <cairn/engine/file.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

namespace cairn::engine::impl {
namespace {

IoResult answer(std::int64_t value) {
  IoResult result;
  result.value = value;
  return result;
}

// ---- close --------------------------------------------------------------------------------------

int open_something() {
  return ::open("/dev/null", O_RDWR | O_CLOEXEC);
}
bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(ClosePlan, ClosesOnceWhateverTheKernelAnswers) {
  // As fuse does when a flush fails: any errno, and the descriptor is gone.
  for (const int error : {ECANCELED, ESHUTDOWN, EOWNERDEAD, EIO, EINTR}) {
    const int fd = open_something();
    const Descriptor other(open_something());
    ClosePlan plan{Descriptor(fd)};
    IoRequest request;
    IoResult result;
    ASSERT_TRUE(plan.begin(request, result));
    ASSERT_EQ(request.fd, fd);
    ASSERT_EQ(::dup2(other.get(), fd), fd);  // closed, and someone else's at once
    result = answer(-error);
    EXPECT_FALSE(plan.next(request, result));
    EXPECT_TRUE(is_open(fd)) << "closed twice after errno " << error;
    ::close(fd);
  }
}

TEST(ClosePlan, ClosesByItselfWhatTheBackendRefused) {
  const int fd = open_something();
  ClosePlan plan{Descriptor(fd)};
  IoRequest request;
  IoResult result;
  ASSERT_TRUE(plan.begin(request, result));
  result = answer(-ESHUTDOWN);
  result.refused = true;
  EXPECT_FALSE(plan.next(request, result));
  EXPECT_FALSE(is_open(fd));
}

// ---- transfers ----------------------------------------------------------------------------------

// A direct transfer of three blocks.
class TransferPlanTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kBlock = 4096;
  TransferPlanTest() : memory_(static_cast<char*>(std::aligned_alloc(kBlock, 3 * kBlock))) {}
  ~TransferPlanTest() override { std::free(memory_); }
  [[nodiscard]] TransferPlan start(IoOp op) {
    IoRequest request(op);
    request.fd = 0;
    request.buffer = memory_;
    request.length = 3 * kBlock;
    TransferPlan plan(std::move(request), kBlock, nullptr);
    EXPECT_TRUE(plan.begin(request_, result_));
    return plan;
  }
  // True when the plan goes on after the kernel moved `bytes`.
  bool moved(TransferPlan& plan, std::int64_t bytes) {
    result_ = answer(bytes);
    return plan.next(request_, result_);
  }
  struct Outcome {
    error_code error;
    std::size_t bytes = 0;
  };
  static Outcome outcome(TransferPlan& plan) {
    Outcome seen;
    auto handler = [&seen](error_code error, std::size_t bytes) { seen = {error, bytes}; };
    plan.invoke(handler);
    return seen;
  }

  char* memory_;
  IoRequest request_;
  IoResult result_;
};

TEST_F(TransferPlanTest, AShortDirectTransferOfWholeBlocksIsCarriedOn) {
  for (const IoOp op : {IoOp::read, IoOp::write}) {
    TransferPlan plan = start(op);
    ASSERT_TRUE(moved(plan, kBlock));
    EXPECT_EQ(request_.op, op);
    EXPECT_EQ(request_.offset, kBlock);
    EXPECT_EQ(request_.length, 2 * kBlock);
    EXPECT_EQ(request_.buffer, memory_ + kBlock);
    EXPECT_FALSE(moved(plan, 2 * kBlock));
    EXPECT_FALSE(outcome(plan).error);
    EXPECT_EQ(outcome(plan).bytes, 3 * kBlock);
  }
}

TEST_F(TransferPlanTest, AShortDirectWriteOffTheAlignmentIsAnError) {
  TransferPlan plan = start(IoOp::write);
  ASSERT_TRUE(moved(plan, kBlock));
  EXPECT_FALSE(moved(plan, 512));
  EXPECT_EQ(outcome(plan).error, make_error_code(Errc::unaligned_short_transfer));
  EXPECT_EQ(outcome(plan).bytes, kBlock + 512);
}

TEST_F(TransferPlanTest, AShortDirectReadOffTheAlignmentIsTheEndOfTheFileOrAnError) {
  for (const std::uint64_t size : {kBlock + 512, 3 * kBlock}) {
    TransferPlan plan = start(IoOp::read);
    ASSERT_TRUE(moved(plan, kBlock + 512));
    ASSERT_EQ(request_.op, IoOp::stat);
    result_ = answer(0);
    result_.status.size = size;
    EXPECT_FALSE(plan.next(request_, result_));
    const bool at_end = size == kBlock + 512;
    EXPECT_EQ(outcome(plan).error,
              at_end ? error_code() : make_error_code(Errc::unaligned_short_transfer));
  }
}

// ---- write-back ---------------------------------------------------------------------------------

TEST(SyncPlan, DropsTheRestOfAFileThatFilledAWindow) {
  const auto window = std::make_shared<WriteBackWindow>();
  ByteRange start;
  ByteRange drop;
  const std::uint64_t kWindow = kWriteBackWindowBytes;
  EXPECT_TRUE(window->add({0, kWindow}, start, drop));
  EXPECT_FALSE(window->add({kWindow, 100}, start, drop));
  for (const bool dropped : {false, true}) {
    SyncPlan plan(IoRequest(IoOp::sync_data), window);
    IoRequest request;
    IoResult result;
    ASSERT_TRUE(plan.begin(request, result));
    ASSERT_EQ(request.op, IoOp::sync_data);
    result = answer(0);
    ASSERT_EQ(plan.next(request, result), !dropped);  // what is gone is not dropped again
    if (dropped) break;
    EXPECT_EQ(request.op, IoOp::write_back);
    EXPECT_EQ(request.offset, 0u);
    EXPECT_EQ(request.length, kWindow + 100);
    result = answer(-EOPNOTSUPP);
    EXPECT_FALSE(plan.next(request, result));
    error_code seen;
    auto handler = [&seen](error_code error) { seen = error; };
    plan.invoke(handler);
    EXPECT_FALSE(seen);
  }
}

TEST(SyncPlan, LeavesSmallFilesInTheCacheAndReportsAFailedSync) {
  const auto window = std::make_shared<WriteBackWindow>();
  ByteRange start;
  ByteRange drop;
  EXPECT_FALSE(window->add({0, 100}, start, drop));
  EXPECT_EQ(window->take_rest().length, 0u);
  EXPECT_TRUE(window->add({100, kWriteBackWindowBytes}, start, drop));
  SyncPlan plan(IoRequest(IoOp::sync_data), window);
  IoRequest request;
  IoResult result;
  ASSERT_TRUE(plan.begin(request, result));
  result = answer(-EIO);
  EXPECT_FALSE(plan.next(request, result));
  error_code seen;
  auto handler = [&seen](error_code error) { seen = error; };
  plan.invoke(handler);
  EXPECT_EQ(seen.value(), EIO);
}

// ---- names --------------------------------------------------------------------------------------

TEST(EntryName, IsOneComponent) {
  for (const char* good : {"a", "...", "a.b", ".hidden", "a b"}) EXPECT_TRUE(is_entry_name(good));
  for (const char* bad : {"", ".", "..", "/", "a/b", "a/", "../a"})
    EXPECT_FALSE(is_entry_name(bad)) << bad;
  EXPECT_FALSE(is_entry_name(std::string("a\0b", 3)));
}

}  // namespace
}  // namespace cairn::engine::impl

// The data files of a database while they grow: when they are made durable and closed, and what
// they reserve where a disk is nearly full.

#include <cairn/manager/internal/data_files.h>
#include <cairn/manager/internal/start.h>
#include <gmock/gmock.h>

#include <boost/asio/use_future.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

#include "support/manager_fixture.h"
#include "support/settle.h"

namespace cairn::internal {
namespace {

namespace fs = std::filesystem;
using engine::FaultPlan;
using engine::IoOp;
using ::testing::ElementsAre;
using ::testing::Pair;

constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::uint64_t kAny = ~std::uint64_t{0};

class GrowingFiles : public test::ManagerTest {
 protected:
  using Calls = std::vector<std::pair<IoOp, std::uint64_t>>;

  GrowingFiles() {
    test::EngineSettings settings;
    settings.faults = faults_;
    settings.staging_bytes = settings.io_window_bytes = 8 * kMiB;
    engine_ = test::make_engine(GetParam(), settings);
    fs::create_directories(root());
    folder_ = start(engine_, open_folder(engine_, root()), "open", root()).get();
    auto buffer = engine_->staging().async_acquire(kMiB, boost::asio::use_future).get();
    std::ranges::fill(buffer.span(), std::byte{7});
    piece_ = std::move(buffer);
    // Sees every call and spoils none.
    faults_->fail(
        [this](const engine::IoRequest& request) {
          const std::lock_guard lock(mutex_);
          calls_.emplace_back(request.op, request.length);
          return false;
        },
        1, EIO);
  }
  void make(std::uint64_t open_bytes, std::uint64_t bytes_max) {
    files_ = std::make_unique<DataFiles>(engine_, folder_, open_bytes, bytes_max);
  }
  FilePlace append(FileClass kind = FileClass::cold) {
    return start(engine_, files_->append(kind, piece_.span()), "append", root()).get();
  }
  void finish() { start(engine_, files_->finish(), "finish", root()).get(); }
  [[nodiscard]] std::size_t count(IoOp op) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count(calls_, op, &Calls::value_type::first));
  }
  /// Reservations and cuts, in their order.
  [[nodiscard]] Calls reservations() {
    const std::lock_guard lock(mutex_);
    Calls found;
    for (const auto& call : calls_) {
      if (call.first == IoOp::allocate || call.first == IoOp::truncate) found.push_back(call);
    }
    return found;
  }
  [[nodiscard]] std::uint64_t size_of(std::size_t file) const {
    return fs::file_size(fs::path(root()) / files_->files().at(file).path.substr(2));
  }
  /// Reservations of more than `least` bytes get what they ask for, and report that there was no
  /// space: as where there is some, but not as much.
  void fill_disk_for_more_than(std::uint64_t least) {
    faults_->fail_after(
        [least](const engine::IoRequest& request) {
          return request.op == IoOp::allocate && request.length > least;
        },
        1, ENOSPC, FaultPlan::kForever);
  }

  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::mutex mutex_;
  Calls calls_;
  EnginePtr engine_;
  FolderPtr folder_;
  engine::Buffer piece_;
  std::unique_ptr<DataFiles> files_;
};
// So few large writes that a failing save drains quickly, so many small ones that a disk is busy.
TEST_P(GrowingFiles, HandsTheKernelAsManyBytesOfSmallWritesAsOfLargeOnes) {
  make(0, kAny);
  constexpr std::size_t kLarge = 16 * kMiB;
  const std::unique_ptr<std::byte, decltype(&std::free)> memory(
      static_cast<std::byte*>(std::aligned_alloc(engine::kBufferAlignment, kLarge)), &std::free);
  std::ranges::fill(std::span(memory.get(), kLarge), std::byte{7});
  const auto expect_at_once = [&](std::size_t bytes, std::size_t expected) {
    faults_->hold(FaultPlan::only({IoOp::write}));
    std::vector<Future<FilePlace>> writes;
    for (std::size_t i = 0; i < 100 && i * bytes < 10 * kLarge; ++i) {
      writes.push_back(start(engine_,
                             files_->append(FileClass::cold, std::span(memory.get(), bytes)),
                             "append", root()));
    }
    // On a busy machine an operation may have ended long before the strand hears of it.
    while (faults_->held() < expected) std::this_thread::yield();
    test::settle(*engine_, *faults_);
    EXPECT_EQ(faults_->held(), expected);
    faults_->release();
    for (Future<FilePlace>& write : writes) static_cast<void>(write.get());
  };
  expect_at_once(kLarge, 8);
  expect_at_once(kLarge / 4, 32);
  expect_at_once(kMiB / 4, 64);
  finish();
}

CAIRN_ON_EVERY_BACKEND(GrowingFiles);

TEST_P(GrowingFiles, AFullFileIsDurableAndClosedWhenItsLastWriteHasEnded) {
  make(8 * kMiB, 2 * kMiB);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(append().file, 0u);
  EXPECT_EQ(count(IoOp::sync_data), 0u) << "there may be room for another, smaller piece";
  EXPECT_EQ(append().file, 1u);
  EXPECT_EQ(count(IoOp::sync_data), 1u);
  EXPECT_EQ(count(IoOp::close), 1u);
  for (int i = 0; i < 3; ++i) append();
  EXPECT_EQ(count(IoOp::sync_data), 2u);
  finish();
  EXPECT_EQ(count(IoOp::sync_data), 3u);
  EXPECT_EQ(count(IoOp::close), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(size_of(i), 2 * kMiB);
}

TEST_P(GrowingFiles, AFullFileStaysOpenWhileItIsWritten) {
  make(8 * kMiB, kMiB);
  faults_->hold(FaultPlan::only({IoOp::write}));
  auto first = start(engine_, files_->append(FileClass::cold, piece_.span()), "append", root());
  faults_->wait_until_held(1);
  auto second = start(engine_, files_->append(FileClass::cold, piece_.span()), "append", root());
  faults_->wait_until_held(2);  // the first file is full, and neither has been written
  EXPECT_EQ(count(IoOp::sync_data), 0u);
  faults_->release();
  EXPECT_EQ(first.get().file, 0u);
  EXPECT_EQ(second.get().file, 1u);
  finish();
  EXPECT_EQ(count(IoOp::sync_data), 2u);
  EXPECT_EQ(count(IoOp::close), 2u);
}

TEST_P(GrowingFiles, AFailedSyncOfAFullFileReachesWhoFilledIt) {
  make(8 * kMiB, kMiB);
  append();
  faults_->fail(FaultPlan::only({IoOp::sync_data}), 1, EIO);
  EXPECT_THROW(append(), Error);
}

TEST_P(GrowingFiles, AReservationThatFailsHalfWayGivesBackWhatItGot) {
  make(64 * kMiB, kAny / 2);
  files_->expect(64 * kMiB);
  fill_disk_for_more_than(3 * kMiB);
  append();
  EXPECT_THAT(reservations(), ElementsAre(Pair(IoOp::allocate, 64 * kMiB), Pair(IoOp::truncate, 0),
                                          Pair(IoOp::allocate, 9 * kMiB), Pair(IoOp::truncate, 0),
                                          Pair(IoOp::allocate, kMiB)));
  EXPECT_EQ(size_of(0), kMiB) << "the rest is there for other files, now and not at the end";
  append();
  EXPECT_EQ(reservations().back(), Calls::value_type(IoOp::allocate, 2 * kMiB));
  finish();
  EXPECT_EQ(size_of(0), 2 * kMiB);
}

TEST_P(GrowingFiles, ADiskThatHasNoRoomForWhatIsCertainIsAnError) {
  make(64 * kMiB, kAny / 2);
  append();
  fill_disk_for_more_than(9 * kMiB);
  for (int i = 0; i < 8; ++i) append();  // what was reserved ahead
  try {
    append();
    FAIL() << "there was no space";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::no_space);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("reserve 10485760 bytes"));
  }
  EXPECT_EQ(size_of(0), 9 * kMiB);
}

}  // namespace
}  // namespace cairn::internal

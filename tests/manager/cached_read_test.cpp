// Whether what is in the page cache is read from there, or from the disk.

#include <cairn/engine/file.h>
#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/use_future.hpp>
#include <fstream>
#include <functional>
#include <numeric>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;

class CachedRead : public test::ManagerTest {
 protected:
  static constexpr Index kElements = 1 << 20;

  [[nodiscard]] static Tree counting() {
    Array array = Array::uninitialized(DType::uint32, {kElements});
    std::iota(array.values<std::uint32_t>().begin(), array.values<std::uint32_t>().end(), 1u);
    return Tree(Dict{{"w", Tree(std::move(array))}});
  }
  /// Saves step 0 with direct I/O; false where the file system has none.
  bool save() {
    CheckpointManager manager(root(), options_);
    static_cast<void>(manager.save(0, counting()).get());
    return options_.engine->stats().files_direct > 0;
  }
  void for_each_file(const std::function<void(int fd)>& call) const {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(root()) / "0")) {
      if (!entry.is_regular_file()) continue;
      const int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
      ASSERT_GE(fd, 0) << entry.path();
      call(fd);
      ::close(fd);
    }
  }
  void read_all() const {
    std::vector<char> block(1 << 20);
    for_each_file([&](int fd) {
      while (::read(fd, block.data(), block.size()) > 0) {
      }
    });
  }
  void drop() const {
    for_each_file([](int fd) { EXPECT_EQ(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0); });
  }
  /// Bytes that the files of the step have in the page cache.
  [[nodiscard]] std::uint64_t cached() const {
    std::uint64_t bytes = 0;
    for_each_file([&](int fd) {
      engine::IoRequest request(engine::IoOp::cached);
      request.fd = fd;
      request.length = fs::file_size("/proc/self/fd/" + std::to_string(fd));
      const engine::IoResult result =
          engine::async_io(options_.engine, std::move(request), boost::asio::use_future).get();
      bytes += static_cast<std::uint64_t>(result.value);
    });
    return bytes;
  }
  void expect_restored(CheckpointManager& manager) const {
    EXPECT_EQ(manager.restore(0).get().tree(), counting());
  }

  ManagerOptions options_ = options();
};

TEST_P(CachedRead, RestoreTakesFilesOfThePageCacheFromThere) {
  if (!save()) GTEST_SKIP() << "this file system has no direct I/O";
  read_all();
  CheckpointManager manager(root(), options_);
  const std::uint64_t before = options_.engine->stats().files_buffered;
  expect_restored(manager);
  const std::uint64_t warm = options_.engine->stats().files_buffered - before;
  drop();
  expect_restored(manager);
  const std::uint64_t cold = options_.engine->stats().files_buffered - before - warm;
  EXPECT_GT(warm, cold);
}

TEST_P(CachedRead, ElementsOfThePageCacheDoNotNeedTheWindow) {
  if (!save()) GTEST_SKIP() << "this file system has no direct I/O";
  read_all();
  const ManagerOptions fresh = options();
  const CheckpointManager manager(root(), fresh);
  EXPECT_EQ(manager.restore(0).get().tree(), counting());
  EXPECT_GE(fresh.engine->stats().bytes_read, kElements * sizeof(std::uint32_t));
  EXPECT_EQ(fresh.engine->stats().window.peak_bytes, 0u);
}

TEST_P(CachedRead, AChangedByteInThePageCacheIsFound) {
  // Zarr v3 has the checksum behind the elements, v2 none of its own.
  for (const Layout layout : {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2}) {
    fs::remove_all(root());
    options_.layout = layout;
    if (!save()) GTEST_SKIP() << "this file system has no direct I/O";
    for (const auto& entry : fs::directory_iterator(fs::path(root()) / "0/default/d")) {
      if (entry.file_size() < kElements) continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(1'000'000);
      file.put('!');
    }
    read_all();
    CheckpointManager manager(root(), options_);
    const Error error = error_of(manager.restore(0));
    EXPECT_EQ(error.code(), ErrorCode::data_loss);
    EXPECT_EQ(error.context().key_path, "w");
  }
}

TEST_P(CachedRead, RestoreLeavesNoDataInThePageCache) {
  if (!save()) GTEST_SKIP() << "this file system has no direct I/O";
  drop();
  CheckpointManager manager(root(), options_);
  expect_restored(manager);
  EXPECT_LT(cached(), kElements * sizeof(std::uint32_t) / 2);
}

TEST_P(CachedRead, VerifyAsksTheDisk) {
  if (!save()) GTEST_SKIP() << "this file system has no direct I/O";
  read_all();
  const std::uint64_t before = options_.engine->stats().files_direct;
  EXPECT_TRUE(verify_step(options_.engine, root() + "/0").get().damages.empty());
  EXPECT_GT(options_.engine->stats().files_direct, before);
}

CAIRN_ON_EVERY_BACKEND(CachedRead);

}  // namespace
}  // namespace cairn

// What every IoBackend must do, decorated or not.

#include <cairn/engine/faulty_backend.h>
#include <cairn/engine/io_backend.h>
#include <cairn/engine/recording_backend.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/backends.h"
#include "support/files.h"
#include "support/io_calls.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

using engine::BackendKind;
using engine::FileType;
using engine::IoBackend;
using engine::IoOp;
using engine::IoRequest;
using engine::IoResult;
using ::testing::UnorderedElementsAre;

struct Variant {
  std::string name;
  std::function<std::unique_ptr<IoBackend>(const std::string& root, unsigned queue_depth)> make;
};

std::vector<Variant> variants() {
  std::vector<Variant> all;
  for (const BackendKind kind : backend_kinds()) {
    all.push_back({to_string(kind), [kind](const std::string&, unsigned queue_depth) {
                     return make_backend(kind, queue_depth);
                   }});
    all.push_back({to_string(kind) + "_faulty", [kind](const std::string&, unsigned queue_depth) {
                     return engine::make_faulty_backend(make_backend(kind, queue_depth),
                                                        std::make_shared<engine::FaultPlan>());
                   }});
    all.push_back(
        {to_string(kind) + "_recording", [kind](const std::string& root, unsigned queue_depth) {
           return engine::make_recording_backend(make_backend(kind, queue_depth),
                                                 std::make_shared<engine::Recording>(root));
         }});
  }
  return all;
}

class IoBackendConformance : public ::testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    backend_ = GetParam().make(temp_.string(), 16);
    calls_ = std::make_unique<Calls>(*backend_);
    root_ = calls_->open_directory(temp_.string());
    ASSERT_GE(root_, 0);
  }
  void TearDown() override {
    EXPECT_EQ(calls_->close(root_), 0);
    EXPECT_TRUE(backend_->shut_down(-1));
  }
  void put(const std::string& name, std::string_view bytes) {
    std::ofstream(temp_ / name, std::ios::binary) << bytes;
  }
  std::string get(const std::string& name) { return test::read_file(temp_ / name); }
  engine::FileStatus status(const std::string& name) {
    const IoResult result = call(*backend_, path_request(IoOp::stat, root_, name));
    EXPECT_EQ(result.value, 0) << name;
    return result.status;
  }

  TempDirectory temp_;
  std::unique_ptr<IoBackend> backend_;
  std::unique_ptr<Calls> calls_;
  int root_ = -1;
};

TEST_P(IoBackendConformance, WritesAndReadsAtOffsets) {
  const int fd = calls_->create(root_, "file");
  ASSERT_GE(fd, 0);
  EXPECT_EQ(calls_->write(fd, 0, "hello world"), 11);
  EXPECT_EQ(calls_->write(fd, 6, "there"), 5);
  std::array<char, 32> buffer{};
  EXPECT_EQ(call(*backend_, read_request(fd, 6, buffer)).value, 5);
  EXPECT_EQ(std::string_view(buffer.data(), 5), "there");
  EXPECT_EQ(call(*backend_, read_request(fd, 11, buffer)).value, 0);
  EXPECT_EQ(calls_->close(fd), 0);
  EXPECT_EQ(get("file"), "hello there");
}

TEST_P(IoBackendConformance, DescriptorsAreClosedOnExec) {
  const int fd = calls_->create(root_, "file");
  ASSERT_GE(fd, 0);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(calls_->close(fd), 0);
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST_P(IoBackendConformance, OpenReportsWhyItFailed) {
  put("file", "x");
  std::filesystem::create_symlink("file", temp_ / "alias");
  EXPECT_EQ(calls_->open(root_, "missing", O_RDONLY), -ENOENT);
  EXPECT_EQ(calls_->create(root_, "file"), -EEXIST);
  EXPECT_EQ(calls_->open(root_, "file/below", O_RDONLY), -ENOTDIR);
  EXPECT_EQ(calls_->open(root_, "alias", O_RDONLY | O_NOFOLLOW), -ELOOP);
  EXPECT_EQ(calls_->open(root_, std::string(300, 'n'), O_RDONLY), -ENAMETOOLONG);
}

TEST_P(IoBackendConformance, OpenBeneathNeverLeavesTheDirectory) {
  std::filesystem::create_directories(temp_ / "inner/deep");
  put("secret", "x");
  put("inner/deep/file", "y");
  std::filesystem::create_symlink("../secret", temp_ / "inner/escape");
  const int inner = calls_->open(root_, "inner", O_RDONLY | O_DIRECTORY, true);
  ASSERT_GE(inner, 0);
  EXPECT_EQ(calls_->open(inner, "../secret", O_RDONLY, true), -EXDEV);
  EXPECT_EQ(calls_->open(inner, "escape", O_RDONLY, true), -EXDEV);
  EXPECT_EQ(calls_->open(inner, temp_.string() + "/secret", O_RDONLY, true), -EXDEV);
  const int fd = calls_->open(inner, "deep/file", O_RDONLY, true);
  EXPECT_GE(fd, 0);
  EXPECT_EQ(calls_->close(fd), 0);
  EXPECT_EQ(calls_->close(inner), 0);
}

TEST_P(IoBackendConformance, AllocateGrowsTheFile) {
  const int fd = calls_->create(root_, "file");
  const auto value = call(*backend_, range_request(IoOp::allocate, fd, 0, 1 << 20)).value;
  if (value == -EOPNOTSUPP) GTEST_SKIP() << "this file system cannot reserve blocks";
  EXPECT_EQ(value, 0);
  EXPECT_EQ(status("file").size, 1u << 20);
  EXPECT_EQ(call(*backend_, range_request(IoOp::allocate, fd, 0, 0)).value, -EINVAL);
  EXPECT_EQ(calls_->close(fd), 0);
}

TEST_P(IoBackendConformance, TruncateSetsTheLength) {
  const int fd = calls_->create(root_, "file");
  EXPECT_EQ(calls_->write(fd, 0, "hello world"), 11);
  EXPECT_EQ(calls_->truncate(fd, 5), 0);
  EXPECT_EQ(get("file"), "hello");
  EXPECT_EQ(calls_->truncate(fd, 7), 0);
  EXPECT_EQ(get("file"), std::string("hello\0\0", 7));
  EXPECT_EQ(calls_->close(fd), 0);
}

TEST_P(IoBackendConformance, SyncsAndWriteBackSucceedOnFilesAndDirectories) {
  const int fd = calls_->create(root_, "file");
  EXPECT_EQ(calls_->write(fd, 0, std::string(10'000, 'x')), 10'000);
  for (const int flags : {0, engine::kWriteBackWait}) {
    IoRequest request = range_request(IoOp::write_back, fd, 0, 10'000);
    request.flags = flags;
    EXPECT_EQ(call(*backend_, std::move(request)).value, 0);
  }
  EXPECT_EQ(calls_->sync_data(fd), 0);
  EXPECT_EQ(calls_->sync_all(fd), 0);
  EXPECT_EQ(calls_->sync_all(root_), 0);
  EXPECT_EQ(calls_->close(fd), 0);
}

TEST_P(IoBackendConformance, CachedTellsWhatIsInThePageCache) {
  const int fd = calls_->create(root_, "file");
  constexpr std::uint64_t kBytes = 1'000'001;  // of several pages, the last one in part
  EXPECT_EQ(calls_->write(fd, 0, std::string(kBytes, 'x')), std::int64_t{kBytes});
  const auto cached = [&](std::uint64_t offset, std::uint64_t length) {
    return call(*backend_, range_request(IoOp::cached, fd, offset, length)).value;
  };
  EXPECT_EQ(cached(0, kBytes), std::int64_t{kBytes});
  EXPECT_EQ(cached(5000, 10), 10);
  EXPECT_EQ(cached(0, 0), 0);
  EXPECT_EQ(calls_->sync_all(fd), 0);
  struct statfs file_system {};
  ASSERT_EQ(::fstatfs(fd, &file_system), 0);
  if (file_system.f_type != TMPFS_MAGIC) {
    ASSERT_EQ(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    EXPECT_EQ(cached(0, kBytes), 0);
    std::array<char, 1> byte{};
    EXPECT_EQ(call(*backend_, read_request(fd, 0, byte)).value, 1);
    EXPECT_GT(cached(0, 1), 0);
    EXPECT_LT(cached(0, kBytes), std::int64_t{kBytes});
  }
  EXPECT_EQ(calls_->close(fd), 0);
}

TEST_P(IoBackendConformance, OperationsOnAClosedDescriptorFailWithEbadf) {
  constexpr int kNoSuchDescriptor = 1'000'000;
  std::array<char, 8> buffer{};
  EXPECT_EQ(call(*backend_, read_request(kNoSuchDescriptor, 0, buffer)).value, -EBADF);
  EXPECT_EQ(calls_->write(kNoSuchDescriptor, 0, "x"), -EBADF);
  EXPECT_EQ(call(*backend_, range_request(IoOp::cached, kNoSuchDescriptor, 0, 1)).value, -EBADF);
  EXPECT_EQ(calls_->truncate(kNoSuchDescriptor, 0), -EBADF);
  EXPECT_EQ(calls_->sync_data(kNoSuchDescriptor), -EBADF);
  EXPECT_EQ(calls_->sync_all(kNoSuchDescriptor), -EBADF);
  EXPECT_EQ(calls_->close(kNoSuchDescriptor), -EBADF);
  EXPECT_EQ(calls_->path(IoOp::list, kNoSuchDescriptor, ""), -EBADF);
  EXPECT_EQ(calls_->path(IoOp::stat, kNoSuchDescriptor, ""), -EBADF);
  EXPECT_EQ(calls_->make_directory(kNoSuchDescriptor, "x"), -EBADF);
}

TEST_P(IoBackendConformance, MakesAndRemovesDirectories) {
  EXPECT_EQ(calls_->make_directory(root_, "dir"), 0);
  EXPECT_EQ(status("dir").type, FileType::directory);
  EXPECT_EQ(calls_->make_directory(root_, "dir"), -EEXIST);
  put("dir/file", "x");
  EXPECT_EQ(calls_->path(IoOp::remove_directory, root_, "dir"), -ENOTEMPTY);
  EXPECT_EQ(calls_->path(IoOp::unlink, root_, "dir"), -EISDIR);
  EXPECT_EQ(calls_->path(IoOp::unlink, root_, "dir/file"), 0);
  EXPECT_EQ(calls_->path(IoOp::unlink, root_, "dir/file"), -ENOENT);
  EXPECT_EQ(calls_->path(IoOp::remove_directory, root_, "dir"), 0);
  EXPECT_FALSE(std::filesystem::exists(temp_ / "dir"));
}

TEST_P(IoBackendConformance, RenameNeverReplaces) {
  put("a", "A");
  put("b", "B");
  EXPECT_EQ(calls_->pair(IoOp::rename, root_, "a", root_, "b"), -EEXIST);
  EXPECT_EQ(get("b"), "B");
  EXPECT_EQ(calls_->pair(IoOp::rename, root_, "a", root_, "c"), 0);
  EXPECT_EQ(get("c"), "A");
  EXPECT_EQ(calls_->pair(IoOp::rename, root_, "a", root_, "d"), -ENOENT);
}

TEST_P(IoBackendConformance, ReplaceTakesTheNameOver) {
  put("a", "A");
  put("b", "B");
  EXPECT_EQ(calls_->pair(IoOp::replace, root_, "a", root_, "b"), 0);
  EXPECT_EQ(get("b"), "A");
  EXPECT_FALSE(std::filesystem::exists(temp_ / "a"));
}

TEST_P(IoBackendConformance, ExchangeSwapsTwoNames) {
  EXPECT_EQ(calls_->make_directory(root_, "dir"), 0);
  put("file", "F");
  EXPECT_EQ(calls_->pair(IoOp::exchange, root_, "dir", root_, "file"), 0);
  EXPECT_EQ(get("dir"), "F");
  EXPECT_EQ(status("file").type, FileType::directory);
  EXPECT_EQ(calls_->pair(IoOp::exchange, root_, "dir", root_, "missing"), -ENOENT);
}

TEST_P(IoBackendConformance, LinkGivesAFileASecondName) {
  put("a", "A");
  EXPECT_EQ(calls_->pair(IoOp::link, root_, "a", root_, "b"), 0);
  EXPECT_EQ(status("a").inode, status("b").inode);
  EXPECT_EQ(status("a").links, 2u);
  EXPECT_EQ(calls_->pair(IoOp::link, root_, "a", root_, "b"), -EEXIST);
}

TEST_P(IoBackendConformance, ListNamesEveryEntryWithItsType) {
  put("file", "x");
  std::filesystem::create_directory(temp_ / "dir");
  std::filesystem::create_symlink("file", temp_ / "alias");
  for (int round = 0; round < 2; ++round) {  // a list leaves no position behind
    const IoResult result = call(*backend_, path_request(IoOp::list, root_, ""));
    ASSERT_EQ(result.value, 0);
    std::vector<std::pair<std::string, FileType>> found;
    for (const auto& entry : result.entries) found.emplace_back(entry.name, entry.type);
    EXPECT_THAT(found, UnorderedElementsAre(std::pair("file", FileType::regular),
                                            std::pair("dir", FileType::directory),
                                            std::pair("alias", FileType::symlink)));
  }
}

TEST_P(IoBackendConformance, StatDescribesEntriesAndDescriptors) {
  put("file", "12345");
  std::filesystem::create_symlink("file", temp_ / "alias");
  ::chmod((temp_ / "file").c_str(), 0640);
  struct ::stat expected {};
  ASSERT_EQ(::stat((temp_ / "file").c_str(), &expected), 0);
  const engine::FileStatus file = status("file");
  EXPECT_EQ(file.type, FileType::regular);
  EXPECT_EQ(file.size, 5u);
  EXPECT_EQ(file.mode, 0640u);
  EXPECT_EQ(file.links, 1u);
  EXPECT_EQ(file.inode, expected.st_ino);
  EXPECT_EQ(file.modified_ns, expected.st_mtim.tv_sec * 1'000'000'000 + expected.st_mtim.tv_nsec);
  EXPECT_EQ(status("alias").type, FileType::symlink);
  EXPECT_EQ(status("").type, FileType::directory);
  EXPECT_EQ(status("").device, file.device);
  EXPECT_EQ(calls_->path(IoOp::stat, root_, "missing"), -ENOENT);
}

TEST_P(IoBackendConformance, LockNeverWaits) {
  put("lock", "");
  const int first = calls_->open(root_, "lock", O_RDWR);
  const int second = calls_->open(root_, "lock", O_RDWR);
  const auto lock = [this](int fd, int how) {
    IoRequest request = range_request(IoOp::lock, fd, 0, 0);
    request.flags = how;
    return call(*backend_, std::move(request)).value;
  };
  EXPECT_EQ(lock(first, LOCK_EX), 0);
  EXPECT_EQ(lock(second, LOCK_EX), -EWOULDBLOCK);
  EXPECT_EQ(lock(first, LOCK_SH), 0);
  EXPECT_EQ(lock(second, LOCK_SH), 0);
  EXPECT_EQ(lock(first, LOCK_UN), 0);
  EXPECT_EQ(lock(second, LOCK_EX), 0);
  EXPECT_EQ(calls_->close(first), 0);
  EXPECT_EQ(calls_->close(second), 0);
}

TEST_P(IoBackendConformance, ManyOperationsFromManyThreadsAllComplete) {
  constexpr int kThreads = 4;
  constexpr int kPerThread = 200;
  const int fd = calls_->create(root_, "file");
  std::vector<std::thread> threads;
  std::vector<int> bad(kThreads, 0);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, fd, t, &bad] {
      const std::string block(512, static_cast<char>('a' + t));
      std::deque<TestOperation> operations;
      for (int i = 0; i < kPerThread; ++i) {
        operations.emplace_back(
            write_request(fd, static_cast<std::uint64_t>(i * kThreads + t) * 512, block));
        backend_->submit(&operations.back());
      }
      for (TestOperation& operation : operations) {
        if (operation.wait().value != 512) ++bad[static_cast<std::size_t>(t)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(bad, ::testing::Each(0));
  const std::string content = get("file");
  ASSERT_EQ(content.size(), 512u * kThreads * kPerThread);
  for (std::size_t at = 0; at < content.size(); at += 512) {
    ASSERT_EQ(content[at], static_cast<char>('a' + (at / 512) % kThreads)) << at;
  }
  EXPECT_EQ(calls_->close(fd), 0);
}

TEST_P(IoBackendConformance, EveryOperationCompletesOnceAlsoWhenCancelled) {
  const int fd = calls_->create(root_, "file");
  const std::string block(4096, 'x');
  std::deque<TestOperation> operations;
  for (std::uint64_t i = 0; i < 300; ++i) {
    operations.emplace_back(write_request(fd, i * 4096, block));
    backend_->submit(&operations.back());
  }
  for (TestOperation& operation : operations) backend_->cancel(&operation);
  for (TestOperation& operation : operations) {
    const std::int64_t value = operation.wait().value;
    EXPECT_TRUE(value == 4096 || value == -ECANCELED) << value;
  }
  EXPECT_EQ(calls_->sync_all(fd), 0);  // behind all of them
  for (TestOperation& operation : operations) EXPECT_EQ(operation.completions(), 1);
  TestOperation stranger(write_request(fd, 0, block));
  backend_->cancel(&stranger);  // was never submitted: ignored
  EXPECT_EQ(calls_->close(fd), 0);
}

TEST_P(IoBackendConformance, ShutDownWaitsForWhatIsUnderWay) {
  const int fd = calls_->create(root_, "file");
  const std::string block(1 << 20, 'x');
  std::deque<TestOperation> operations;
  for (std::uint64_t i = 0; i < 8; ++i) {
    operations.emplace_back(write_request(fd, i << 20, block));
    backend_->submit(&operations.back());
  }
  EXPECT_TRUE(backend_->shut_down(-1));
  for (TestOperation& operation : operations) {
    EXPECT_EQ(operation.completions(), 1);
    EXPECT_EQ(operation.result.value, 1 << 20);
  }
  const IoResult refused = call(*backend_, write_request(fd, 0, "x"));
  EXPECT_EQ(refused.value, -ESHUTDOWN);
  EXPECT_TRUE(refused.refused);
  EXPECT_EQ(calls_->path(IoOp::list, root_, ""), -ESHUTDOWN);
  ::close(fd);
  ::close(root_);
  backend_ = GetParam().make(temp_.string(), 16);
  calls_ = std::make_unique<Calls>(*backend_);
  root_ = calls_->open_directory(temp_.string());
}

INSTANTIATE_TEST_SUITE_P(Backends, IoBackendConformance, ::testing::ValuesIn(variants()),
                         [](const auto& variant) { return variant.param.name; });

}  // namespace
}  // namespace cairn::test

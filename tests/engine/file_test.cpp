// Files and directories on an engine, on both backends.

#include <cairn/engine/error.h>
#include <cairn/engine/file.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "support/backends.h"
#include "support/files.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

namespace asio = boost::asio;
using asio::use_future;
using engine::DirectIo;
using engine::Directory;
using engine::Engine;
using engine::Errc;
using engine::error_code;
using engine::File;
using engine::OpenMode;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// The error that the handler of what `start` starts is given. No exception crosses threads here:
// ThreadSanitizer does not see the reference count of exception_ptr, which is inside libstdc++.
template <class Start>
error_code error_of(Start start) {
  std::promise<error_code> promise;
  start([&promise](error_code error, auto&&...) { promise.set_value(error); });
  return promise.get_future().get();
}

struct FreeDeleter {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using AlignedBytes = std::unique_ptr<std::byte, FreeDeleter>;
AlignedBytes aligned_bytes(std::size_t size) {
  return AlignedBytes(static_cast<std::byte*>(std::aligned_alloc(4096, size)));
}

class FileTest : public ::testing::TestWithParam<engine::BackendKind> {
 protected:
  void SetUp() override {
    engine::EngineOptions options;
    options.io_backend = make_backend(GetParam());
    options.staging_bytes = 1 << 20;
    options.io_window_bytes = 1 << 20;
    options.cpu_threads = 1;
    engine_ = Engine::create(std::move(options));
    root_ = Directory::async_open(engine_, temp_.string(), use_future).get();
  }
  File open(const std::string& name, OpenMode mode, DirectIo direct = DirectIo::off) {
    return root_.async_open_file(name, mode, direct, use_future).get();
  }
  void put(const std::string& name, std::string_view content) {
    std::ofstream(temp_ / name, std::ios::binary) << content;
  }
  std::string get(const std::string& name) { return test::read_file(temp_ / name); }

  TempDirectory temp_;
  std::shared_ptr<Engine> engine_;
  Directory root_;
};

TEST_P(FileTest, WritesSyncsAndReadsBack) {
  File file = open("file", OpenMode::create);
  EXPECT_FALSE(file.direct());
  EXPECT_EQ(file.alignment(), 1u);
  file.async_allocate(64, use_future).get();
  EXPECT_EQ(file.async_write_at(3, bytes_of("content"), use_future).get(), 7u);
  file.async_truncate(10, use_future).get();
  file.async_sync(use_future).get();
  EXPECT_EQ(file.async_stat(use_future).get().size, 10u);
  file.async_close(use_future).get();
  EXPECT_FALSE(file);

  File again = open("file", OpenMode::read);
  std::vector<std::byte> buffer(32);
  EXPECT_EQ(again.async_read_at(3, buffer, use_future).get(), 7u);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(buffer.data()), 7), "content");
}

TEST_P(FileTest, CreateNeverTouchesAnExistingFile) {
  put("file", "precious");
  EXPECT_EQ(error_of([&](auto token) {
              root_.async_open_file("file", OpenMode::create, DirectIo::off, token);
            }),
            error_code(EEXIST, boost::system::system_category()));
  const File lock = open("file", OpenMode::create_lock);
  EXPECT_EQ(get("file"), "precious");
}

TEST_P(FileTest, FilesAreNotOpenedThroughSymlinksOrOutsideTheDirectory) {
  put("file", "x");
  std::filesystem::create_symlink("file", temp_ / "alias");
  const auto open_error = [this](const char* name) {
    return error_of([&](auto token) {
             root_.async_open_file(name, OpenMode::read, DirectIo::off, token);
           })
        .value();
  };
  EXPECT_EQ(open_error("alias"), ELOOP);
  EXPECT_EQ(open_error("../file"), EXDEV);
}

TEST_P(FileTest, WhatIsNoRegularFileIsRefusedWithoutWaiting) {
  ASSERT_EQ(::mkfifo((temp_ / "fifo").c_str(), 0600), 0);
  std::filesystem::create_directory(temp_ / "dir");
  const auto open_error = [this](const char* name, OpenMode mode, DirectIo direct) {
    return error_of([&](auto token) { root_.async_open_file(name, mode, direct, token); });
  };
  for (const DirectIo direct : {DirectIo::off, DirectIo::automatic}) {
    EXPECT_EQ(open_error("fifo", OpenMode::read, direct), Errc::not_a_regular_file);
    EXPECT_EQ(open_error("dir", OpenMode::read, direct), Errc::not_a_regular_file);
    EXPECT_EQ(open_error("fifo", OpenMode::create_lock, direct), Errc::not_a_regular_file);
  }
  EXPECT_TRUE(std::filesystem::is_fifo(temp_ / "fifo")) << "what was there is nobody's to remove";
}

TEST_P(FileTest, TransfersOfWhatWasThereMayWait) {
  put("file", "x");
  for (const OpenMode mode : {OpenMode::read, OpenMode::create_lock}) {
    for (const DirectIo direct : {DirectIo::off, DirectIo::automatic}) {
      const File file = open("file", mode, direct);
      const int flags = ::fcntl(file.fd(), F_GETFL);
      ASSERT_GE(flags, 0);
      // io_uring answers EAGAIN where a file system would have to.
      EXPECT_EQ(flags & O_NONBLOCK, 0);
      EXPECT_EQ((flags & O_DIRECT) != 0, file.direct());
    }
  }
}

TEST_P(FileTest, DirectFilesStateTheirAlignmentAndRefuseMisalignedRequests) {
  File file = open("file", OpenMode::create, DirectIo::automatic);
  if (!file.direct()) GTEST_SKIP() << "no direct I/O on " << temp_.string();
  ASSERT_GT(file.alignment(), 1u);
  const AlignedBytes memory = aligned_bytes(2 * 4096);
  std::fill_n(memory.get(), 2 * 4096, std::byte{0x5a});
  const std::span<const std::byte> block(memory.get(), 4096);
  EXPECT_EQ(file.async_write_at(4096, block, use_future).get(), 4096u);
  const auto misaligned = make_error_code(Errc::misaligned_request);
  EXPECT_EQ(error_of([&](auto token) { file.async_write_at(1, block, token); }), misaligned);
  EXPECT_EQ(error_of([&](auto token) { file.async_write_at(0, block.first(100), token); }),
            misaligned);
  EXPECT_EQ(error_of([&](auto token) {
              file.async_write_at(0, std::span<const std::byte>(memory.get() + 8, 4096), token);
            }),
            misaligned);
  EXPECT_EQ(std::filesystem::file_size(temp_ / "file"), 2 * 4096u);
  EXPECT_EQ(engine_->stats().files_direct, 1u);
}

TEST_P(FileTest, DirectReadEndsWhereTheFileEnds) {
  put("file", std::string(5000, 'r'));
  File file = open("file", OpenMode::read, DirectIo::automatic);
  const AlignedBytes memory = aligned_bytes(4 * 4096);
  EXPECT_EQ(file.async_read_at(0, std::span(memory.get(), 4 * 4096), use_future).get(), 5000u);
  EXPECT_EQ(memory.get()[4999], std::byte{'r'});
}

TEST_P(FileTest, WhatThePageCacheHasIsReadWithoutAnOperation) {
  engine::EngineOptions options;
  options.backend.kind = GetParam();
  options.staging_bytes = options.io_window_bytes = 1 << 20;
  const auto plain = Engine::create(std::move(options));
  std::string text(100'000, 'x');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7);
  put("cached", text);
  const auto open = [&](const std::shared_ptr<Engine>& with, DirectIo direct) {
    Directory directory = Directory::async_open(with, temp_.string(), use_future).get();
    return directory.async_open_file("cached", OpenMode::read, direct, use_future).get();
  };
  const auto read = [&](const File& file, std::uint64_t offset, std::size_t bytes) {
    std::string found(bytes, '?');
    found.resize(file.read_cached(offset, std::as_writable_bytes(std::span(found))));
    return found;
  };
  const File file = open(plain, DirectIo::off);
  const engine::EngineStats before = plain->stats();
  if (read(file, 0, 1).empty()) GTEST_SKIP() << "this file system cannot tell what is cached";
  EXPECT_EQ(read(file, 0, text.size()), text);
  EXPECT_EQ(read(file, 5000, 11), text.substr(5000, 11));
  EXPECT_EQ(read(file, text.size() - 3, 10), text.substr(text.size() - 3)) << "to the file's end";
  EXPECT_EQ(read(file, text.size(), 10), "");
  const engine::EngineStats after = plain->stats();
  EXPECT_EQ(after.operations_submitted, before.operations_submitted);
  EXPECT_EQ(after.bytes_read - before.bytes_read, 1 + text.size() + 11 + 3);
  // Where somebody watches the operations, they are what reads.
  EXPECT_EQ(read(open(engine_, DirectIo::off), 0, 10), "");
  const File direct = open(plain, DirectIo::automatic);
  EXPECT_EQ(read(direct, 0, 4096).empty(), direct.direct());
}

TEST_P(FileTest, WritesAboveTheWriteBackWindowKeepTheirContent) {
  constexpr std::size_t kChunk = 8u << 20;
  constexpr std::size_t kChunks = 10;  // 80 MiB: two windows are written back
  File file = open("file", OpenMode::create);
  std::vector<std::byte> chunk(kChunk);
  for (std::size_t i = 0; i < kChunks; ++i) {
    std::fill(chunk.begin(), chunk.end(), static_cast<std::byte>(i + 1));
    ASSERT_EQ(file.async_write_at(i * kChunk, chunk, use_future).get(), kChunk);
  }
  file.async_sync(use_future).get();
  const std::string content = get("file");
  ASSERT_EQ(content.size(), kChunk * kChunks);
  for (std::size_t at = 0; at < content.size(); at += 4096) {
    ASSERT_EQ(content[at], static_cast<char>(at / kChunk + 1)) << at;
  }
}

TEST_P(FileTest, LocksExcludeOtherOpenFiles) {
  File first = open("lock", OpenMode::create_lock);
  File second = open("lock", OpenMode::create_lock);
  first.async_lock(true, use_future).get();
  EXPECT_EQ(error_of([&](auto token) { second.async_lock(true, token); }).value(), EWOULDBLOCK);
  first.async_unlock(use_future).get();
  second.async_lock(false, use_future).get();
}

TEST_P(FileTest, DirectoriesMakeListRenameAndRemove) {
  root_.async_make_directory("dir", 0755, use_future).get();
  Directory inner = root_.async_open_directory("dir", use_future).get();
  put("dir/a", "A");
  put("b", "B");
  inner.async_rename("a", root_, "c", use_future).get();
  EXPECT_EQ(error_of([&](auto token) { root_.async_rename("b", root_, "c", token); }).value(),
            EEXIST);
  root_.async_exchange("b", root_, "c", use_future).get();
  EXPECT_EQ(get("b"), "A");
  root_.async_link("b", inner, "linked", use_future).get();
  EXPECT_EQ(root_.async_stat("b", use_future).get().links, 2u);
  EXPECT_EQ(root_.async_stat("", use_future).get().type, engine::FileType::directory);
  inner.async_unlink("linked", use_future).get();
  inner.async_sync(use_future).get();
  EXPECT_TRUE(inner.async_list(use_future).get().empty());
  root_.async_remove_directory("dir", use_future).get();
  std::vector<std::string> names;
  for (const auto& entry : root_.async_list(use_future).get()) names.push_back(entry.name);
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("b", "c"));
}

TEST_P(FileTest, NamesOfEntriesNeverLeadOutOfTheDirectory) {
  std::filesystem::create_directory(temp_ / "dir");
  std::filesystem::create_directory_symlink(temp_.path(), temp_ / "dir/up");
  put("secret", "x");
  Directory dir = root_.async_open_directory("dir", use_future).get();
  const auto value_of = [](auto start) { return error_of(start).value(); };
  for (const std::string bad : {"../secret", "up/secret", "..", ".", "", "a/b"}) {
    EXPECT_EQ(value_of([&](auto token) { dir.async_unlink(bad, token); }), EINVAL) << bad;
    EXPECT_EQ(value_of([&](auto token) { dir.async_remove_directory(bad, token); }), EINVAL);
    EXPECT_EQ(value_of([&](auto token) { dir.async_make_directory(bad, 0755, token); }), EINVAL);
    EXPECT_EQ(value_of([&](auto token) { dir.async_rename(bad, dir, "x", token); }), EINVAL);
    EXPECT_EQ(value_of([&](auto token) { root_.async_rename("secret", dir, bad, token); }), EINVAL);
    EXPECT_EQ(value_of([&](auto token) { dir.async_exchange(bad, dir, "up", token); }), EINVAL);
    EXPECT_EQ(value_of([&](auto token) { root_.async_link("secret", dir, bad, token); }), EINVAL);
    if (!bad.empty()) {
      EXPECT_EQ(value_of([&](auto token) { dir.async_stat(bad, token); }), EINVAL) << bad;
    }
  }
  EXPECT_EQ(get("secret"), "x");
}

TEST_P(FileTest, AsyncIoDeliversTheWholeResult) {
  put("file", "12345");
  engine::IoRequest request(engine::IoOp::stat);
  request.fd = root_.fd();
  request.path = "file";
  const engine::IoResult result = engine::async_io(engine_, std::move(request), use_future).get();
  EXPECT_EQ(result.status.size, 5u);
}

asio::awaitable<std::size_t> write_in_coroutine(std::shared_ptr<Engine> engine, std::string path) {
  Directory root = co_await Directory::async_open(engine, path, asio::use_awaitable);
  File file =
      co_await root.async_open_file("file", OpenMode::create, DirectIo::off, asio::use_awaitable);
  const std::string text = "from a coroutine";
  const std::size_t written = co_await file.async_write_at(0, bytes_of(text), asio::use_awaitable);
  co_await file.async_close(asio::use_awaitable);
  co_await root.async_sync(asio::use_awaitable);
  co_return written;
}

TEST_P(FileTest, RunsInCoroutinesOnTheStrand) {
  EXPECT_EQ(
      asio::co_spawn(engine_->executor(), write_in_coroutine(engine_, temp_.string()), use_future)
          .get(),
      16u);
  EXPECT_EQ(get("file"), "from a coroutine");
}

TEST_P(FileTest, HandlersRunOnTheirOwnExecutorWhoseWorkIsTracked) {
  asio::io_context context;
  std::thread::id ran_on;
  root_.async_sync(asio::bind_executor(context.get_executor(), [&](error_code error) {
    EXPECT_FALSE(error);
    ran_on = std::this_thread::get_id();
  }));
  context.run();  // returns only when the handler has run
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST_P(FileTest, HandlersWithoutAnExecutorRunOnTheStrand) {
  std::promise<bool> on_strand;
  root_.async_sync([&](error_code) { on_strand.set_value(engine_->on_strand()); });
  EXPECT_TRUE(on_strand.get_future().get());
}

// Destroys what it is given, as a context does that ends with handlers in its queue.
struct DroppingExecutor {
  template <class Function>
  void execute(Function function) const {
    { const Function gone(std::move(function)); }
    dropped->set_value();
  }
  [[nodiscard]] DroppingExecutor require(asio::execution::blocking_t::never_t) const {
    return *this;
  }
  bool operator==(const DroppingExecutor&) const noexcept = default;
  std::shared_ptr<std::promise<void>> dropped = std::make_shared<std::promise<void>>();
};

TEST_P(FileTest, HandlersThatAreDroppedDoNotLeakDescriptors) {
  put("file", "x");
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator());
  };
  const auto before = descriptors();
  const DroppingExecutor executor;
  root_.async_open_file("file", OpenMode::read, DirectIo::off,
                        asio::bind_executor(executor, [](error_code, File) { FAIL(); }));
  executor.dropped->get_future().wait();
  EXPECT_EQ(descriptors(), before);
}

INSTANTIATE_TEST_SUITE_P(Backends, FileTest, ::testing::ValuesIn(backend_kinds()), backend_name);

}  // namespace
}  // namespace cairn::test

// Which files are opened with direct I/O, by what the kernel says of their alignment.

#include <cairn/engine/error.h>
#include <cairn/engine/file.h>
#include <cairn/engine/internal/decorator.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>

#include "support/backends.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

using boost::asio::use_future;
using engine::DirectIo;
using engine::Directory;
using engine::Engine;
using engine::Errc;
using engine::error_code;
using engine::File;
using engine::IoOp;
using engine::OpenMode;

struct Alignment {
  bool known = false;
  std::uint32_t memory = 0;
  std::uint32_t offset = 0;
};

// A kernel that grants O_DIRECT anywhere and says what the test wants of the alignment.
class AlignmentBackend final : public engine::internal::Decorator {
 public:
  AlignmentBackend(std::unique_ptr<engine::IoBackend> inner, std::shared_ptr<Alignment> says)
      : Decorator(std::move(inner)), says_(std::move(says)) {}
  ~AlignmentBackend() override { shut_down(-1); }

 private:
  bool on_submit(engine::IoRequest& request, Note&, Wrapper*) override {
    if (request.op == IoOp::open) request.flags &= ~O_DIRECT;
    return true;
  }
  void on_complete(engine::IoRequest& request, engine::IoResult& result,
                   const Note&) noexcept override {
    // A file that was let go is closed behind the test's back, while it writes what comes next.
    if (request.op != IoOp::open && request.op != IoOp::stat) return;
    result.status.direct_alignment_known = says_->known;
    result.status.direct_memory_alignment = says_->memory;
    result.status.direct_offset_alignment = says_->offset;
  }

  const std::shared_ptr<Alignment> says_;
};

class DirectIoTest : public ::testing::TestWithParam<engine::BackendKind> {
 protected:
  void SetUp() override {
    engine::EngineOptions options;
    options.io_backend = std::make_unique<AlignmentBackend>(make_backend(GetParam()), says_);
    options.staging_bytes = options.io_window_bytes = 1 << 20;
    options.cpu_threads = 1;
    engine_ = Engine::create(std::move(options));
    root_ = Directory::async_open(engine_, temp_.string(), use_future).get();
  }
  std::pair<error_code, File> open(OpenMode mode, DirectIo direct) {
    std::promise<std::pair<error_code, File>> promise;
    root_.async_open_file("file", mode, direct, [&](error_code error, File file) {
      promise.set_value({error, std::move(file)});
    });
    return promise.get_future().get();
  }

  TempDirectory temp_;
  std::shared_ptr<Alignment> says_ = std::make_shared<Alignment>();
  std::shared_ptr<Engine> engine_;
  Directory root_;
};
INSTANTIATE_TEST_SUITE_P(Backends, DirectIoTest, ::testing::ValuesIn(backend_kinds()),
                         backend_name);

TEST_P(DirectIoTest, TheLargerOfBothAlignmentsCounts) {
  *says_ = {true, 512, 1024};
  const auto [error, file] = open(OpenMode::create, DirectIo::required);
  EXPECT_FALSE(error) << error.message();
  EXPECT_TRUE(file.direct());
  EXPECT_EQ(file.alignment(), 1024u);
}

TEST_P(DirectIoTest, AnUnknownAlignmentIsAPage) {
  *says_ = {false, 0, 0};
  const auto [error, file] = open(OpenMode::create, DirectIo::required);
  EXPECT_FALSE(error) << error.message();
  EXPECT_EQ(file.alignment(), 4096u);
}

// Both ways in which a file that could be opened with O_DIRECT is of no use to the arenas.
const std::vector<Alignment> kUnusable = {{true, 0, 0}, {true, 512, 8192}};

TEST_P(DirectIoTest, AutomaticGoesOnWithoutWhereAlignmentForbidsIt) {
  for (const Alignment& alignment : kUnusable) {
    *says_ = alignment;
    auto [error, file] = open(OpenMode::create, DirectIo::automatic);
    ASSERT_FALSE(error) << error.message();
    EXPECT_FALSE(file.direct());
    EXPECT_EQ(file.alignment(), 1u);
    const std::string text = "abc";
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    EXPECT_EQ(file.async_write_at(1, bytes, use_future).get(), 3u);
    std::filesystem::remove(temp_ / "file");
  }
  EXPECT_EQ(engine_->stats().files_buffered, kUnusable.size());
  EXPECT_EQ(engine_->stats().files_direct, 0u);
}

TEST_P(DirectIoTest, RequiredIsAnErrorThatLeavesNoFileBehind) {
  for (const Alignment& alignment : kUnusable) {
    *says_ = alignment;
    const auto [error, file] = open(OpenMode::create, DirectIo::required);
    EXPECT_EQ(error, make_error_code(Errc::direct_io_unavailable));
    EXPECT_FALSE(file);
    EXPECT_FALSE(std::filesystem::exists(temp_ / "file"));
  }
}

TEST_P(DirectIoTest, RequiredLeavesAFileThatWasThere) {
  std::ofstream(temp_ / "file") << "precious";
  *says_ = kUnusable[0];
  EXPECT_TRUE(open(OpenMode::read, DirectIo::required).first);
  EXPECT_TRUE(open(OpenMode::create_lock, DirectIo::required).first);
  EXPECT_EQ(std::filesystem::file_size(temp_ / "file"), 8u);
}

}  // namespace
}  // namespace cairn::test

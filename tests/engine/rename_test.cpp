// Renames in file systems that lack the flags of renameat2, as the faulty backend plays them.

#include <cairn/engine/error.h>
#include <cairn/engine/faulty_backend.h>
#include <cairn/engine/file.h>
#include <gtest/gtest.h>

#include <boost/asio/use_future.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <string>

#include "support/backends.h"
#include "support/files.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

using boost::asio::use_future;
using engine::Directory;
using engine::error_code;
using engine::FaultPlan;
using engine::IoOp;

class RenameTest : public ::testing::TestWithParam<engine::BackendKind> {
 protected:
  void SetUp() override {
    engine::EngineOptions options;
    options.io_backend = engine::make_faulty_backend(make_backend(GetParam()), faults_);
    options.staging_bytes = 1 << 20;
    options.io_window_bytes = 1 << 20;
    options.cpu_threads = 1;
    engine_ = engine::Engine::create(std::move(options));
    root_ = Directory::async_open(engine_, temp_.string(), use_future).get();
  }
  void put(const std::string& name, const std::string& content) {
    std::ofstream(temp_ / name, std::ios::binary) << content;
  }
  std::string get(const std::string& name) { return test::read_file(temp_ / name); }
  error_code rename(const std::string& from, const std::string& to) {
    std::promise<error_code> ended;
    root_.async_rename(from, root_, to, [&](error_code error) { ended.set_value(error); });
    return ended.get_future().get();
  }
  error_code exchange(const std::string& a, const std::string& b) {
    std::promise<error_code> ended;
    root_.async_exchange(a, root_, b, [&](error_code error) { ended.set_value(error); });
    return ended.get_future().get();
  }

  TempDirectory temp_;
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::shared_ptr<engine::Engine> engine_;
  Directory root_;
};
INSTANTIATE_TEST_SUITE_P(Backends, RenameTest, ::testing::ValuesIn(backend_kinds()), backend_name);

TEST_P(RenameTest, MovesWhereTheFileSystemHasNoNoreplace) {
  for (const int refusal : {EINVAL, ENOSYS, EOPNOTSUPP}) {
    faults_->clear();
    put("a", "content");
    faults_->fail(FaultPlan::only({IoOp::rename}), 1, refusal);
    EXPECT_FALSE(rename("a", "b"));
    EXPECT_EQ(faults_->injected(), 1u);
    EXPECT_EQ(get("b"), "content");
    EXPECT_FALSE(std::filesystem::exists(temp_ / "a"));
    std::filesystem::remove(temp_ / "b");
  }
}

TEST_P(RenameTest, NeverReplacesWhereTheFileSystemHasNoNoreplace) {
  put("a", "new");
  put("b", "old");
  std::filesystem::create_directory(temp_ / "empty");
  faults_->fail(FaultPlan::only({IoOp::rename}), 1, EINVAL, FaultPlan::kForever);
  EXPECT_EQ(rename("a", "b").value(), EEXIST);
  EXPECT_EQ(rename("a", "empty").value(), EEXIST);
  EXPECT_EQ(get("a"), "new");
  EXPECT_EQ(get("b"), "old");
}

TEST_P(RenameTest, DoesNotRenameWhereTheTargetCannotBeLookedFor) {
  put("a", "content");
  faults_->fail(FaultPlan::only({IoOp::rename}), 1, EINVAL);
  faults_->fail(FaultPlan::only({IoOp::stat}), 1, EIO);
  EXPECT_EQ(rename("a", "b").value(), EIO);
  EXPECT_EQ(get("a"), "content");
}

TEST_P(RenameTest, AFailureOtherThanNotKnowingTheFlagIsReported) {
  put("a", "content");
  faults_->fail(FaultPlan::only({IoOp::rename}), 1, EIO);
  EXPECT_EQ(rename("a", "b").value(), EIO);
  EXPECT_EQ(get("a"), "content");
  EXPECT_EQ(rename("missing", "b").value(), ENOENT);
  faults_->fail(FaultPlan::only({IoOp::rename}), 1, EINVAL);
  EXPECT_EQ(rename("missing", "b").value(), ENOENT) << "of the plain rename";
}

TEST_P(RenameTest, AnExchangeThatTheFileSystemLacksChangesNothingAndSaysSo) {
  put("a", "one");
  put("b", "two");
  for (const int refusal : {EINVAL, ENOSYS, EOPNOTSUPP}) {
    faults_->fail(FaultPlan::only({IoOp::exchange}), 1, refusal);
    const error_code error = exchange("a", "b");
    EXPECT_EQ(error, make_error_code(engine::Errc::exchange_unavailable));
    EXPECT_EQ(engine::classify(error), engine::ErrorKind::not_supported);
    EXPECT_EQ(get("a") + get("b"), "onetwo");
    faults_->clear();
  }
  EXPECT_EQ(exchange("a", "missing").value(), ENOENT);
  EXPECT_FALSE(exchange("a", "b"));
  EXPECT_EQ(get("a") + get("b"), "twoone");
}

}  // namespace
}  // namespace cairn::test

// Plain zarr layouts: the order and the number of what is made durable at a time.

#include <filesystem>
#include <mutex>

#include "support/manager_fixture.h"
#include "support/settle.h"
#include "support/weights.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using engine::FaultPlan;
using engine::IoOp;

constexpr std::size_t kArrays = 40;
constexpr std::size_t kAtOnce = 32;

class PlainFolders : public test::ManagerTest {
 protected:
  PlainFolders() {
    test::EngineSettings settings;
    settings.faults = faults_;
    options_ = options(settings);
    options_.layout = Layout::zarr3;
  }
  static std::string path_of(int fd) {
    std::error_code error;
    return fs::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
  }
  static bool is_folder_of_chunks(const std::string& path) { return path.ends_with("/c"); }
  static Tree tree() {
    Dict arrays;
    for (std::size_t i = 0; i < kArrays; ++i) {
      arrays["w" + std::to_string(i)] = Tree(test::normal_float32({300}, i));
    }
    return Tree(std::move(arrays));
  }

  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  ManagerOptions options_;
};
CAIRN_ON_EVERY_BACKEND(PlainFolders);

TEST_P(PlainFolders, AreSyncedSideBySideInnermostFirst) {
  std::mutex mutex;
  std::vector<std::string> synced;
  faults_->fail(
      [&](const engine::IoRequest& request) {
        if (request.op != IoOp::sync_all) return false;
        const std::lock_guard lock(mutex);
        synced.push_back(path_of(request.fd));
        return false;
      },
      1, EIO);
  faults_->hold([](const engine::IoRequest& request) {
    return request.op == IoOp::sync_all && is_folder_of_chunks(path_of(request.fd));
  });
  CheckpointManager manager(root(), options_);
  const SaveFuture save = manager.save(0, tree());
  faults_->wait_until_held(1);
  test::settle(*options_.engine, *faults_);
  EXPECT_EQ(faults_->held(), kAtOnce);
  faults_->release();
  static_cast<void>(save.get());
  const std::lock_guard lock(mutex);
  const auto first_outer = std::ranges::find_if(synced, [](const std::string& path) {
    return path.find("/default/w") != path.npos && !is_folder_of_chunks(path);
  });
  ASSERT_NE(first_outer, synced.end());
  EXPECT_EQ(std::count_if(synced.begin(), first_outer, is_folder_of_chunks),
            static_cast<std::ptrdiff_t>(kArrays));
  EXPECT_EQ(std::count_if(first_outer, synced.end(), is_folder_of_chunks), 0);
}

TEST_P(PlainFolders, ThatCannotBeMadeOrSyncedFailTheSave) {
  CheckpointManager manager(root(), options_);
  for (const IoOp op : {IoOp::make_directory, IoOp::sync_all}) {
    for (const std::uint64_t nth : {5u, 35u, 60u}) {
      SCOPED_TRACE(std::string(engine::to_string(op)) + " " + std::to_string(nth));
      faults_->clear();
      faults_->fail(FaultPlan::only({op}), nth, EIO);
      try {
        static_cast<void>(manager.save(0, tree()).get());
        ADD_FAILURE() << "the save succeeded";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::io_error) << error.what();
      }
      EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock"}));
    }
  }
}

}  // namespace
}  // namespace cairn

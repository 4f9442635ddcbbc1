// What an incremental save takes over from the step before: which of its files it relies on, and
// where it does the work.

#include <cairn/manager/internal/link_source.h>
#include <cairn/manager/internal/start.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <mutex>

#include "support/manager_fixture.h"
#include "support/weights.h"

namespace cairn::internal {
namespace {

namespace fs = std::filesystem;
using engine::FaultPlan;
using engine::IoOp;

class WarningLog final : public Logger {
 public:
  void log(const LogRecord& record) override {
    if (record.level == LogLevel::warning) warnings.push_back(record.message);
  }
  std::vector<std::string> warnings;
};

class LinkedFiles : public test::ManagerTest {
 protected:
  LinkedFiles() {
    settings_.faults = std::make_shared<FaultPlan>();
    // Sees every call and spoils none.
    settings_.faults->fail(
        [this](const engine::IoRequest& request) {
          if (request.op == IoOp::sync_data) note(request.fd);
          return false;
        },
        1, EIO);
  }
  ManagerOptions incremental() {
    ManagerOptions o = options(settings_);
    o.incremental = true;
    o.logger = log_;
    return o;
  }
  /// Name of the one data file of a step.
  [[nodiscard]] std::string data_file(const std::string& below, Step step) const {
    const fs::path item = fs::path(below) / std::to_string(step) / "default";
    std::string text;
    for (const auto& entry : fs::directory_iterator(item / "d")) {
      if (entry.file_size() > tree_bytes_) return entry.path().filename();
    }
    return "none";
  }
  /// How often a file of that name was synced since the last call.
  [[nodiscard]] std::size_t syncs_of(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto count = std::ranges::count(synced_, name);
    synced_.clear();
    return static_cast<std::size_t>(count);
  }

  const Tree tree_ = Tree(Dict{{"w", Tree(test::normal_float32({1 << 18}, 1))}});
  const std::uint64_t tree_bytes_ = 1u << 20;
  test::EngineSettings settings_;
  std::shared_ptr<WarningLog> log_ = std::make_shared<WarningLog>();

 private:
  void note(int fd) {
    std::error_code error;
    const auto path = fs::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
    const std::lock_guard lock(mutex_);
    synced_.push_back(path.filename());
  }
  std::mutex mutex_;
  std::vector<std::string> synced_;
};
CAIRN_ON_EVERY_BACKEND(LinkedFiles);

TEST_P(LinkedFiles, AreSyncedOnceByAManagerThatDidNotWriteThem) {
  {
    CheckpointManager manager(root(), incremental());
    static_cast<void>(manager.save(0, tree_).get());
    static_cast<void>(syncs_of(""));
    EXPECT_GT(manager.save(1, tree_).get().bytes_linked, 0u);
    EXPECT_EQ(syncs_of(data_file(root(), 1)), 0u) << "it was synced before step 0 was committed";
  }
  CheckpointManager another(root(), incremental());
  EXPECT_GT(another.save(2, tree_).get().bytes_linked, 0u);
  EXPECT_EQ(syncs_of(data_file(root(), 2)), 1u);
  EXPECT_GT(another.save(3, tree_).get().bytes_linked, 0u);
  EXPECT_EQ(syncs_of(data_file(root(), 3)), 0u);
  EXPECT_EQ(data_file(root(), 0), data_file(root(), 3));
}

// As where a root is restored from a backup below the eyes of its manager.
TEST_P(LinkedFiles, AreSyncedWhereACopyTookTheirNames) {
  CheckpointManager manager(root(), incremental());
  static_cast<void>(manager.save(0, tree_).get());
  const std::string file = root() + "/0/default/d/" + data_file(root(), 0);
  fs::copy_file(file, file + ".copy");
  fs::rename(file + ".copy", file);
  static_cast<void>(syncs_of(""));
  EXPECT_GT(manager.save(1, tree_).get().bytes_linked, 0u);
  EXPECT_EQ(syncs_of(data_file(root(), 1)), 1u);
}

// `rsync --inplace`; and a copy may get the number of what was removed before.
TEST_P(LinkedFiles, AreSyncedWhereACopyTookTheirInodes) {
  CheckpointManager manager(root(), incremental());
  static_cast<void>(manager.save(0, tree_).get());
  const std::string file = root() + "/0/default/d/" + data_file(root(), 0);
  fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds(1));
  static_cast<void>(syncs_of(""));
  EXPECT_GT(manager.save(1, tree_).get().bytes_linked, 0u);
  EXPECT_EQ(syncs_of(data_file(root(), 1)), 1u);
}

TEST_P(LinkedFiles, AreWrittenAfreshWhereTheyCannotBeSynced) {
  { static_cast<void>(CheckpointManager(root(), incremental()).save(0, tree_).get()); }
  for (const IoOp op : {IoOp::open, IoOp::sync_data}) {
    SCOPED_TRACE(engine::to_string(op));
    CheckpointManager manager(root(), incremental());
    const std::string name = data_file(root(), 0);
    const auto of_the_file = [op, name](const engine::IoRequest& request) {
      if (request.op != op) return false;
      if (op == IoOp::open) return request.path == name;
      std::error_code error;
      return fs::read_symlink("/proc/self/fd/" + std::to_string(request.fd), error).filename() ==
             name;
    };
    settings_.faults->fail(of_the_file, 1, EIO);
    log_->warnings.clear();
    EXPECT_EQ(manager.save(1, tree_).get().bytes_linked, 0u);
    ASSERT_EQ(log_->warnings.size(), 1u);
    EXPECT_THAT(log_->warnings[0], ::testing::HasSubstr("cannot sync"));
    EXPECT_NE(data_file(root(), 1), name);
    EXPECT_EQ(manager.restore(1).get().tree(), tree_);
    manager.delete_step(1).get();
  }
}

// A record of a million chunks is decoded for tens of milliseconds, in which nothing else would
// move.
TEST_P(LinkedFiles, AreFoundByTheCpuPoolAndNotOnTheStrand) {
  { static_cast<void>(CheckpointManager(root(), incremental()).save(0, tree_).get()); }
  auto pool = std::make_shared<engine::ManualPool>(1);
  engine::EngineOptions engine_options;
  engine_options.backend.kind = GetParam();
  engine_options.cpu_pool = pool;
  engine_options.staging_bytes = engine_options.io_window_bytes = 1u << 20;
  const EnginePtr engine = engine::Engine::create(std::move(engine_options));
  PlanSettings plan;
  plan.incremental = true;
  const args::StandardSave save(tree_);
  const ItemLayout layout = plan_item(save, plan);
  const FolderPtr folder = start(engine, open_folder(engine, root()), "open", root()).get();
  const FolderPtr to = start(engine, make_subfolder(folder, "d"), "make", root()).get();
  const SyncedFiles synced;
  DataFiles files(engine, to, layout.open_bytes, 1u << 30);
  LinkSource source(layout, "default", synced);
  Future<std::string> opened =
      start(engine, source.open(folder, StepRules(), &files, 16), "link", root());
  std::size_t tasks = 0;
  while (!opened.ready()) tasks += pool->run_one() ? 1 : 0;
  EXPECT_EQ(opened.get(), "");
  EXPECT_FALSE(source.empty());
  EXPECT_GT(tasks, 0u);
}

}  // namespace
}  // namespace cairn::internal

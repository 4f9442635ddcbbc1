// A save that is cancelled while its n-th operation hangs, for every n: it ends as if it had never
// begun, or it has committed and says so.

#include <cairn/cairn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <filesystem>
#include <future>
#include <thread>

#include "crash/history.h"
#include "support/backends.h"
#include "support/sanitized.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;
using engine::FaultPlan;
using engine::IoRequest;

const Steps kBefore{{1, 10}, {2, 20}};
const Steps kAfter{{2, 20}, {3, 30}};

class EveryCancel : public ::testing::TestWithParam<engine::BackendKind> {
 protected:
  enum class End : std::uint8_t { cancelled, committed, nothing_left };

  [[nodiscard]] std::string root() const { return (directory_ / "root").string(); }
  [[nodiscard]] ManagerOptions options(Atomicity atomicity) const {
    ManagerOptions made;
    made.engine = engine_;
    made.atomicity = atomicity;
    made.max_to_keep = 2;
    return made;
  }
  /// Steps 1 and 2, to be copied.
  void make_model(Atomicity atomicity) {
    CheckpointManager manager((directory_ / "model").string(), options(atomicity));
    for (const auto& [step, version] : kBefore) {
      EXPECT_TRUE(
          manager.save(step, args::PyTreeSave(content(step, version)), save_options(version))
              .get());
    }
    manager.close().get();
  }
  /// One save of step 3, cancelled while its nth operation hangs.
  End run(Atomicity atomicity, std::uint64_t nth);
  void sweep(Atomicity atomicity);

  TempDirectory directory_ = TempDirectory::in_memory();
  std::shared_ptr<FaultPlan> plan_ = std::make_shared<FaultPlan>();
  std::shared_ptr<engine::Engine> engine_ =
      small_engine(engine::make_faulty_backend(make_backend(GetParam()), plan_));
};
INSTANTIATE_TEST_SUITE_P(Backends, EveryCancel, ::testing::ValuesIn(backend_kinds()), backend_name);

EveryCancel::End EveryCancel::run(Atomicity atomicity, std::uint64_t nth) {
  SCOPED_TRACE(fmt::format("operation {}", nth));
  fs::remove_all(root());
  fs::copy(directory_ / "model", root(), fs::copy_options::recursive);
  CheckpointManager manager(root(), options(atomicity));
  plan_->clear();
  plan_->hold([nth, seen = std::uint64_t{0}](const IoRequest&) mutable { return ++seen == nth; });
  const SaveFuture save = manager.save(3, args::PyTreeSave(content(3, 30)), save_options(30));
  Future<void> finished = manager.wait_until_finished();
  while (plan_->held() == 0 && !finished.ready()) std::this_thread::yield();
  const bool hung = plan_->held() > 0;
  save.cancel();
  std::promise<void> heard;
  boost::asio::post(engine_->executor(), [&heard] { heard.set_value(); });
  heard.get_future().get();
  plan_->release();
  End end = hung ? End::committed : End::nothing_left;
  try {
    EXPECT_TRUE(save.get());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled) << error.what();
    EXPECT_TRUE(hung) << "it was over";
    end = End::cancelled;
  }
  manager.wait_until_finished().get();
  const Steps& expected = end == End::cancelled ? kBefore : kAfter;
  std::vector<Step> numbers;
  for (const auto& [step, version] : expected) numbers.push_back(step);
  EXPECT_EQ(manager.all_steps(), numbers);
  const Found found = look(engine_, root(), atomicity);
  EXPECT_EQ(found.trouble, "");
  EXPECT_EQ(to_string(found.steps), to_string(expected));
  EXPECT_EQ(leftovers(root()), std::vector<std::string>());
  EXPECT_TRUE(manager.save(4, args::PyTreeSave(content(4, 40)), save_options(40)).get());
  manager.close().get();
  return end;
}

void EveryCancel::sweep(Atomicity atomicity) {
  make_model(atomicity);
  std::uint64_t cancelled = 0;
  std::uint64_t committed = 0;
  const bool uring = GetParam() == engine::BackendKind::uring;
  for (std::uint64_t nth = uring ? 1 : 1 + kOneCaseIn / 2; !HasFailure(); nth += kOneCaseIn) {
    const End end = run(atomicity, nth);
    if (end == End::nothing_left) break;
    ++(end == End::cancelled ? cancelled : committed);
  }
  fmt::print("cancelled {} times, and {} times too late\n", cancelled, committed);
  EXPECT_GT(cancelled, 0u);
  EXPECT_TRUE(committed > 0 || kOneCaseIn > 1) << "a sample may miss the few that there are";
}

TEST_P(EveryCancel, EndsASaveAsIfItHadNeverBegunOrComesTooLate) {
  sweep(Atomicity::rename);
}
TEST_P(EveryCancel, OfASaveThatCommitsByFileTheSame) {
  sweep(Atomicity::commit_file);
}

}  // namespace
}  // namespace cairn::test

// Which save captures next, and who waits for whom.

#include <cairn/manager/internal/save_queue.h>
#include <gtest/gtest.h>

#include <memory>

namespace cairn {
namespace {

using internal::Event;
using internal::SaveJob;
using internal::SaveQueue;
using JobPtr = SaveQueue::JobPtr;

JobPtr queued(SaveQueue& queue, Step step) {
  auto job = std::make_shared<SaveJob>(nullptr, step, SaveOptions(), nullptr);
  queue.push(job, false);
  return job;
}

void finish(const Event& event) {
  event->set(nullptr, impl::Unit());
}

TEST(SaveQueue, WhoIsPromotedAsksAgainAndNoLongerWaitsForWhomItHasPassed) {
  SaveQueue queue(4);
  const JobPtr first = queued(queue, 0);
  const JobPtr second = queued(queue, 1);
  const JobPtr third = queued(queue, 2);
  EXPECT_EQ(queue.begin_capture(*first), nullptr);
  const Event of_second = queue.begin_capture(*second);
  const Event of_third = queue.begin_capture(*third);
  ASSERT_TRUE(of_second && of_third);
  queue.promote(*third);
  EXPECT_TRUE(of_third->ready());
  EXPECT_FALSE(of_second->ready());
  const Event again = queue.begin_capture(*third);
  ASSERT_TRUE(again) << "the first one is not staged";
  finish(first->staged);
  EXPECT_TRUE(again->ready());
  EXPECT_TRUE(of_second->ready());
  const Event behind = queue.begin_capture(*second);
  ASSERT_TRUE(behind) << "it has been passed";
  EXPECT_EQ(queue.begin_capture(*third), nullptr);
  finish(third->staged);
  EXPECT_TRUE(behind->ready());
  EXPECT_EQ(queue.begin_capture(*second), nullptr);
}

TEST(SaveQueue, WhoIsPromotedWaitsForNoPlace) {
  SaveQueue queue(1);
  const JobPtr first = queued(queue, 0);
  const JobPtr second = queued(queue, 1);
  const JobPtr third = queued(queue, 2);
  for (const JobPtr& job : {first, second}) {
    EXPECT_EQ(queue.begin_capture(*job), nullptr);
    finish(job->staged);
  }
  const Event place = queue.begin_capture(*third);
  ASSERT_TRUE(place);
  EXPECT_FALSE(place->ready());
  queue.promote(*third);
  EXPECT_TRUE(place->ready());
  EXPECT_EQ(queue.begin_capture(*third), nullptr);
  finish(first->done);  // what it had waited for
}

TEST(SaveQueue, OlderSavesOfItsStepGoBeforeWhoIsPromoted) {
  SaveQueue queue(4);
  const JobPtr first = queued(queue, 0);
  const JobPtr older = queued(queue, 2);
  const JobPtr other = queued(queue, 1);
  const JobPtr newer = queued(queue, 2);
  EXPECT_EQ(queue.newest_of(2), newer);
  EXPECT_EQ(queue.promote(*newer), (std::vector<JobPtr>{older, newer}));
  EXPECT_EQ(queue.jobs(), (std::vector<JobPtr>{older, newer, first, other}));
  EXPECT_EQ(queue.newest_of(2), newer);
  newer->settled = true;
  EXPECT_EQ(queue.newest_of(2), older);
}

}  // namespace
}  // namespace cairn

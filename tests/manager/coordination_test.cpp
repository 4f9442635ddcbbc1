// What every Coordinator does, whatever is behind it: one conformance suite for jobs of one and of
// several processes.

#include <cairn/manager/coordination.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <thread>

#include "support/coordination.h"

namespace cairn {
namespace {

using test::agree;
using test::barrier;
using test::broadcast;
using test::failure_of;
using test::gather;
using test::Job;
using test::kLong;
using test::part;
using test::process_name;
using test::run_job;
using test::Via;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Coordination : public ::testing::TestWithParam<Job> {
 protected:
  [[nodiscard]] ProcessIndex count() const { return GetParam().count; }
  [[nodiscard]] ProcessIndex last() const { return count() - 1; }
};
INSTANTIATE_TEST_SUITE_P(Jobs, Coordination,
                         ::testing::Values(Job{Via::single, 1}, Job{Via::sockets, 1},
                                           Job{Via::sockets, 2}, Job{Via::sockets, 3},
                                           Job{Via::path, 1}, Job{Via::path, 3}),
                         test::job_name);

/// Of what one process alone cannot show.
class CoordinationOfSeveral : public Coordination {};
INSTANTIATE_TEST_SUITE_P(Jobs, CoordinationOfSeveral,
                         ::testing::Values(Job{Via::sockets, 2}, Job{Via::sockets, 3},
                                           Job{Via::path, 3}),
                         test::job_name);

TEST_P(Coordination, EveryProcessKnowsItsPlace) {
  test::Shared<std::atomic<unsigned>> seen;
  run_job(GetParam(), [&](Coordinator& c) {
    EXPECT_EQ(c.process_count(), count());
    *seen |= 1u << c.process_index();
    part(c);
  });
  EXPECT_EQ(*seen, (1u << count()) - 1);
}

TEST_P(Coordination, ABarrierIsPassedWhenAllHaveComeAndItsNameServesAgain) {
  constexpr unsigned kRounds = 100;
  test::Shared<std::atomic<unsigned>> come;
  run_job(GetParam(), [&](Coordinator& c) {
    for (unsigned round = 1; round <= kRounds; ++round) {
      ++*come;
      barrier(c, "save.1.0.commit").get();
      EXPECT_GE(*come, round * count());
    }
    part(c);
  });
}

TEST_P(Coordination, ABroadcastGivesAllWhatTheRootHas) {
  using namespace std::string_literals;
  run_job(GetParam(), [&](Coordinator& c) {
    for (ProcessIndex root = 0; root < count(); ++root) {
      for (const std::string& bytes : {"step \0 12"s, ""s}) {
        const bool is_root = c.process_index() == root;
        EXPECT_EQ(broadcast(c, "restore.step", is_root ? bytes : "ignored", root).get(), bytes);
      }
    }
    part(c);
  });
}

TEST_P(Coordination, AGatherGivesTheRootEverybodysInOrder) {
  run_job(GetParam(), [&](Coordinator& c) {
    for (ProcessIndex root = 0; root < count(); ++root) {
      // Process 0's is empty.
      const auto got = gather(c, "save.1.parts", std::string(c.process_index(), 'x'), root).get();
      std::vector<std::string> expected;
      for (ProcessIndex i = 0; i < count() && c.process_index() == root; ++i) {
        expected.emplace_back(i, 'x');
      }
      EXPECT_EQ(got, expected);
    }
    part(c);
  });
}

TEST_P(Coordination, AllAgreeOnTheGreatestOrTheLeast) {
  run_job(GetParam(), [&](Coordinator& c) {
    const auto i = static_cast<std::int64_t>(c.process_index());
    EXPECT_EQ(agree(c, "preemption.step", 100 + i, Agreement::maximum).get(), 100 + last());
    EXPECT_EQ(agree(c, "preemption.step", -i, Agreement::minimum).get(),
              -static_cast<std::int64_t>(last()));
    EXPECT_EQ(agree(c, "all ready", i == 0 ? 0 : 1, Agreement::minimum).get(), 0);
    part(c);
  });
}

TEST_P(Coordination, NamesMeetInWhateverOrderEachProcessCallsThem) {
  constexpr unsigned kNames = 200;
  run_job(GetParam(), [&](Coordinator& c) {
    const bool backwards = c.process_index() % 2 == 1;
    std::vector<std::pair<unsigned, test::Ended<std::string>>> under_way;
    for (unsigned i = 0; i < kNames; ++i) {
      const unsigned n = backwards ? kNames - 1 - i : i;
      under_way.emplace_back(
          n, broadcast(c, "manager." + std::to_string(n), std::to_string(n), n % count()));
    }
    for (auto& [n, operation] : under_way) EXPECT_EQ(operation.get(), std::to_string(n));
    part(c);
  });
}

TEST_P(Coordination, OneProcessMayWaitForOneOperationWhileTheOthersAreInAnother) {
  // Two managers with delays the other way round: nobody comes to both before one is done.
  run_job(GetParam(), [&](Coordinator& c) {
    const bool odd = c.process_index() % 2 == 1;
    auto first = barrier(c, odd ? "b.save.1" : "a.save.1");
    auto second = barrier(c, odd ? "a.save.1" : "b.save.1");
    (odd ? second : first).get();
    (odd ? first : second).get();
    part(c);
  });
}

TEST_P(Coordination, SubsetsMeetWithoutTheOthers) {
  run_job(GetParam(), [&](Coordinator& c) {
    const ProcessIndex self = c.process_index();
    // In any order, and twice is once.
    CollectiveOptions ends(kLong, {last(), 0, last()});
    if (self == 0 || self == last()) {
      const auto parts = gather(c, "ends", std::to_string(self), last(), ends).get();
      if (self != last()) {
        EXPECT_THAT(parts, IsEmpty());
      } else if (count() == 1) {
        EXPECT_THAT(parts, ElementsAre("0"));
      } else {
        EXPECT_THAT(parts, ElementsAre("0", std::to_string(last())));
      }
    }
    EXPECT_EQ(agree(c, "alone." + std::to_string(self), self, Agreement::maximum,
                    CollectiveOptions(kLong, {self}))
                  .get(),
              self);
    part(c);
  });
}

TEST_P(Coordination, AProcessThatFailsMakesAllFailUnderTheScopeByNameAndReason) {
  run_job(GetParam(), [&](Coordinator& c) {
    std::optional<test::Ended<void>> waiting;
    if (c.process_index() != last()) waiting = barrier(c, "save.12.3.commit");
    // Everybody's wait has begun.
    barrier(c, "ready").get();
    if (c.process_index() == last()) {
      ErrorContext context;
      context.path = "/data/ckpt/12";
      c.fail("save.12", Error(ErrorCode::no_space, "disk full", context));
    }
    const auto names_it = AllOf(HasSubstr(process_name(last(), count()) + " failed"),
                                HasSubstr("/data/ckpt/12: disk full"));
    if (waiting) {
      const auto failure = failure_of(std::move(*waiting));
      EXPECT_EQ(failure.code, ErrorCode::no_space);
      EXPECT_THAT(failure.text, AllOf(HasSubstr("barrier 'save.12.3.commit'"), names_it));
    }
    // Behind the failure on every process's connection.
    barrier(c, "told").get();
    const auto later = failure_of(gather(c, "save.12.4.parts", "x", 0));
    EXPECT_EQ(later.code, ErrorCode::no_space);
    EXPECT_THAT(later.text, AllOf(HasSubstr("gather 'save.12.4.parts'"), names_it));
    EXPECT_EQ(failure_of(barrier(c, "save.12")).code, ErrorCode::no_space);
    barrier(c, "save.120").get();
    barrier(c, "save").get();
    part(c);
  });
}

TEST_P(Coordination, SeveralMegabytesTravel) {
  constexpr std::size_t kBytes = 5u << 20;
  run_job(GetParam(), [&](Coordinator& c) {
    auto made_by = [](ProcessIndex i) {
      return std::string(kBytes + i, static_cast<char>('a' + i));
    };
    const ProcessIndex self = c.process_index();
    auto down = broadcast(c, "metadata", self == last() ? made_by(last()) : "", last());
    auto up = gather(c, "parts", made_by(self), 0);
    EXPECT_TRUE(down.get() == made_by(last()));
    const auto parts = up.get();
    ASSERT_EQ(parts.size(), self == 0 ? count() : 0);
    for (ProcessIndex i = 0; i < parts.size(); ++i) EXPECT_TRUE(parts[i] == made_by(i)) << i;
    part(c);
  });
}

TEST_P(Coordination, AContributionOverTheLimitFailsForAll) {
  run_job(GetParam(), [&](Coordinator& c) {
    const bool too_much = c.process_index() == last();
    const std::size_t size = too_much ? Coordinator::kContributionBytesMax + 1 : 1;
    const auto failure = failure_of(gather(c, "parts", std::string(size, 'x'), 0));
    EXPECT_EQ(failure.code, ErrorCode::resource_exhausted);
    EXPECT_THAT(failure.text, AllOf(HasSubstr(process_name(last(), count())),
                                    HasSubstr("67108865 bytes, more than 67108864")));
    // Where nobody takes it, nothing is too much.
    const std::string ignored(Coordinator::kContributionBytesMax + 1, 'x');
    EXPECT_EQ(broadcast(c, "small", c.process_index() == 0 ? "s" : ignored, 0).get(), "s");
    part(c);
  });
}

TEST_P(Coordination, ArgumentsThatCannotBeAreRefusedHereAndDoNotTouchTheOthers) {
  run_job(GetParam(), [&](Coordinator& c) {
    const ProcessIndex self = c.process_index();
    auto expect_invalid = [](const test::Failure& failure, const std::string& text) {
      EXPECT_EQ(failure.code, ErrorCode::invalid_argument);
      EXPECT_THAT(failure.text, HasSubstr(text));
    };
    expect_invalid(failure_of(barrier(c, "")), "the name is empty");
    expect_invalid(failure_of(barrier(c, std::string(257, 'n'))), "257 bytes, more than 256");
    expect_invalid(failure_of(barrier(c, "b", std::chrono::seconds(0))), "timeout");
    expect_invalid(failure_of(barrier(c, "b", CollectiveOptions(kLong, {self, count()}))),
                   "there is no process " + std::to_string(count()));
    expect_invalid(failure_of(broadcast(c, "b", "", count())), "root " + std::to_string(count()));
    if (count() > 1) {
      const ProcessIndex other = (self + 1) % count();
      expect_invalid(failure_of(barrier(c, "b", CollectiveOptions(kLong, {other}))),
                     process_name(self, count()) + " is not among the participants");
      expect_invalid(failure_of(gather(c, "b", "", other, CollectiveOptions(kLong, {self}))),
                     "root " + std::to_string(other));
    }
    EXPECT_THROW(c.fail("", Error(ErrorCode::internal, "")), Error);
    EXPECT_THROW(c.announce(std::string(257, 'n')), Error);
    barrier(c, "b").get();
    part(c);
  });
}

TEST_P(Coordination, AnAnnouncementReachesAll) {
  run_job(GetParam(), [&](Coordinator& c) {
    EXPECT_FALSE(c.announced("preempted"));
    barrier(c, "looked").get();
    if (c.process_index() == last()) {
      c.announce("preempted");
      EXPECT_TRUE(c.announced("preempted"));
    }
    // Comes behind the announcement, on the same connection.
    barrier(c, "told").get();
    EXPECT_TRUE(c.announced("preempted"));
    EXPECT_FALSE(c.announced("pre"));
    part(c);
  });
}

TEST_P(CoordinationOfSeveral, NoMoreOperationsThanTheLimitAreUnderWay) {
  run_job(GetParam(), [&](Coordinator& c) {
    std::deque<test::Ended<void>> under_way;
    if (c.process_index() == 0) {
      for (std::size_t i = 0; i < Coordinator::kOperationsMax; ++i) {
        under_way.push_back(barrier(c, std::to_string(i)));
      }
      EXPECT_EQ(failure_of(barrier(c, "one more")).code, ErrorCode::resource_exhausted);
      c.announce("full");
    }
    while (!c.announced("full")) std::this_thread::yield();
    if (c.process_index() != 0) {
      for (std::size_t i = 0; i < Coordinator::kOperationsMax; ++i)
        barrier(c, std::to_string(i)).get();
    }
    for (auto& operation : under_way) operation.get();
    part(c);
  });
}

TEST_P(CoordinationOfSeveral, ANameIsUnderWayOnceInAProcess) {
  run_job(GetParam(), [&](Coordinator& c) {
    std::optional<test::Ended<void>> first;
    if (c.process_index() == 0) {
      first = barrier(c, "b");
      EXPECT_THAT(failure_of(barrier(c, "b")).text, HasSubstr("of that name under way"));
    }
    barrier(c, "tried").get();
    if (c.process_index() != 0) first = barrier(c, "b");
    first->get();
    part(c);
  });
}

TEST_P(CoordinationOfSeveral, ProcessesThatCallANameDifferentlyAllFail) {
  run_job(GetParam(), [&](Coordinator& c) {
    const bool differs = c.process_index() == last();
    const auto kind = failure_of(differs ? gather(c, "kind", "", 0) : gather(c, "kind", "", 1));
    EXPECT_EQ(kind.code, ErrorCode::invalid_argument);
    EXPECT_THAT(kind.text, AllOf(HasSubstr("a gather to process 0 from all processes"),
                                 HasSubstr("a gather to process 1 from all processes")));
    const auto agreement =
        failure_of(agree(c, "agreement", 1, differs ? Agreement::maximum : Agreement::minimum));
    EXPECT_THAT(agreement.text, AllOf(HasSubstr("maximum"), HasSubstr("minimum")));
    part(c);
  });
}

}  // namespace
}  // namespace cairn

// Local processes that die, hang, leave or come late: who is still there learns who is not.

#include <gmock/gmock.h>

#include <csignal>
#include <thread>

#include "support/coordination.h"

namespace cairn {
namespace {

using engine::ManualClock;
using test::barrier;
using test::failure_of;
using test::Gate;
using test::Job;
using test::killed_by;
using test::kLong;
using test::MeetingPlace;
using test::part;
using test::process_name;
using test::run_forked;
using test::run_job;
using test::Via;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr Job kTwo{Via::sockets, 2};
constexpr Job kThree{Via::sockets, 3};
constexpr std::chrono::seconds kTimeout{30};

void wait_for_timer(const ManualClock& clock) {
  while (clock.pending() == 0) std::this_thread::yield();
}

TEST(CoordinationLoss, AProcessThatDiesIsNamedToThoseWhoWaitAndThoseWhoComeLater) {
  for (ProcessIndex dying = 0; dying < 3; ++dying) {
    std::vector<int> ends(3);
    ends[dying] = killed_by(SIGKILL);
    run_job(
        kThree,
        [dying](Coordinator& c) {
          barrier(c, "all are here").get();
          if (c.process_index() == dying) ::raise(SIGKILL);
          for (const char* const name : {"save.1.0.commit", "save.2.0.commit"}) {
            const auto failure = failure_of(barrier(c, name));
            EXPECT_EQ(failure.code, ErrorCode::io_error);
            EXPECT_THAT(failure.text, AllOf(HasSubstr("barrier '" + std::string(name)),
                                            HasSubstr(process_name(dying, 3) + " has died")));
          }
          if (dying == 0) return;
          // Without it the others go on.
          const ProcessIndex other = 3 - dying;
          barrier(c, "rest", CollectiveOptions(kLong, {0, other})).get();
        },
        ends);
  }
}

TEST(CoordinationLoss, AProcessThatEndsItsCoordinatorIsNamed) {
  for (ProcessIndex leaving = 0; leaving < 2; ++leaving) {
    run_job(kTwo, [leaving](Coordinator& c) {
      barrier(c, "all are here").get();
      if (c.process_index() == leaving) return;
      const auto failure = failure_of(barrier(c, "save.1.0.commit"));
      EXPECT_EQ(failure.code, ErrorCode::closed);
      EXPECT_THAT(failure.text, HasSubstr(process_name(leaving, 2) + " has ended its coordinator"));
    });
  }
}

TEST(CoordinationLoss, EndingACoordinatorFailsWhatIsUnderWay) {
  MeetingPlace place(kTwo);
  const auto ends = run_forked(
      2,
      [&](unsigned index) {
        auto c = place.join(index);
        barrier(*c, "all are here").get();
        if (index == 0) {
          EXPECT_EQ(failure_of(barrier(*c, "another")).code, ErrorCode::closed);
          return;
        }
        auto never = barrier(*c, "never");
        c.reset();
        const auto failure = failure_of(std::move(never));
        EXPECT_EQ(failure.code, ErrorCode::closed);
        EXPECT_THAT(failure.text, HasSubstr("this process has ended its coordinator"));
      },
      [&](const std::vector<pid_t>&) { place.leave(); });
  EXPECT_EQ(ends, std::vector<int>(2));
}

/// Process `late` comes to the barrier when the other's clock has passed its time.
void expect_timeout(ProcessIndex late) {
  MeetingPlace place(kTwo);
  Gate gate;
  const auto ends = run_forked(
      2,
      [&](unsigned index) {
        const auto clock = std::make_shared<ManualClock>();
        const auto c = place.join(index, clock);
        barrier(*c, "all are here", CollectiveOptions::kNoTimeout).get();
        if (index == late) {
          gate.pass();
        } else {
          auto waiting = barrier(*c, "save.12.0.commit", kTimeout);
          wait_for_timer(*clock);
          clock->advance(kTimeout - std::chrono::nanoseconds(1));
          EXPECT_EQ(clock->pending(), 1u);
          clock->advance(std::chrono::nanoseconds(1));
          const auto failure = failure_of(std::move(waiting));
          EXPECT_EQ(failure.code, ErrorCode::timed_out);
          EXPECT_THAT(failure.text,
                      AllOf(HasSubstr("barrier 'save.12.0.commit'"), HasSubstr("after 30 s"),
                            HasSubstr("waiting for " + process_name(late, 2))));
          EXPECT_EQ(clock->pending(), 0u);
          gate.open();
        }
        // Who comes now need not wait; and the name is spent for both.
        const auto failure = failure_of(barrier(*c, "save.12.0.commit", kTimeout));
        EXPECT_EQ(failure.code, ErrorCode::timed_out);
        EXPECT_THAT(failure.text, HasSubstr(process_name(1 - late, 2) + " timed out after 30 s"));
        barrier(*c, "save.12.1.commit", CollectiveOptions::kNoTimeout).get();
      },
      [&](const std::vector<pid_t>&) { place.leave(); });
  EXPECT_EQ(ends, std::vector<int>(2));
}

TEST(CoordinationLoss, ATimeoutNamesTheProcessThatHasNotCome) {
  expect_timeout(1);
}

TEST(CoordinationLoss, ATimeoutNamesProcess0ThatHasNotCome) {
  expect_timeout(0);
}

TEST(CoordinationLoss, AnOperationThatCompletesInTimeLeavesNoTimer) {
  MeetingPlace place(kTwo);
  const auto ends = run_forked(
      2,
      [&](unsigned index) {
        const auto clock = std::make_shared<ManualClock>();
        const auto c = place.join(index, clock);
        for (int i = 0; i < 10; ++i) barrier(*c, "b", kTimeout).get();
        EXPECT_EQ(clock->pending(), 0u);
        part(*c);
      },
      [&](const std::vector<pid_t>&) { place.leave(); });
  EXPECT_EQ(ends, std::vector<int>(2));
}

TEST(CoordinationLoss, ATimeoutTellsWhoNeverConnected) {
  test::TempDirectory directory;
  const auto ends = run_forked(1, [&](unsigned) {
    const auto clock = std::make_shared<ManualClock>();
    LocalCoordination options;
    options.count = 4;
    options.path = directory / "socket";
    options.clock = clock;
    const auto c = local_coordinator(options);
    auto waiting = barrier(*c, "save.1.0.begin", kTimeout);
    wait_for_timer(*clock);
    clock->advance(kTimeout);
    EXPECT_THAT(failure_of(std::move(waiting)).text,
                HasSubstr("waiting for processes 1, 2 and 3 of 4 (processes 1, 2 and 3 of 4 never "
                          "connected)"));
  });
  EXPECT_EQ(ends, std::vector<int>(1));
}

TEST(CoordinationLoss, WithoutProcess0ATimeoutTellsWhyItCannotBeReached) {
  test::TempDirectory directory;
  const auto ends = run_forked(1, [&](unsigned) {
    const auto clock = std::make_shared<ManualClock>();
    LocalCoordination options;
    options.index = 1;
    options.count = 2;
    options.path = directory / "socket";
    options.clock = clock;
    const auto c = local_coordinator(options);
    auto waiting = barrier(*c, "save.1.0.begin", kTimeout);
    while (clock->pending() < 2) std::this_thread::yield();  // the timeout, and the next try
    clock->advance(kTimeout);
    const auto failure = failure_of(std::move(waiting));
    EXPECT_EQ(failure.code, ErrorCode::timed_out);
    EXPECT_THAT(failure.text, AllOf(HasSubstr("without process 0 of 2"), HasSubstr(options.path),
                                    HasSubstr("No such file or directory")));
  });
  EXPECT_EQ(ends, std::vector<int>(1));
}

TEST(CoordinationLoss, AProcessThatComesBeforeProcess0FindsItLater) {
  MeetingPlace place(Job{Via::path, 2});
  Gate waits;
  Gate listens;
  const auto ends = run_forked(2, [&](unsigned index) {
    LocalCoordination options;
    options.index = index;
    options.count = 2;
    options.path = place.path();
    if (index == 0) {
      waits.pass();
      const auto c = local_coordinator(options);
      listens.open();
      return part(*c);
    }
    const auto clock = std::make_shared<ManualClock>();
    options.clock = clock;
    const auto c = local_coordinator(options);
    auto meeting = barrier(*c, "the end", CollectiveOptions::kNoTimeout);
    c->announce("before the connection");
    wait_for_timer(*clock);
    waits.open();
    listens.pass();
    clock->advance(std::chrono::seconds(1));
    meeting.get();
  });
  EXPECT_EQ(ends, std::vector<int>(2));
}

TEST(CoordinationLoss, AForkedChildIsRefusedAndDoesNotHideItsParentsDeath) {
  Gate child_may_end;
  run_job(kTwo,
          [&](Coordinator& c) {
            barrier(c, "all are here").get();
            if (c.process_index() == 1) {
              // A data loader, which outlives its process.
              const pid_t child = ::fork();
              if (child == 0) {
                ::alarm(test::kProcessSeconds);
                EXPECT_EQ(failure_of(barrier(c, "save.1.0.commit")).code, ErrorCode::closed);
                EXPECT_THROW(c.announce("from a child"), Error);
                EXPECT_THROW(c.fail("save", Error(ErrorCode::internal, "")), Error);
                child_may_end.pass();
                ::_exit(0);
              }
              barrier(c, "forked").get();
              ::raise(SIGKILL);
            }
            barrier(c, "forked").get();
            EXPECT_THAT(failure_of(barrier(c, "save.1.0.commit")).text,
                        HasSubstr("process 1 of 2 has died"));
            child_may_end.open();
          },
          {0, killed_by(SIGKILL)});
}

}  // namespace
}  // namespace cairn

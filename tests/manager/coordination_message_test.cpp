// The parts below a Coordinator that have no process of their own: messages as bytes, a member
// whose hub is silent, and what is remembered of names.

#include <cairn/manager/internal/coordination_hub.h>
#include <cairn/manager/internal/coordination_member.h>
#include <cairn/manager/internal/coordination_message.h>
#include <gmock/gmock.h>

#include <random>

#include "support/seed.h"

namespace cairn::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string bytes_of(const Frame& frame) {
  std::string bytes = frame.head;
  for (const Payload& payload : frame.payloads) bytes += *payload;
  return bytes;
}

Payload payload(std::string bytes) {
  return std::make_shared<std::string>(std::move(bytes));
}

Arrive sample_arrival() {
  Arrive arrive;
  arrive.sequence = 7;
  arrive.name = "save.12.3.commit";
  arrive.form.kind = impl::CollectiveKind::gather;
  arrive.form.root = 2;
  arrive.form.agreement = Agreement::minimum;
  arrive.form.processes = {0, 2, 5};
  arrive.proposal = -3;
  arrive.contribution = payload("bytes");
  return arrive;
}

std::vector<std::string> samples_to_hub() {
  std::vector<std::string> samples;
  for (const ToHub& message : {ToHub(sample_arrival()), ToHub(Arrive()),
                               ToHub(Withdraw{1, "a", ErrorCode::timed_out, "timed out"}),
                               ToHub(Fail{"save.1", ErrorCode::no_space, "disk full"}),
                               ToHub(Announce{"n"}), ToHub(Leave{})}) {
    samples.push_back(bytes_of(frame_of(message)));
  }
  return samples;
}

std::vector<std::string> samples_from_hub() {
  std::vector<std::string> samples;
  for (const FromHub& message :
       {FromHub(Done{1, -2, {payload("one"), nullptr, payload("three")}}), FromHub(Done()),
        FromHub(Failed{1, ErrorCode::io_error, "died"}), FromHub(Announced{"n"}),
        FromHub(Gone{ErrorCode::closed, "ends"})}) {
    samples.push_back(bytes_of(frame_of(message)));
  }
  return samples;
}

std::string_view body_of(std::string_view frame) {
  return frame.substr(4);
}

TEST(CoordinationMessage, WhatIsWrittenIsRead) {
  const std::string bytes = bytes_of(frame_of(ToHub(sample_arrival())));
  const auto arrive = std::get<Arrive>(decode_to_hub(body_of(bytes)));
  const Arrive sample = sample_arrival();
  EXPECT_EQ(arrive.sequence, sample.sequence);
  EXPECT_EQ(arrive.name, sample.name);
  EXPECT_TRUE(arrive.form == sample.form);
  EXPECT_EQ(arrive.proposal, sample.proposal);
  EXPECT_EQ(*arrive.contribution, *sample.contribution);
  for (const std::string& frame : samples_to_hub()) {
    EXPECT_EQ(bytes_of(frame_of(decode_to_hub(body_of(frame)))), frame);
  }
  for (const std::string& frame : samples_from_hub()) {
    EXPECT_EQ(bytes_of(frame_of(decode_from_hub(body_of(frame)))), frame);
  }
}

TEST(CoordinationMessage, TheLengthInFrontIsThatOfTheRest) {
  for (const std::string& frame : samples_to_hub()) {
    std::uint32_t length = 0;
    std::memcpy(&length, frame.data(), sizeof(length));
    EXPECT_EQ(length, frame.size() - sizeof(length));
  }
  EXPECT_EQ(bytes_of(frame_of(Hello())).size(), kHelloBytes + 4);
}

TEST(CoordinationMessage, WhatIsCutOrTooLongIsRefused) {
  for (const std::string& frame : samples_to_hub()) {
    const std::string_view body = body_of(frame);
    for (std::size_t size = 0; size < body.size(); ++size) {
      EXPECT_THROW(static_cast<void>(decode_to_hub(body.substr(0, size))), BadMessage) << size;
    }
    EXPECT_THROW(static_cast<void>(decode_to_hub(std::string(body) + "x")), BadMessage);
  }
  Hello hello;
  const std::string greeting = bytes_of(frame_of(hello));
  EXPECT_THROW(static_cast<void>(decode_hello(body_of(greeting).substr(1))), BadMessage);
}

TEST(CoordinationMessage, WhateverIsReadIsWrittenTheSame) {
  std::mt19937_64 random(test::make_seed());
  std::vector<std::string> samples = samples_to_hub();
  for (std::string& frame : samples_from_hub()) samples.push_back(std::move(frame));
  for (int round = 0; round < 20'000; ++round) {
    std::string body(body_of(samples[random() % samples.size()]));
    for (auto changes = 1 + random() % 4; changes > 0; --changes) {
      body[random() % body.size()] = static_cast<char>(random());
    }
    try {
      EXPECT_EQ(bytes_of(frame_of(decode_to_hub(body))).substr(4), body);
    } catch (const BadMessage&) {
    }
    try {
      EXPECT_EQ(bytes_of(frame_of(decode_from_hub(body))).substr(4), body);
    } catch (const BadMessage&) {
    }
  }
}

TEST(CoordinationMessage, TextsAreCutToWhatAMessageHolds) {
  const std::string cut = bounded_text(std::string(kTextBytesMax + 1, 'x'));
  EXPECT_EQ(cut.size(), kTextBytesMax);
  EXPECT_TRUE(cut.ends_with("x ..."));
  EXPECT_EQ(bounded_text("short"), "short");
}

TEST(CoordinationNames, AScopeCoversWhatIsBelowIt) {
  EXPECT_TRUE(covers("save.12", "save.12"));
  EXPECT_TRUE(covers("save.12", "save.12.3.commit"));
  EXPECT_FALSE(covers("save.12", "save.120"));
  EXPECT_FALSE(covers("save.12", "save.1"));
}

TEST(CoordinationNames, OnlyTheNewestAreRemembered) {
  RecentNames<int> names(2);
  EXPECT_TRUE(names.insert("a", 1));
  EXPECT_FALSE(names.insert("a", 2));
  EXPECT_TRUE(names.insert("b", 3));
  EXPECT_TRUE(names.insert("c", 4));
  EXPECT_EQ(names.find("a"), nullptr);
  EXPECT_EQ(*names.find("b"), 3);
  EXPECT_THAT(names.names(), ElementsAre("b", "c"));
}

TEST(CoordinationNames, ManyProcessesAreNamedInPart) {
  EXPECT_EQ(processes_text({1}, 2), "process 1 of 2");
  EXPECT_EQ(processes_text({0, 2, 3}, 4), "processes 0, 2 and 3 of 4");
  EXPECT_EQ(processes_text({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 10),
            "processes 0, 1, 2, 3, 4, 5, 6, 7 and 2 more of 10");
}

class RecordedCall final : public impl::CollectiveCall {
 public:
  void complete(std::exception_ptr error, impl::CollectiveResult /*result*/) noexcept override {
    ++ends;
    try {
      if (error) std::rethrow_exception(error);
    } catch (const std::exception& failure) {
      text = failure.what();
    }
  }
  void refuse(std::exception_ptr error) noexcept override { complete(std::move(error), {}); }
  int ends = 0;
  std::string text;
};

/// Process 1 of 2, whose messages go nowhere.
class SilentHub : public ::testing::Test {
 protected:
  SilentHub() {
    CoordinationMember::Hooks hooks;
    hooks.send = [this](ToHub message) { sent.push_back(std::move(message)); };
    hooks.on_timer = [this](std::uint64_t id) { member->expire(id); };
    member.emplace(1, 2, clock, hooks);
  }
  std::shared_ptr<RecordedCall> start(std::uint64_t id) {
    auto call = std::make_shared<RecordedCall>();
    impl::Collective operation(impl::CollectiveKind::barrier, "b" + std::to_string(id));
    operation.timeout = std::chrono::seconds(30);
    member->start(id, operation, call);
    return call;
  }

  std::shared_ptr<engine::ManualClock> clock = std::make_shared<engine::ManualClock>();
  std::vector<ToHub> sent;
  std::optional<CoordinationMember> member;
};

TEST_F(SilentHub, AMemberWaitsForItsAnswerOnlyForTheGrace) {
  const auto call = start(1);
  clock->advance(std::chrono::seconds(30));
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(std::get<Withdraw>(sent[1]).sequence, std::get<Arrive>(sent[0]).sequence);
  EXPECT_EQ(call->ends, 0);
  clock->advance(kAnswerGrace);
  EXPECT_EQ(call->ends, 1);
  EXPECT_THAT(call->text, HasSubstr("process 0 of 2, which knows who has come, does not answer"));
  member->receive(Failed{1, ErrorCode::timed_out, "too late"});
  EXPECT_EQ(call->ends, 1);
}

TEST_F(SilentHub, AnAnswerToACancelledOperationIsNotTakenForTheNextOfItsName) {
  const auto first = start(1);
  member->cancel(1);
  EXPECT_EQ(first->ends, 1);
  auto second = std::make_shared<RecordedCall>();
  impl::Collective operation(impl::CollectiveKind::barrier, "b1");
  operation.timeout = std::chrono::seconds(30);
  member->start(2, operation, second);
  member->receive(Done{1, 0, {}});
  EXPECT_EQ(second->ends, 0);
  member->receive(Done{2, 0, {}});
  EXPECT_EQ(second->ends, 1);
  EXPECT_EQ(clock->pending(), 0u);
}

TEST_F(SilentHub, TheFirstReasonForTheEndStands) {
  const auto call = start(1);
  member->end(ErrorCode::io_error, "process 0 of 2 has died");
  member->end(ErrorCode::closed, "later");
  EXPECT_THAT(call->text, HasSubstr("process 0 of 2 has died"));
  EXPECT_THAT(start(2)->text, HasSubstr("process 0 of 2 has died"));
}

TEST(CoordinationHubTest, ContributionsAreBoundedTogether) {
  std::map<ProcessIndex, Failed> failed;
  const ProcessIndex count =
      Coordinator::kGatheredBytesMax / Coordinator::kContributionBytesMax + 1;
  CoordinationHub hub(count, [&failed](ProcessIndex to, FromHub message) {
    failed.emplace(to, std::get<Failed>(std::move(message)));
  });
  const Payload shared = payload(std::string(Coordinator::kContributionBytesMax, 'x'));
  for (ProcessIndex i = 0; i < count; ++i) {
    Arrive arrive;
    arrive.sequence = 1;
    arrive.name = "parts";
    arrive.form.kind = impl::CollectiveKind::gather;
    arrive.contribution = shared;
    hub.receive(i, arrive);
  }
  ASSERT_EQ(failed.size(), count);
  EXPECT_EQ(failed.at(0).code, ErrorCode::resource_exhausted);
}

TEST(CoordinationHubTest, AWithdrawalThatComesAfterTheCompletionChangesNothing) {
  std::vector<FromHub> told;
  CoordinationHub hub(1, [&told](ProcessIndex, FromHub message) { told.push_back(message); });
  Arrive arrive;
  arrive.sequence = 1;
  arrive.name = "b";
  hub.receive(0, arrive);
  hub.receive(0, Withdraw{1, "b", ErrorCode::timed_out, "timed out"});
  arrive.sequence = 2;
  hub.receive(0, arrive);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(std::get<Done>(told[1]).sequence, 2u);
}

}  // namespace
}  // namespace cairn::internal

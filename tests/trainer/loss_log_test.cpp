#include "trainer/loss_log.h"

#include "temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace trainer {
namespace {

void write_steps(const TemporaryFolder& folder, std::int64_t from, std::int64_t to) {
  LossLog log(folder.path() / "log", from - 1);
  for (std::int64_t step = from; step <= to; ++step) {
    log.append(step, 1.0 / static_cast<double>(step), 0.1);
  }
}

TEST(LossLog, ContinuedLogEqualsAnUninterruptedOne) {
  const TemporaryFolder whole;
  write_steps(whole, 1, 12);
  const TemporaryFolder resumed;
  write_steps(resumed, 1, 11);
  write_steps(resumed, 10, 12);
  EXPECT_EQ(resumed.read("log"), whole.read("log"));
}

TEST(LossLog, CutsOffAHalfWrittenLine) {
  const TemporaryFolder whole;
  write_steps(whole, 1, 3);
  const TemporaryFolder resumed;
  const std::string text = whole.read("log");
  resumed.write("log", text.substr(0, text.size() - 4));
  write_steps(resumed, 3, 3);
  EXPECT_EQ(resumed.read("log"), text);
}

TEST(LossLog, StartsAnewAtStepZero) {
  const TemporaryFolder folder;
  folder.write("log", "something else");
  write_steps(folder, 1, 1);
  EXPECT_EQ(folder.read("log"),
            "# step loss average (nats per character)\n1 1 0.10000000000000001\n");
}

TEST(LossLog, RefusesALogThatLacksSteps) {
  const TemporaryFolder folder;
  write_steps(folder, 1, 3);
  try {
    LossLog(folder.path() / "log", 5);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("log"), testing::HasSubstr("1 to 5")));
  }
}

TEST(LossLog, NumbersReadBackAsTheyWere) {
  const TemporaryFolder folder;
  const auto loss = static_cast<double>(0.1F);
  LossLog(folder.path() / "log", 0).append(1, loss, 1.0 / 3.0);
  const std::string text = folder.read("log");
  const std::string line = text.substr(text.find('\n') + 1);
  char* end = nullptr;
  EXPECT_EQ(std::strtof(line.c_str() + 2, &end), 0.1F);
  EXPECT_EQ(std::strtod(end, nullptr), 1.0 / 3.0);
}

TEST(LossLog, UnwritablePathIsNamed) {
  try {
    LossLog("/nonexistent/log", 0);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("/nonexistent/log"));
  }
}

}  // namespace
}  // namespace trainer

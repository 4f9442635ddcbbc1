// cairn ls and inspect.

#include <gmock/gmock.h>

#include <limits>

#include "tools/command.h"

namespace cairn::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Listing : public CommandTest {
 protected:
  void save_two() {
    SaveOptions with_metrics;
    with_metrics.metrics = {{"loss", 2.5}};
    with_metrics.custom_metadata = {{"run", "seven"}};
    save(3, Dict{{"w", Array(DType::float32, {100, 10})}, {"n", 7}, {"none", Null()}},
         with_metrics);
    save(12, Dict{{"w", Array(DType::bfloat16, {2})}});
  }
};
CAIRN_ON_EVERY_BACKEND(Listing);

TEST_P(Listing, ShowsEachStepInALine) {
  save_two();
  const Outcome outcome = cairn({"ls", root()});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, ::testing::MatchesRegex(
                               "STEP  COMMITTED +ELEMENTS +STORED  ITEMS +METRICS\n"
                               "   3  20.*Z +3.91 KiB +[^ ]+ KiB  default, metrics +loss=2.5\n"
                               "  12  20.*Z +4 B +[^ ]+ .?.?B  default\n"));
}

TEST_P(Listing, GivesProgramsTheSameFields) {
  save_two();
  const auto document = cairn({"ls", root(), "--json"}).json();
  EXPECT_EQ(document.at("root").as_string(), root());
  const auto& steps = document.at("steps").as_array();
  ASSERT_EQ(steps.size(), 2u);
  const auto& first = steps[0].as_object();
  EXPECT_EQ(first.at("step").to_number<int>(), 3);
  EXPECT_EQ(first.at("path").as_string(), root() + "/3");
  EXPECT_EQ(first.at("bytes").to_number<int>(), 4008);
  EXPECT_GT(first.at("stored_bytes").to_number<int>(), 4008);
  EXPECT_GT(first.at("commit_timestamp_ns").to_number<std::int64_t>(), 0);
  EXPECT_EQ(first.at("metrics").at("loss").as_double(), 2.5);
  EXPECT_EQ(first.at("items").as_array().at(0).as_string(), "default");
  EXPECT_TRUE(steps[1].at("metrics").as_object().empty());
}

TEST_P(Listing, GivesProgramsJsonEvenWhereMetricsAreNotNumbers) {
  SaveOptions diverged;
  diverged.metrics = {{"loss", std::numeric_limits<double>::quiet_NaN()},
                      {"most", -std::numeric_limits<double>::infinity()}};
  save(1, Dict{{"w", Array(DType::float32, {2})}}, diverged);
  const auto metrics =
      cairn({"ls", root(), "--json"}).json().at("steps").at(0).at("metrics").as_object();
  EXPECT_EQ(metrics.at("loss").as_string(), "NaN");
  EXPECT_EQ(metrics.at("most").as_string(), "-Infinity");
}

TEST_P(Listing, ShowsADamagedStepAmongTheGoodOnes) {
  save_two();
  write_bytes(root() + "/3/default/manifest.ocdbt", "nothing of use");
  const Outcome outcome = cairn({"ls", root()});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("   3  DAMAGED"), HasSubstr("  12  20"),
                                 HasSubstr("manifest.ocdbt")));
  const auto document = cairn({"ls", root(), "--json"}).json();
  EXPECT_EQ(document.at("steps").at(0).at("error").at("code").as_string(), "data_loss");
}

TEST_P(Listing, SaysThatARootIsEmpty) {
  std::filesystem::create_directory(root());
  const Outcome outcome = cairn({"ls", root()});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, root() + ": no steps\n");
  EXPECT_TRUE(cairn({"ls", root(), "--json"}).json().at("steps").as_array().empty());
}

TEST_P(Listing, InspectsTheLatestStepOrTheOneAskedFor) {
  save_two();
  EXPECT_THAT(cairn({"inspect", root()}).out,
              AllOf(HasSubstr("step      12\n"), HasSubstr("bfloat16  [2]")));
  const Outcome outcome = cairn({"inspect", root(), "--step", "3"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("item default (tree, OCDBT), written by Cairn"), HasSubstr("bytes,crc32c"),
                    HasSubstr("[100, 10]"), HasSubstr("none"), HasSubstr("manifest.ocdbt"),
                    HasSubstr("{\"run\":\"seven\"}"), HasSubstr("item metrics (json)")));
}

TEST_P(Listing, InspectsForPrograms) {
  save_two();
  const auto document = cairn({"inspect", root(), "--step", "3", "--json"}).json();
  EXPECT_EQ(document.at("step").to_number<int>(), 3);
  EXPECT_EQ(document.at("custom_metadata").at("run").as_string(), "seven");
  const auto& item = document.at("items").as_array().at(0).as_object();
  EXPECT_EQ(item.at("name").as_string(), "default");
  const auto& leaves = item.at("leaves").as_array();
  ASSERT_EQ(leaves.size(), 3u);
  const auto& w = leaves[0].as_object();
  EXPECT_EQ(w.at("key_path").as_string(), "w");
  EXPECT_EQ(w.at("kind").as_string(), "array");
  EXPECT_EQ(w.at("dtype").as_string(), "float32");
  EXPECT_EQ(w.at("shape"), boost::json::value({100, 10}));
  EXPECT_EQ(w.at("chunk_shape"), boost::json::value({100, 10}));
  EXPECT_EQ(w.at("codecs"), boost::json::value({"bytes", "crc32c"}));
  EXPECT_EQ(w.at("chunks").to_number<int>(), 1);
  EXPECT_EQ(w.at("bytes").to_number<int>(), 4000);
  EXPECT_EQ(w.at("stored_bytes").to_number<int>(), 4004);
  EXPECT_EQ(leaves[1].at("kind").as_string(), "scalar");
  EXPECT_EQ(leaves[2].at("kind").as_string(), "null");
  EXPECT_FALSE(leaves[2].as_object().contains("dtype"));
  EXPECT_FALSE(item.at("files").as_array().empty());
}

TEST_P(Listing, MakesControlCharactersInNamesVisible) {
  save(0, Dict{{"a\x1b[31mred", 1}});
  const Outcome outcome = cairn({"inspect", root()});
  EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos);
  EXPECT_THAT(outcome.out, HasSubstr("a\\x1b[31mred"));
}

}  // namespace
}  // namespace cairn::test

// cairn ls and inspect.

#include <gmock/gmock.h>

#include <chrono>
#include <limits>
#include <optional>

#include "support/weights.h"
#include "tools/command.h"

namespace cairn::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

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

// Whoever looks at a root does not know the options of its manager.
TEST_P(Listing, StepsAreFoundUnderNamesOfEveryStandardFormat) {
  const auto save_as = [&](std::optional<std::string> prefix, std::optional<int> digits,
                           Step step) {
    ManagerOptions named = options();
    named.step_prefix = std::move(prefix);
    named.step_format_fixed_length = digits;
    CheckpointManager manager(root(), named);
    ASSERT_TRUE(manager.save(step, Dict{{"w", Array(DType::float32, {step})}}).get());
  };
  save_as("ckpt", std::nullopt, 3);
  save_as("ckpt", 8, 12);
  save_as(std::nullopt, 6, 7);
  // Anything may be called so: logs, documents of one's own, a copy of the whole root.
  std::filesystem::create_directories(root() + "/logs_2024/events");
  write_bytes(root() + "/logs_2024/metrics", "{}");
  std::filesystem::create_directories(root() + "/eval_2024/run1");
  write_bytes(root() + "/eval_2024/run1/data.json", "{}");
  std::filesystem::create_directory(root() + "/copy_2024");
  std::filesystem::copy(root() + "/000007", root() + "/copy_2024/7",
                        std::filesystem::copy_options::recursive);
  EXPECT_THAT(cairn({"ls", root()}).out,
              ::testing::MatchesRegex("STEP .*\nckpt_3 .*\n000007 .*\nckpt_00000012 .*\n"));
  const auto document = cairn({"ls", root(), "--json"}).json();
  const auto& first = document.at("steps").as_array().at(0).as_object();
  EXPECT_EQ(first.at("step").to_number<int>(), 3);
  EXPECT_EQ(first.at("path").as_string(), root() + "/ckpt_3");
  const Outcome verified = cairn({"verify", root()});
  EXPECT_EQ(verified.status, 0) << verified.err;
  EXPECT_THAT(verified.out, AllOf(HasSubstr("taken for a root"), HasSubstr("step 3 (ckpt_3):"),
                                  HasSubstr("step 7 (000007):"),
                                  HasSubstr("step 12 (ckpt_00000012):"), Not(HasSubstr("2024"))));
  EXPECT_THAT(cairn({"inspect", root()}).out, HasSubstr("ckpt_00000012"));
  EXPECT_THAT(cairn({"inspect", root(), "--step", "7"}).out, HasSubstr("[7]"));
  EXPECT_EQ(cairn({"export", root(), "--step", "3", file("out").string()}).status, 0);
  EXPECT_THAT(cairn({"inspect", root(), "--step", "2024"}).err, HasSubstr("steps: 3, 7, 12"));
  save_as("run", std::nullopt, 7);
  EXPECT_THAT(cairn({"inspect", root(), "--step", "7"}).err,
              HasSubstr("several directories are step 7: 000007, run_7"));
  save_as(std::nullopt, std::nullopt, 7);
  EXPECT_THAT(cairn({"inspect", root(), "--step", "7"}).out, HasSubstr(root() + "/7"));
  save_as(std::nullopt, std::nullopt, 12);
  EXPECT_THAT(cairn({"inspect", root()}).out, Not(HasSubstr("ckpt_00000012")));
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

/// What a killed writer leaves: a directory that is three hours old.
void leave(const std::filesystem::path& directory, const std::string& owner) {
  std::filesystem::create_directories(directory / "default/d");
  if (!owner.empty()) write_bytes(directory / ".cairn_owner", owner);
  std::filesystem::last_write_time(
      directory, std::filesystem::file_time_type::clock::now() - std::chrono::hours(3));
}

TEST_P(Listing, ShowsWhatKilledSavesAndDeletionsLeft) {
  save_two();
  const std::filesystem::path place = root();
  leave(place / "13.orbax-checkpoint-tmp", R"({"incarnation":"a","host":"node7","pid":4242})");
  leave(place / "3.orbax-checkpoint-tmp-deleted-0123456789abcdef", "");
  write_bytes(place / "plain.orbax-checkpoint-tmp", "a file is none");
  const Outcome outcome = cairn({"ls", root()});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("  12  20"),
                    HasSubstr("incomplete: 13.orbax-checkpoint-tmp: save that has not committed, "
                              "3.0 h old, of host node7, pid 4242\n"),
                    HasSubstr("incomplete: 3.orbax-checkpoint-tmp-deleted-0123456789abcdef: step "
                              "that is not deleted whole, 3.0 h old\n"),
                    ::testing::Not(HasSubstr("plain"))));
  const auto document = cairn({"ls", root(), "--json"}).json();
  EXPECT_EQ(document.at("steps").as_array().size(), 2u);
  const auto& left = document.at("incomplete").as_array();
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[0].at("kind").as_string(), "save");
  EXPECT_EQ(left[0].at("step").to_number<int>(), 13);
  EXPECT_EQ(left[0].at("path").as_string(), root() + "/13.orbax-checkpoint-tmp");
  EXPECT_NEAR(left[0].at("age_s").to_number<double>(), 3 * 3600, 600);
  EXPECT_EQ(left[0].at("writer").as_string(), "host node7, pid 4242");
  EXPECT_EQ(left[1].at("kind").as_string(), "deletion");
}

TEST_P(Listing, InspectsTheLatestStepOrTheOneAskedFor) {
  save_two();
  EXPECT_THAT(cairn({"inspect", root()}).out,
              AllOf(HasSubstr("step      12\n"), HasSubstr("bfloat16  [2]")));
  const Outcome outcome = cairn({"inspect", root(), "--step", "3"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(
      outcome.out,
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

TEST_P(Listing, InspectShowsWhichCodecsWereChosenForHowManyArraysAndWhy) {
  ManagerOptions how = options();
  how.codec = Codec::automatic();
  how.encode_policy = [](const EncodeLoad&) { return EncodeDecision::encode; };
  CheckpointManager manager(root(), std::move(how));
  Array noise = Array::uninitialized(DType::uint8, {1 << 20});
  std::uint32_t state = 1;
  for (std::byte& byte : noise.bytes())
    byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  ASSERT_TRUE(manager
                  .save(0, Dict{{"noise", std::move(noise)},
                                {"a", normal_bfloat16({1 << 20}, 1)},
                                {"b", normal_bfloat16({1 << 19}, 2)},
                                {"n", 7}})
                  .get());
  EXPECT_THAT(cairn({"inspect", root()}).out,
              AllOf(HasSubstr("RATIO"),
                    ::testing::ContainsRegex("blosc planes +2 +3.00 MiB .*auto: by the sample\n"),
                    ::testing::ContainsRegex("raw +1 +1.00 MiB .*"),
                    ::testing::ContainsRegex("raw +1 +8 B .*as asked, or small\n")));
  const auto document = cairn({"inspect", root(), "--json"}).json();
  const auto& codecs = document.at("items").at(0).at("codecs").as_array();
  ASSERT_EQ(codecs.size(), 3u);
  EXPECT_EQ(codecs[0].at("codec").as_string(), "blosc planes");
  EXPECT_EQ(codecs[0].at("arrays").to_number<int>(), 2);
  EXPECT_GT(codecs[0].at("ratio").to_number<double>(), 1.3);
  EXPECT_EQ(codecs[0].at("chunks_stored").to_number<int>(), 0);
  // A record of another database says nothing about this one.
  std::filesystem::remove(root() + "/0/default/_CAIRN");
  EXPECT_TRUE(cairn({"inspect", root(), "--json"})
                  .json()
                  .at("items")
                  .at(0)
                  .at("codecs")
                  .as_array()
                  .empty());
}

TEST_P(Listing, InspectShowsWhichFilesAreSharedWithOtherSteps) {
  ManagerOptions how = options();
  how.incremental = true;
  CheckpointManager manager(root(), std::move(how));
  const Array frozen = normal_bfloat16({1 << 20}, 1);
  ASSERT_TRUE(manager.save(0, Dict{{"frozen", frozen}, {"n", 0}}).get());
  EXPECT_THAT(cairn({"inspect", root()}).out, ::testing::Not(HasSubstr("shared")));
  ASSERT_TRUE(
      manager.save(1, Dict{{"frozen", frozen}, {"n", 1}, {"new", normal_bfloat16({1 << 19}, 2)}})
          .get());
  const auto document = cairn({"inspect", root(), "--json"}).json();
  const auto& item = document.at("items").at(0).as_object();
  std::uint64_t shared = 0;
  for (const auto& file : item.at("files").as_array()) {
    if (file.at("links").to_number<int>() > 1)
      shared += file.at("bytes").to_number<std::uint64_t>();
  }
  EXPECT_EQ(item.at("shared_bytes").to_number<std::uint64_t>(), shared);
  EXPECT_GE(shared, 2u << 20);
  EXPECT_GE(item.at("own_bytes").to_number<std::uint64_t>(), 1u << 20);
  EXPECT_THAT(cairn({"inspect", root()}).out,
              ::testing::ContainsRegex("MiB in files shared with other steps .*MiB its own"));
}

TEST_P(Listing, MakesControlCharactersInNamesVisible) {
  save(0, Dict{{"a\x1b[31mred", 1}});
  const Outcome outcome = cairn({"inspect", root()});
  EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos);
  EXPECT_THAT(outcome.out, HasSubstr("a\\x1b[31mred"));
}

}  // namespace
}  // namespace cairn::test

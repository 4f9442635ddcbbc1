// What the command refuses: one clear error, exit status 1 for a damaged file and 2 for the rest,
// and nothing left behind.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tools/command.h"
#include "tools/safetensors_samples.h"

namespace cairn::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// One line on stderr that says `why`.
void expect_refused(const Outcome& outcome, const std::string& why, int status = 2) {
  EXPECT_EQ(outcome.status, status) << why;
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr(why));
  EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
}

constexpr int kDamage = 1;

/// Bytes of files that are no safetensors, and what is said of each.
std::vector<std::pair<std::string, std::string>> unsound_files() {
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  return {
      {"", "safetensors file: size: found 0 bytes"},
      {"1234", "safetensors file: size: found 4 bytes"},
      {raw_file(good, 8).substr(0, 20), "where the file ends"},
      {raw_file(good, 7), "where the file ends"},
      {raw_file(good, 9), "data section: found 9 bytes"},
      {raw_file("no JSON", 0), "'{' first"},
      {raw_file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                12),
       "without holes or overlap"},
      {raw_file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})", 8), "data_offsets"},
      {raw_file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                R"("a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
                16),
       "the name twice"},
  };
}

class BadInput : public CommandTest {
 protected:
  void refuses_file(const std::string& bytes, const std::string& why) {
    write_bytes(file("bad"), bytes);
    expect_refused(cairn({"import", file("bad"), root(), "--step", "0"}), why, kDamage);
    expect_refused(cairn({"inspect", file("bad")}), why, kDamage);
    expect_verified_as_damage(why);
    EXPECT_FALSE(std::filesystem::exists(root()));
  }
  void expect_verified_as_damage(const std::string& why) {
    const Outcome verified = cairn({"verify", file("bad")});
    EXPECT_EQ(verified.status, kDamage) << why;
    EXPECT_THAT(verified.out, HasSubstr(why));
  }
};
CAIRN_ON_EVERY_BACKEND(BadInput);

TEST_P(BadInput, RefusesSafetensorsFilesThatAreNotSound) {
  for (const auto& [bytes, why] : unsound_files()) refuses_file(bytes, why);
}

TEST_P(BadInput, TakesAnIndexThatContradictsItsFilesForDamage) {
  safetensors::Header header;
  header.tensors = {tensor("a", DType::int8, {1})};
  write_bytes(file("1.safetensors"), safetensors_file(header, 1));
  const std::string index = file("m.safetensors.index.json");
  for (const auto& [json, why] : std::vector<std::pair<std::string, std::string>>{
           {"{", "m.safetensors.index.json at byte "},
           {R"({"weight_map":{}})", "the index names no tensors"},
           {R"({"weight_map":{"z":"1.safetensors"}})", "whose header does not have it"}}) {
    write_bytes(index, json);
    expect_refused(cairn({"import", index, root(), "--step", "0"}), why, kDamage);
    expect_refused(cairn({"inspect", index}), why, kDamage);
  }
}

TEST_P(BadInput, TakesSoundFilesThatItCannotImportForNoDamage) {
  write_bytes(file("bad"), raw_file("{}", 0));
  expect_refused(cairn({"import", file("bad"), root(), "--step", "0"}), "the file has no tensors");
  EXPECT_EQ(cairn({"inspect", file("bad")}).status, 0);
  // A dtype of a version that is still to come.
  write_bytes(file("bad"),
              raw_file(R"({"a":{"dtype":"F128","shape":[1],"data_offsets":[0,16]}})", 16));
  for (const std::vector<std::string>& line :
       {std::vector<std::string>{"import", file("bad"), root(), "--step", "0"},
        {"inspect", file("bad")}}) {
    expect_refused(cairn(line), "F128");
  }
  EXPECT_FALSE(std::filesystem::exists(root()));
}

TEST_P(BadInput, KeepsEarlierStepsWhateverAnImportIsGiven) {
  const Tree before(Dict{{"w", Tree(Array(DType::float32, {1000}))}, {"n", 1}});
  save(0, before);
  for (const auto& [bytes, why] : unsound_files()) {
    write_bytes(file("bad"), bytes);
    for (const std::vector<std::string>& how :
         {std::vector<std::string>{"--step", "1"}, {"--step", "0", "--overwrite"}}) {
      std::vector<std::string> line{"import", file("bad"), root()};
      line.insert(line.end(), how.begin(), how.end());
      expect_refused(cairn(line), why, kDamage);
    }
  }
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0"}));
  CheckpointManager manager(root(), options());
  EXPECT_EQ(manager.restore(0).get().tree(), before);
}

TEST_P(BadInput, RefusesAHeaderAboveTheLimit) {
  write_bytes(file("bad"), std::string("\x01\xe1\xf5\x05\0\0\0\0", 8));  // 100,000,001
  std::filesystem::resize_file(file("bad"), 200'000'000);                // sparse
  expect_refused(cairn({"import", file("bad"), root(), "--step", "0"}), "at most 100000000",
                 kDamage);
}

TEST_P(BadInput, RefusesNamesThatRunIntoEachOther) {
  safetensors::Header header;
  header.tensors = {tensor("a", DType::int8, {1}), tensor("a/b", DType::int8, {1})};
  write_bytes(file("bad"), safetensors_file(header, 1));
  expect_refused(cairn({"import", file("bad"), root(), "--step", "0"}),
                 "lies below that of another leaf");
  header.tensors = {tensor("", DType::int8, {}), tensor("c/0", DType::int8, {1})};
  write_bytes(file("bad"), safetensors_file(header, 1));
  expect_refused(cairn({"import", file("bad"), root(), "--step", "0"}),
                 "runs into the keys of the leaf whose name is empty");
  EXPECT_EQ(cairn({"ls", root()}).out, root() + ": no steps\n");
}

TEST_P(BadInput, RefusesAnInputThatIsNoFile) {
  expect_refused(cairn({"import", file("missing"), root(), "--step", "0"}), "No such file");
  expect_refused(cairn({"import", file("."), root(), "--step", "0"}),
                 "no safetensors file and no index");
  EXPECT_FALSE(std::filesystem::exists(root()));
}

TEST_P(BadInput, RefusesRootsThatAreMissingOrFiles) {
  write_bytes(file("plain"), "text");
  for (const std::string command : {"ls", "inspect", "verify"}) {
    expect_refused(cairn({command, root()}), "No such file or directory");
  }
  expect_refused(cairn({"ls", file("plain")}), "Not a directory");
  // A file can be safetensors alone, which this one is not.
  expect_refused(cairn({"inspect", file("plain")}), "safetensors file: size: found 4 bytes",
                 kDamage);
  const Outcome verified = cairn({"verify", file("plain")});
  EXPECT_EQ(verified.status, 1);
  EXPECT_THAT(verified.out, HasSubstr("safetensors file: size: found 4 bytes"));
  expect_refused(cairn({"export", root(), file("out")}), "No such file or directory");
  EXPECT_FALSE(std::filesystem::exists(file("out")));
}

TEST_P(BadInput, RefusesToImportIntoAFileOrWhereNothingCanBeWritten) {
  safetensors::Header header;
  header.tensors = {tensor("a", DType::int8, {1})};
  const std::string good = file("good");
  write_bytes(good, safetensors_file(header, 1));
  expect_refused(cairn({"import", good, good, "--step", "0"}), "Not a directory");
  // sysfs takes no directories, from the superuser neither.
  const Outcome refused = cairn({"import", good, "/sys/cairn-test-root", "--step", "0", "--json"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_EQ(refused.json().at("error").at("code").as_string(), "permission_denied");
  EXPECT_THAT(refused.err, HasSubstr("/sys"));
}

TEST_P(BadInput, ListsTheStepsThereAreWhereOneIsMissing) {
  std::filesystem::create_directory(root());
  expect_refused(cairn({"verify", root()}), "there is no step");
  expect_refused(cairn({"inspect", root()}), "there is no step");
  save(2, Dict{{"a", 1}});
  save(11, Dict{{"a", 1}});
  for (const std::string command : {"inspect", "verify"}) {
    expect_refused(cairn({command, root(), "--step", "3"}), "there is no step 3; steps: 2, 11");
  }
  expect_refused(cairn({"export", root(), file("out"), "--step", "3"}), "steps: 2, 11");
}

TEST_P(BadInput, KeepsAFileThatIsThereUnlessForced) {
  save(0, Dict{{"a", 1}});
  write_bytes(file("out"), "precious");
  expect_refused(cairn({"export", root(), file("out")}), "the file is there already");
  EXPECT_EQ(read_file(file("out")), "precious");
  EXPECT_EQ(cairn({"export", root(), file("out"), "--force"}).status, 0);
  EXPECT_NE(read_file(file("out")), "precious");
  expect_refused(cairn({"export", root(), file("."), "--force"}), "is a directory");
  expect_refused(cairn({"export", root(), file("none/out")}), "No such file or directory");
  for (const auto& entry : std::filesystem::directory_iterator(file("."))) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".cairn-export-"));
  }
}

TEST_P(BadInput, ReplacesNothingButARegularFile) {
  save(0, Dict{{"a", 1}});
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  write_bytes(file("target"), "precious");
  std::filesystem::create_symlink("target", file("link"));
  std::filesystem::create_symlink("/dev/null", file("device"));
  std::filesystem::create_symlink("nowhere", file("dangling"));
  for (const char* name : {"fifo", "link", "device", "dangling"})
    expect_refused(cairn({"export", root(), file(name), "--force"}), "not a file");
  expect_refused(cairn({"export", root(), "/dev/null", "--force"}), "not a file");
  // Nor the index that the file would make stale.
  ASSERT_EQ(::mkfifo(file("m.safetensors.index.json").c_str(), 0600), 0);
  expect_refused(cairn({"export", root(), file("m.safetensors"), "--force"}), "not a file");
  EXPECT_TRUE(std::filesystem::is_fifo(file("fifo")));
  EXPECT_TRUE(std::filesystem::is_symlink(file("link")));
  EXPECT_EQ(read_file(file("target")), "precious");
}

TEST(CommandLine, RefusesWrongUsageWithStatusTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"unknown"},
                                             {"ls"},
                                             {"ls", "/", "--nonsense"},
                                             {"ls", "/", "--backend", "smoke"},
                                             {"verify", "/", "--step", "-1"},
                                             {"verify", "/", "--step", "many"},
                                             {"import", "/x", "/y"}}) {
    const Outcome outcome = run_cairn(arguments);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err, "");
  }
}

TEST(CommandLine, TellsItsVersionAndHelp) {
  EXPECT_EQ(run_cairn({"--version"}).out, "cairn " CAIRN_VERSION_STRING "\n");
  for (const std::string command : {"ls", "inspect", "verify", "import", "export", "doctor"}) {
    const Outcome help = run_cairn({command, "--help"});
    EXPECT_EQ(help.status, 0);
    EXPECT_THAT(help.out, AllOf(HasSubstr("--json"), HasSubstr("JSON: {")));
  }
}

TEST(CommandLine, FailsWhereItsOutputCannotBeWritten) {
  for (const std::vector<std::string>& line :
       {std::vector<std::string>{"doctor", "--json"}, {"--version"}, {"--help"}}) {
    const Outcome outcome = run_cairn(line, "/dev/full");
    EXPECT_EQ(outcome.status, 2) << line[0];
    EXPECT_THAT(outcome.err, HasSubstr("standard output")) << line[0];
  }
}

TEST(CommandLine, ReadsStepsAsOrbaxNamesThem) {
  // Octal, hexadecimal, too large, signed: numbers that mean another step than their user does.
  for (const char* step : {"010", "0x10", "99999999999999999999", "-1", "+1", "1 ", ""}) {
    const Outcome outcome = run_cairn({"verify", "/nowhere", "--step", step});
    EXPECT_EQ(outcome.status, 2) << step;
    EXPECT_THAT(outcome.err, HasSubstr("--step")) << step;
  }
}

}  // namespace
}  // namespace cairn::test

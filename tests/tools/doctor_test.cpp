// cairn doctor.

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tools/command.h"

namespace cairn::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Doctor : public CommandTest {};
CAIRN_ON_EVERY_BACKEND(Doctor);

TEST_P(Doctor, TellsWhatItFoundAndLeavesNothing) {
  std::filesystem::create_directory(root());
  const Outcome outcome = cairn({"doctor", root()});
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("write               works"), HasSubstr("direct I/O"),
                    HasSubstr("memlock"), HasSubstr("staging"), HasSubstr("registered buffers")));
  EXPECT_TRUE(std::filesystem::is_empty(root()));
}

TEST_P(Doctor, GivesProgramsEveryField) {
  const auto document = cairn({"doctor", file("."), "--json"}).json();
  EXPECT_EQ(document.at("backend").at("name").as_string(), to_string(GetParam()));
  EXPECT_NE(document.at("backend").at("reason").as_string(), "");
  EXPECT_GT(document.at("backend").at("queue_depth").to_number<int>(), 0);
  const auto& backend = document.at("backend").as_object();
  EXPECT_EQ(backend.at("registered_buffers").as_bool(),
            backend.at("registered_bytes").to_number<std::uint64_t>() > 0);
  EXPECT_NE(backend.at("registered_buffers").as_bool(),
            !backend.at("registered_reason").as_string().empty())
      << "the probe writes from the window: it is registered, or there is a cause";
  EXPECT_TRUE(document.at("writable").as_bool());
  EXPECT_EQ(document.at("direct_io").at("works").as_bool(),
            document.at("direct_io").at("alignment").to_number<int>() > 0);
  EXPECT_GT(document.at("free_bytes").to_number<std::uint64_t>(), 0u);
  EXPECT_GT(document.at("staging_bytes").to_number<std::uint64_t>(), 0u);
  EXPECT_GT(document.at("cpu_threads").to_number<int>(), 0);
  EXPECT_NE(document.at("file_system").as_string(), "");
  EXPECT_TRUE(document.at("findings").is_array());
  EXPECT_TRUE(document.contains("memlock_bytes"));
}

TEST_P(Doctor, FindsADirectoryInWhichNothingCanBeWritten) {
  const Outcome outcome = cairn({"doctor", "/proc"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.out, HasSubstr("problem: write: no file can be written here"));
}

TEST_P(Doctor, NamesWhatAKilledSaveLeftAndHowToRemoveIt) {
  std::filesystem::create_directories(root() + "/it's/7.orbax-checkpoint-tmp/default");
  const Outcome outcome = cairn({"doctor", root() + "/it's"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(
      outcome.out,
      AllOf(HasSubstr("warning: leftover: 7.orbax-checkpoint-tmp: save that has not committed"),
            HasSubstr("If its writer is gone: rm -r -- '" + root() +
                      "/it'\\''s/7.orbax-checkpoint-tmp'.\n")));
  const auto document = cairn({"doctor", root() + "/it's", "--json"}).json();
  bool named = false;
  for (const auto& finding : document.at("findings").as_array())
    named = named || finding.at("subject") == "leftover";
  EXPECT_TRUE(named);
}

TEST_P(Doctor, SuggestsToRemoveNothingOfAnothers) {
  std::filesystem::create_directories(root() + "/backup.orbax-checkpoint-tmp");
  std::filesystem::create_directories(root() + "/7.orbax-checkpoint-tmp.saved");
  const Outcome outcome = cairn({"doctor", root()});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, Not(HasSubstr("rm -r")));
}

/// Mounts a file system of 16 KiB on `directory`, in namespaces of this process's own. False where
/// the machine allows none.
bool mount_small(const std::string& directory) {
  const std::string user = "0 " + std::to_string(::getuid()) + " 1";
  const std::string group = "0 " + std::to_string(::getgid()) + " 1";
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  std::ofstream("/proc/self/setgroups") << "deny";  // else an ordinary user may map no group
  std::ofstream("/proc/self/uid_map") << user;
  std::ofstream("/proc/self/gid_map") << group;
  return ::mount("none", directory.c_str(), "tmpfs", 0, "size=16k") == 0;
}

TEST_P(Doctor, SaysOfAFullFileSystemThatItIsFull) {
  constexpr int kNotAllowed = 2;
  std::filesystem::create_directory(root());
  const pid_t child = ::fork();  // mounts are its own
  if (child == 0) {
    if (!mount_small(root())) ::_exit(kNotAllowed);
    const Outcome outcome = cairn({"doctor", root()});
    write_bytes(file("out"), std::to_string(outcome.status) + outcome.out);
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotAllowed)
    GTEST_SKIP() << "no mounts in a user namespace here";
  const std::string out = read_file(file("out"));
  EXPECT_EQ(out.front(), '1');
  EXPECT_THAT(out, AllOf(HasSubstr("free space: 16.0 KiB are free"),
                         HasSubstr("no file can be written here: No space left on device. Free "
                                   "space on the file system or keep fewer steps.\n"),
                         Not(HasSubstr("owner"))));
  EXPECT_LT(out.find(": free space:"), out.find(": write:")) << "the cause comes first";
}

TEST_P(Doctor, RefusesWhatIsNoDirectory) {
  write_bytes(file("plain"), "");
  EXPECT_EQ(cairn({"doctor", file("missing")}).status, 2);
  EXPECT_EQ(cairn({"doctor", file("plain")}).status, 2);
}

}  // namespace
}  // namespace cairn::test

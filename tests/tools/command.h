#pragma once
// Runs the `cairn` command and keeps what it prints.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/backends.h"
#include "support/files.h"
#include "support/manager_fixture.h"

namespace cairn::test {

inline void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

struct Outcome {
  int status = -1;  ///< -1: ended by a signal
  std::string out;
  std::string err;
  /// stdout, which must be one JSON object.
  [[nodiscard]] boost::json::object json() const { return boost::json::parse(out).as_object(); }
};

/// Runs the program that was built beside this one, in the working directory. `to`: a device that
/// takes stdout instead.
inline Outcome run_cairn(const std::vector<std::string>& arguments, const std::string& to = "") {
  const TempDirectory scratch;
  const std::string program =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "cairn").string();
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const std::string out = to.empty() ? scratch / "out" : std::filesystem::path(to);
  const std::string err = scratch / "err";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), kFlags, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), kFlags, 0600);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot run " + program);
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) throw std::runtime_error("waitpid failed");
  Outcome outcome;
  if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
  if (to.empty()) outcome.out = read_file(out);
  outcome.err = read_file(err);
  return outcome;
}

/// A root in a temporary directory, and the command on the backend under test.
class CommandTest : public ManagerTest {
 protected:
  [[nodiscard]] std::filesystem::path file(const std::string& name) const {
    return std::filesystem::path(root()).parent_path() / name;
  }
  [[nodiscard]] static Outcome cairn(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--backend", to_string(GetParam())});
    return run_cairn(arguments);
  }
  void save(Step step, Tree tree, SaveOptions save_options = {}) {
    CheckpointManager manager(root(), options());
    save_options.force = true;
    ASSERT_TRUE(manager.save(step, std::move(tree), std::move(save_options)).get());
  }
  /// The largest file of an item: the data file.
  [[nodiscard]] std::filesystem::path data_file(Step step) const {
    std::filesystem::path largest;
    std::uintmax_t most = 0;
    const auto place = std::filesystem::path(root()) / std::to_string(step);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(place)) {
      if (!entry.is_regular_file() || entry.file_size() <= most) continue;
      most = entry.file_size();
      largest = entry.path();
    }
    return largest;
  }
};

}  // namespace cairn::test

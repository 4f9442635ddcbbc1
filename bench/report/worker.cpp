#include "report/worker.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <system_error>

#include "report/measure.h"

extern char** environ;

namespace cairn::bench {
namespace {

using Worker = boost::json::object (*)(const boost::json::object&);
struct NamedWorker {
  std::string_view name;
  Worker run;
};
constexpr NamedWorker kWorkers[] = {{"save", save_worker},
                                    {"restart", restart_worker},
                                    {"memory", memory_worker},
                                    {"peer", peer_worker}};

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::system_error(error, std::generic_category(), what);
}

struct Output {
  std::string text;
  int status = 0;
};

/// What the program wrote to its standard output; its errors go where ours do.
Output output_of(const std::vector<std::string>& command) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe2", errno);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::vector<char*> arguments;
  for (const std::string& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int error =
      ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (error != 0) {
    ::close(ends[0]);
    fail("cannot run " + command.front(), error);
  }
  Output output;
  std::array<char, 4096> block{};
  for (;;) {
    const ssize_t count = ::read(ends[0], block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    output.text.append(block.data(), static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  while (::waitpid(child, &output.status, 0) < 0 && errno == EINTR) {
  }
  return output;
}

/// The object that the text ends with; notes may stand before it.
boost::json::object last_object(const std::string& text) {
  for (std::size_t at = text.find('{'); at != std::string::npos; at = text.find('{', at + 1)) {
    boost::system::error_code error;
    boost::json::value value = boost::json::parse(text.substr(at), error);
    if (!error && value.is_object()) return std::move(value.as_object());
  }
  throw std::runtime_error("it printed no JSON object");
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& command) {
  const Stopwatch watch;
  const Output output = output_of(command);
  ProgramResult result;
  result.seconds = watch.seconds();
  std::string line;
  for (const std::string& argument : command) line += (line.empty() ? "" : " ") + argument;
  const bool ended = WIFEXITED(output.status);
  if (!ended || WEXITSTATUS(output.status) != 0) {
    const std::string how = ended ? "exit status " + std::to_string(WEXITSTATUS(output.status))
                                  : "signal " + std::to_string(WTERMSIG(output.status));
    throw std::runtime_error(line + ": " + how + ": " + output.text);
  }
  try {
    result.printed = last_object(output.text);
  } catch (const std::exception& error) {
    throw std::runtime_error(line + ": " + error.what() + ": " + output.text);
  }
  return result;
}

boost::json::object run_worker(std::string_view name, const boost::json::object& arguments) {
  return run_worker("/proc/self/exe", name, arguments);
}

boost::json::object run_worker(const std::string& program, std::string_view name,
                               const boost::json::object& arguments) {
  return run_program({program, "--worker", std::string(name), boost::json::serialize(arguments)})
      .printed;
}

int worker_main(std::string_view name, std::string_view arguments) {
  try {
    for (const NamedWorker& worker : kWorkers) {
      if (worker.name != name) continue;
      const boost::json::value given = boost::json::parse(arguments);
      std::printf("%s\n", boost::json::serialize(worker.run(given.as_object())).c_str());
      return 0;
    }
    throw std::invalid_argument("no worker has this name");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "worker %s: %s\n", std::string(name).c_str(), error.what());
    return 2;
  }
}

}  // namespace cairn::bench

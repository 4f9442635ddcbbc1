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
#include <utility>

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

/// A pipe whose ends are closed with it, unless they were closed or taken before.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) fail("pipe2", errno);
  }
  ~Pipe() {
    for (const int end : ends_)
      if (end >= 0) ::close(end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  [[nodiscard]] int reading() const { return ends_[0]; }
  [[nodiscard]] int writing() const { return ends_[1]; }
  int take_reading() { return std::exchange(ends_[0], -1); }
  int take_writing() { return std::exchange(ends_[1], -1); }

 private:
  std::array<int, 2> ends_{};
};

/// Its errors go where ours do, and so does its input unless one is given.
pid_t start(const std::vector<std::string>& command, const Pipe& output, const Pipe* input) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output.writing(), STDOUT_FILENO);
  if (input != nullptr) {
    posix_spawn_file_actions_adddup2(&actions, input->reading(), STDIN_FILENO);
  }
  std::vector<char*> arguments;
  for (const std::string& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int error =
      ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail("cannot run " + command.front(), error);
  return child;
}

/// Appends what is there to read; false at its end.
bool read_some(int from, std::string& text) {
  std::array<char, 4096> block{};
  ssize_t count = 0;
  do {
    count = ::read(from, block.data(), block.size());
  } while (count < 0 && errno == EINTR);
  if (count > 0) text.append(block.data(), static_cast<std::size_t>(count));
  return count > 0;
}

int wait_for_end(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

/// Of a process, as wait_for_end() gives it.
std::string how_it_ended(int status) {
  return WIFEXITED(status) ? "exit status " + std::to_string(WEXITSTATUS(status))
                           : "signal " + std::to_string(WTERMSIG(status));
}

/// What the program wrote to its standard output.
Output output_of(const std::vector<std::string>& command) {
  Pipe pipe;
  const pid_t child = start(command, pipe, nullptr);
  ::close(pipe.take_writing());
  Output output;
  while (read_some(pipe.reading(), output.text)) {
  }
  output.status = wait_for_end(child);
  return output;
}

std::vector<std::string> worker_command(const std::string& program, std::string_view name,
                                        const boost::json::object& arguments) {
  return {program, "--worker", std::string(name), boost::json::serialize(arguments)};
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
  if (!WIFEXITED(output.status) || WEXITSTATUS(output.status) != 0) {
    const std::string how = how_it_ended(output.status);
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
  return run_program(worker_command(program, name, arguments)).printed;
}

LivingWorker::LivingWorker(std::string program, std::string_view name,
                           const boost::json::object& arguments)
    : program_(std::move(program)) {
  Pipe questions;
  Pipe answers;
  pid_ = start(worker_command(program_, name, arguments), answers, &questions);
  to_ = questions.take_writing();
  from_ = answers.take_reading();
}

LivingWorker::~LivingWorker() {
  if (to_ >= 0) ::close(to_);
  if (pid_ != 0) wait_for_end(pid_);
  ::close(from_);
}

boost::json::object LivingWorker::ask() {
  if (pid_ == 0) throw std::logic_error(program_ + " --worker has ended already");
  std::string line;
  if (::write(to_, "\n", 1) == 1) {
    // Notes may come before the object.
    while (!line.ends_with("}\n") && read_some(from_, line)) {
    }
  }
  if (!line.ends_with("}\n")) {
    ::close(std::exchange(to_, -1));  // what still waits for a question ends
    const std::string how = how_it_ended(wait_for_end(std::exchange(pid_, 0)));
    throw std::runtime_error(program_ + " --worker ended, " + how + ": see what it printed above");
  }
  return last_object(line);
}

bool asked() {
  return std::getchar() == '\n';
}

void answer(const boost::json::object& object) {
  std::printf("%s\n", boost::json::serialize(object).c_str());
  std::fflush(stdout);
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

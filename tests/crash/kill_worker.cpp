// Saves, overwrites and deletes until it is killed; every line that it prints before it acts tells
// the parent what a step's content will be, and every acknowledgement what is certain.
//
//   kill_worker ROOT BACKEND SEED FIRST_VERSION KILL_AT
//
// BACKEND is uring or threads. With KILL_AT = N > 0 it kills itself at the N-th operation: before
// the operation when N is even, when it is complete but before anybody knows when N is odd.
//   begin save STEP VERSION | begin delete STEP | save STEP | delete STEP | op NAME PATH

#include <cairn/engine/internal/decorator.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <random>
#include <string>

#include "crash/history.h"

namespace cairn::test {
namespace {

constexpr int kChangesMax = 200;  // a worker that nobody kills ends
constexpr int kFailed = 4;

// One write for a line: lines of several threads do not mix, and none is lost with the process.
void say(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) ::_exit(kFailed);
}

class KillingBackend final : public engine::internal::Decorator {
 public:
  KillingBackend(std::unique_ptr<engine::IoBackend> inner, std::uint64_t kill_at)
      : Decorator(std::move(inner)), kill_at_(kill_at) {}
  ~KillingBackend() override { shut_down(-1); }

 private:
  bool on_submit(engine::IoRequest& request, Note& note, Wrapper*) override {
    note.position = ++operations_;
    say(fmt::format("op {} {}", engine::to_string(request.op), request.path));
    if (note.position == kill_at_ && kill_at_ % 2 == 0) die();
    return true;
  }
  void on_complete(engine::IoRequest&, engine::IoResult&, const Note& note) noexcept override {
    if (note.position == kill_at_ && kill_at_ % 2 == 1) die();
  }
  static void die() { ::kill(::getpid(), SIGKILL); }

  const std::uint64_t kill_at_;
  std::atomic<std::uint64_t> operations_ = 0;
};

void save(CheckpointManager& manager, Step step, std::int64_t version) {
  say(fmt::format("begin save {} {}", step, version));
  static_cast<void>(
      manager.save(step, args::PyTreeSave(content(step, version)), save_options(version, true))
          .get());
  manager.wait_until_finished().get();
}

void remove(CheckpointManager& manager, Step step) {
  say(fmt::format("begin delete {}", step));
  manager.delete_step(step).get();
}

void work(CheckpointManager& manager, std::uint64_t seed, std::int64_t version) {
  std::mt19937_64 random(seed);
  for (int change = 0; change < kChangesMax; ++change) {
    const std::vector<Step> steps = manager.all_steps();
    const std::uint64_t choice = random() % 8;
    if (choice < 2 && steps.size() > 1) {
      remove(manager, steps[random() % steps.size()]);
    } else if (choice < 4 && !steps.empty()) {
      save(manager, steps.back(), version + change);
    } else {
      save(manager, steps.empty() ? 1 : steps.back() + 1, version + change);
    }
  }
}

int main_of_worker(char** arguments) {
  engine::BackendOptions backend;
  backend.kind = std::string(arguments[2]) == "uring" ? engine::BackendKind::uring
                                                      : engine::BackendKind::threads;
  const std::uint64_t kill_at = std::strtoull(arguments[5], nullptr, 10);
  ManagerOptions options;
  options.engine =
      small_engine(std::make_unique<KillingBackend>(engine::make_backend(backend), kill_at));
  options.max_to_keep = 2;
  options.logger = std::make_shared<AcknowledgementLogger>([](const std::string& l) { say(l); });
  try {
    CheckpointManager manager(arguments[1], options);
    work(manager, std::strtoull(arguments[3], nullptr, 10),
         std::strtoll(arguments[4], nullptr, 10));
  } catch (const std::exception& error) {
    say(fmt::format("error {}", error.what()));
    return kFailed;
  }
  return 0;
}

}  // namespace
}  // namespace cairn::test

int main(int count, char** arguments) {
  if (count != 6) return 2;
  return cairn::test::main_of_worker(arguments);
}

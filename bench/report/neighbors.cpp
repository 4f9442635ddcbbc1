#include "report/neighbors.h"

#include <pthread.h>

#include <cstdint>
#include <filesystem>
#include <latch>
#include <memory>
#include <stop_token>
#include <thread>

#include "report/engine_writes.h"
#include "report/measure.h"

namespace cairn::bench {
namespace {

std::vector<double> steps_beside_saves(TrainerLoad& trainer, std::size_t steps,
                                       const SaveKind& kind, const Workload& state, SaveRoom& room,
                                       SavesDone& done) {
  SaveStream stream(kind, state, room);
  return trainer.run(steps, [&](const std::latch& enough) {
    done = stream.run([&] { return enough.try_wait(); });
  });
}

/// The same beside an engine that writes as much as a save, again and again, and copies and
/// computes nothing: what the disk's work costs a trainer.
std::vector<double> steps_beside_writes(TrainerLoad& trainer, std::size_t steps,
                                        const std::shared_ptr<engine::Engine>& engine,
                                        const std::shared_ptr<const FreshBlock>& block,
                                        std::uint64_t bytes, SaveRoom& room, SavesDone& done) {
  const std::filesystem::path root = room.new_root();  // which may first remove what there was
  std::filesystem::create_directory(root);
  return trainer.run(steps, [&](const std::latch& enough) {
    const Stopwatch watch;
    do {
      const Written written =
          write_blocks(engine, root.string(), std::to_string(done.bytes), bytes, block);
      room.note_written(written.bytes);
      done.bytes += written.bytes;
    } while (!enough.try_wait() && done.bytes + bytes <= room.stream_bytes_max());
    done.seconds = watch.seconds();
  });
}

/// Keeps a core busy that has nothing else to run, with neither memory nor disk: what a trainer
/// loses when no core sleeps, and where cores share a real one, its clock or the host's time.
class BusyCore {
 public:
  BusyCore() {
    // It gives way to whoever wants the core; where a sandbox refuses that, it takes its share.
    const sched_param none{};
    static_cast<void>(::pthread_setschedparam(thread_.native_handle(), SCHED_IDLE, &none));
  }

 private:
  std::jthread thread_{[](const std::stop_token& stop) {
    volatile std::uint64_t counted = 0;
    while (!stop.stop_requested()) counted = counted + 1;
  }};
};

}  // namespace

std::vector<Neighbor> neighbors_of(TrainerLoad& trainer, const StepsBeside& steps,
                                   const std::vector<SaveKind>& kinds, const Workload& state,
                                   SaveRoom& room) {
  std::vector<Neighbor> neighbors;
  neighbors.push_back(
      {"_busy", "no save: a core is busy", [&trainer, count = steps.design](SavesDone&) {
         const BusyCore busy;
         return trainer.run(count, nothing_beside);
       }});
  for (const SaveKind& kind : kinds) {
    const std::size_t count = kind.suffix.empty() ? steps.design : steps.other;
    neighbors.push_back({kind.suffix, kind.what, [&, count](SavesDone& done) {
                           return steps_beside_saves(trainer, count, kind, state, room, done);
                         }});
  }
  const auto block = std::make_shared<const FreshBlock>(1, Pages::huge);
  neighbors.push_back({"_writes", "no save: the engine alone writes as much",
                       [&, count = steps.other, block](SavesDone& done) {
                         return steps_beside_writes(trainer, count, kinds.front().engine, block,
                                                    state.bytes(), room, done);
                       }});
  return neighbors;
}

}  // namespace cairn::bench

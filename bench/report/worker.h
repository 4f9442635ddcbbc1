#pragma once
// Measurements that need a process of their own: a restart, peak memory, what a peer's process is
// compared with. The report starts itself again.

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::bench {

/// Runs the worker of that name in a new process of this program and waits for the object that it
/// gives. Throws std::runtime_error with its words where it fails.
[[nodiscard]] boost::json::object run_worker(std::string_view name,
                                             const boost::json::object& arguments);
/// The same in another program that has workers.
[[nodiscard]] boost::json::object run_worker(const std::string& program, std::string_view name,
                                             const boost::json::object& arguments);
/// A worker that goes on until this ends: it does its work once whenever it is asked to. Not
/// thread-safe.
class LivingWorker {
 public:
  /// Starts it in `program`, which has workers. Throws std::system_error.
  LivingWorker(std::string program, std::string_view name, const boost::json::object& arguments);
  /// Waits until it has ended.
  ~LivingWorker();
  LivingWorker(const LivingWorker&) = delete;
  LivingWorker& operator=(const LivingWorker&) = delete;
  /// Has it work once, and waits for the object that it gives. Throws std::runtime_error where it
  /// has failed; it has said why to the standard error.
  boost::json::object ask();

 private:
  std::string program_;
  int to_ = -1;
  int from_ = -1;
  int pid_ = 0;
};
/// In a living worker: the next ask() has been heard; false: its owner has ended.
[[nodiscard]] bool asked();
/// In a living worker: the answer.
void answer(const boost::json::object& object);

/// Any program that prints one JSON object, maybe after notes, and how long it took in all.
struct ProgramResult {
  boost::json::object printed;
  double seconds = 0;
};
/// Throws std::runtime_error with its words where it fails or prints no object.
[[nodiscard]] ProgramResult run_program(const std::vector<std::string>& command);

/// What the new process does: finds the worker, runs it, prints its object. An exit status.
int worker_main(std::string_view name, std::string_view arguments);

// The workers, each declared here and defined with its section.

/// {"root", "bytes", "seed"}: living; {"seconds", "cpu_s_per_gb"} of a raw save of llama to
/// durable, in a process that has warmed up.
boost::json::object save_worker(const boost::json::object& arguments);
/// {"root", "began_ns"} -> {"seconds"}: from `began_ns` (steady clock) to every tensor usable.
boost::json::object restart_worker(const boost::json::object& arguments);
/// {"root", "workload", "codec", "bytes", "seed", "staging", "window"} -> {"idle", "peak",
/// "leaves"}, bytes of memory.
boost::json::object memory_worker(const boost::json::object& arguments);
/// {"mode": "save", "safetensors", "root", "codec"} or {"mode": "restore", "safetensors", "root",
/// "warm", "verify"} -> what a peer's process prints, see bench/peers/__main__.py.
boost::json::object peer_worker(const boost::json::object& arguments);

}  // namespace cairn::bench

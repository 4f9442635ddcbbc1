#pragma once
// Coordination of processes of one host over Unix domain sockets: for jobs that fork, and for tests
// of what several processes do. Process 0 has the hub; one thread per process ("cairn-coord").

#include <cairn/engine/clock.h>
#include <cairn/export.h>
#include <cairn/manager/coordination.h>

#include <chrono>
#include <memory>
#include <string>

namespace cairn {

/// Which process this is, and where it finds the others.
struct LocalCoordination {
  ProcessIndex index = 0;  ///< of this process, below `count`
  ProcessIndex count = 1;  ///< of all processes
  /// The socket file, at most 91 bytes: process 0 makes it (mode 0600), replaces what a dead job
  /// has left there, and removes it at the end. One path per job, in a directory that exists and
  /// that only its user can write to. Processes of other users are turned away. Not used where
  /// count is 1.
  std::string path;
  std::shared_ptr<engine::Clock> clock;  ///< of all timeouts; none = engine::system_clock()
  /// How long destruction may wait for processes to take what they have been sent. Real time: the
  /// clock may stand still, and a destructor must not.
  std::chrono::milliseconds linger{5000};
};

/// This process's coordinator; the others find each other by the path. Does not wait for them: who
/// comes before process 0 tries again until it is there, and operations wait, up to their timeouts.
/// A process has one coordinator in a job's life; a connection that is lost does not come again. In
/// a forked child of the process it is of no use (ErrorCode::closed) and in nobody's way. Throws
/// Error: invalid_argument for an index, count or path that cannot be; process 0 also busy, where
/// somebody listens at the path, and what the system says where it cannot listen there.
[[nodiscard]] CAIRN_EXPORT std::shared_ptr<Coordinator> local_coordinator(
    LocalCoordination options);

/// The same for processes that one process forks, without a path:
///
///     LocalGroup group(2);
///     const pid_t child = fork();                      // before any thread is started
///     auto coordinator = group.join(child == 0 ? 1 : 0);
///
/// Made before the forks; then in each process join() or the destructor ends it, which closes the
/// sockets of the others: while any process holds them, the end of the one that they belong to is
/// not seen.
class CAIRN_EXPORT LocalGroup {
 public:
  /// Throws Error: invalid_argument for 0 or too many, resource_exhausted without descriptors.
  explicit LocalGroup(ProcessIndex count);
  ~LocalGroup();
  LocalGroup(const LocalGroup&) = delete;
  LocalGroup& operator=(const LocalGroup&) = delete;

  /// The coordinator of process `index`; once in each process, and by one process for each index.
  /// Throws invalid_argument.
  [[nodiscard]] std::shared_ptr<Coordinator> join(ProcessIndex index,
                                                  std::shared_ptr<engine::Clock> clock = nullptr);

 private:
  struct Sockets;
  ProcessIndex count_;
  std::unique_ptr<Sockets> sockets_;
};

}  // namespace cairn

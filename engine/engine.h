#pragma once
// The engine: one I/O backend with its reactor thread, one strand for coroutines, one CPU pool, the
// buffer arenas and the clock. Several managers share one engine.

#include <cairn/engine/buffer_arena.h>
#include <cairn/engine/clock.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/deadline.h>
#include <cairn/engine/io_backend.h>
#include <cairn/export.h>

#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace cairn::engine {

/// Whether transfers pass the page cache by: where the file system can, or else an error, or never.
enum class DirectIo : std::uint8_t { automatic, required, off };
/// Whether the arenas' memory is pinned and registered with the ring as transfers use it; automatic
/// goes without where the backend or a limit (RLIMIT_MEMLOCK) refuses, and stats() says why.
enum class RegisteredBuffers : std::uint8_t { off, automatic };

/// What an engine is made of.
struct EngineOptions {
  BackendOptions backend;
  DirectIo direct_io = DirectIo::automatic;
  RegisteredBuffers registered_buffers = RegisteredBuffers::off;
  std::size_t staging_bytes = 0;  ///< 0 = min(RAM or cgroup limit / 4, 4 GiB)
  /// Bytes being encoded, decoded, read or written; a quarter for writing alone, one for reading.
  std::size_t io_window_bytes = 256u << 20;
  unsigned cpu_threads = 0;               ///< 0 = available_cpus()
  std::shared_ptr<Clock> clock;           ///< none = system_clock()
  std::shared_ptr<CpuPool> cpu_pool;      ///< none = a oneTBB pool
  std::unique_ptr<IoBackend> io_backend;  ///< none = make_backend(backend); for decorators in tests
};

/// A snapshot of counters; each is exact, together they are not of one moment.
struct EngineStats {
  BackendInfo backend;
  DirectIo direct_io = DirectIo::automatic;  ///< as asked for; files_direct tells what came of it
  std::uint64_t operations_submitted = 0;
  std::uint64_t operations_completed = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t files_direct = 0;            ///< files opened with direct I/O
  std::uint64_t files_buffered = 0;          ///< files opened for data without it
  std::uint64_t quarantined_tasks = 0;       ///< deadline passed, kernel has not answered
  std::uint64_t quarantined_operations = 0;  ///< what these tasks had under way
  std::uint64_t quarantined_bytes = 0;
  BufferArena::Stats staging;
  BufferArena::Stats window;
  unsigned cpu_threads = 0;
};

/// True on the strand of any engine: a blocking wait there could never end.
[[nodiscard]] CAIRN_EXPORT bool on_any_strand() noexcept;

/// Shared by reference count. Members are thread-safe. The last owner's release waits for
/// operations under way and for what has been posted; on a thread of the engine's own, or while
/// tasks are in quarantine, it does not wait: the core ends by itself, later. After fork(), what
/// would need its threads fails in the child with Errc::forked_child (where there is no error to
/// give: thrown, as system_error), and destruction there does nothing.
class CAIRN_EXPORT Engine : public std::enable_shared_from_this<Engine> {
 public:
  /// Throws boost::system::system_error when a forced backend, the memory or a thread cannot be
  /// had.
  [[nodiscard]] static std::shared_ptr<Engine> create(EngineOptions options = {});
  /// The engine that managers use when none is given: made at first use, kept while anyone uses it.
  [[nodiscard]] static std::shared_ptr<Engine> shared_default();
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// The strand: one thread, apart from the reactor's. Coroutines of the manager run only here.
  /// Whoever posts holds the engine, or work of this executor, until post() has returned.
  [[nodiscard]] boost::asio::any_io_executor executor() const;
  /// True on the strand's own thread: blocking on a save from here would deadlock, so callers
  /// refuse.
  [[nodiscard]] bool on_strand() const noexcept;

  /// Where copies wait, what is being transferred, who copies and encodes, and the time.
  [[nodiscard]] BufferArena& staging() noexcept;
  [[nodiscard]] BufferArena& window() noexcept;
  [[nodiscard]] CpuPool& cpu();
  [[nodiscard]] Clock& clock() noexcept;

  /// For what outlives the engine, as a Watchdog may.
  [[nodiscard]] std::shared_ptr<Clock> shared_clock() const noexcept;
  /// As the options say, `automatic` included.
  [[nodiscard]] DirectIo direct_io() const noexcept;
  /// What it has done and what it holds.
  [[nodiscard]] EngineStats stats() const;

  /// Hands `operation` to the backend and counts it. Completes it with -EOWNERDEAD in a forked
  /// child.
  void submit(IoOperation* operation) noexcept;
  /// Asks that `operation` ends early, as IoBackend::cancel().
  void cancel(IoOperation* operation) noexcept;
  /// Closes `fd` without anybody waiting for it: on a dead file server a close may take for ever.
  /// In a forked child, at once.
  void close_later(int fd) noexcept;
  /// Counts an operation of submit()'s; its complete() calls this first.
  void note_completed(const IoRequest& request, const IoResult& result) noexcept;
  /// Whether File::read_cached() may pass the backend by: not where it is one of the caller's.
  [[nodiscard]] bool may_read_cached() const noexcept;
  /// Counts bytes read without an operation.
  void note_read(std::uint64_t bytes) noexcept;
  /// Counts a file opened for data, with direct I/O or without.
  void note_opened(bool direct) noexcept;

  /// Notes a task that its owner has given up while the kernel has not: `held` (its buffers and
  /// descriptors, may be null) stays until the entry is released, the counts show in stats().
  [[nodiscard]] QuarantineEntry quarantine(std::shared_ptr<void> held, std::uint64_t operations,
                                           std::uint64_t bytes);

  /// Throws system_error(Errc::forked_child) in a forked child; managers call it first thing.
  void check_usable() const;
  /// True in a child forked after this engine was made.
  [[nodiscard]] bool forked() const noexcept;

  struct Impl;
  /// For the engine's own sources.
  [[nodiscard]] Impl& impl() noexcept { return *impl_; }

 private:
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::engine

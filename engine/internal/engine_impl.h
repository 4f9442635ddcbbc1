#pragma once
// What an Engine owns.

#include <cairn/engine/deadline.h>
#include <cairn/engine/engine.h>
#include <cairn/engine/internal/strand_thread.h>

#include <atomic>
#include <cstdint>
#include <memory>

namespace cairn::engine {

/// The core: it may outlive its Engine, in the reaper's hands. Members end in reverse order, after
/// finish() has stopped what runs.
struct Engine::Impl {
  explicit Impl(EngineOptions options);
  /// Lets the strand run dry, then the backend. Never on a thread of the engine's own.
  void finish() noexcept;

  const std::uint64_t generation;
  const DirectIo direct_io;
  const std::shared_ptr<Clock> clock;
  BufferArena staging;
  BufferArena window;
  const std::shared_ptr<Quarantine> quarantine = std::make_shared<Quarantine>();
  std::atomic<std::uint64_t> submitted{0};
  std::atomic<std::uint64_t> completed{0};
  std::atomic<std::uint64_t> bytes_read{0};
  std::atomic<std::uint64_t> bytes_written{0};
  std::atomic<std::uint64_t> files_direct{0};
  std::atomic<std::uint64_t> files_buffered{0};
  const std::shared_ptr<CpuPool> cpu;
  const bool watched;  ///< the backend is one of the caller's, who is to see every operation
  const std::unique_ptr<IoBackend> backend;
  internal::StrandThread strand;
  Impl* next_forked = nullptr;  // list of those given up in a forked child
};

}  // namespace cairn::engine

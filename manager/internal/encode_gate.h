#pragma once
// Decides, chunk by chunk and in order, whether an array that pays to encode is encoded or left as
// it is, so that the disk never waits for the cores (EncodePolicy). Used on the strand only.

#include <cairn/manager/internal/storage.h>
#include <cairn/manager/options.h>

#include <deque>
#include <memory>

namespace cairn::internal {

/// How fast disk and cores have been: kept by the manager from save to save. Strand only.
struct Pace {
  Pace() = default;
  double disk_rate = 0;    ///< bytes/s while something was being written; 0: not known
  double encode_rate = 0;  ///< bytes/s of one worker, of elements; 0: likewise
};

class EncodeGate {
 public:
  /// `policy` may be empty: encode_by_load().
  EncodeGate(EnginePtr engine, EncodePolicy policy, std::shared_ptr<Pace> pace);

  /// Elements will be copied; and: they have been.
  void expect_capture(std::uint64_t bytes) { load_.capturing_bytes += bytes; }
  void captured(std::uint64_t bytes);
  /// For a chunk of so many bytes of elements. True: encode it, then call encoded(). False: store
  /// it, then call written().
  Task<bool> decide(std::uint64_t bytes);
  /// It took `worker_ns` and became `stored_bytes`, which will be written.
  void encoded(std::uint64_t bytes, std::uint64_t stored_bytes, std::int64_t worker_ns);
  /// Bytes wait for the disk; and: they have been written. decide() and encoded() have counted
  /// theirs.
  void expect_write(std::uint64_t bytes);
  void written(std::uint64_t bytes);
  [[nodiscard]] const EncodeLoad& load() const noexcept { return load_; }

 private:
  struct Waiter {
    Waiter() = default;
    std::shared_ptr<impl::SharedState<void>> decided = std::make_shared<impl::SharedState<void>>();
    std::uint64_t bytes = 0;
    bool encode = false;
  };
  /// Time passes with the disk as it was until now.
  void note_busy();
  /// The policy's answer now; counts the chunk where it is decided.
  [[nodiscard]] EncodeDecision ask(std::uint64_t bytes);
  void wake();

  EnginePtr engine_;
  EncodePolicy policy_;
  std::shared_ptr<Pace> pace_;
  EncodeLoad load_;
  std::deque<std::shared_ptr<Waiter>> waiters_;
  std::int64_t busy_since_ns_ = 0;  ///< the disk, while something is queued
  std::int64_t busy_ns_ = 0;        ///< before that
  std::uint64_t busy_bytes_ = 0;
};

}  // namespace cairn::internal

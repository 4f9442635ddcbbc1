#pragma once
// Decides, extent by extent and in order, whether chunks of arrays that pay to encode are encoded
// or left as they are, so that the disk never waits for the cores (EncodePolicy). Used on the
// strand only.

#include <cairn/manager/internal/codec_choice.h>
#include <cairn/manager/internal/storage.h>
#include <cairn/manager/options.h>

#include <deque>
#include <memory>

namespace cairn::internal {

/// What saves have been like: kept by the manager from save to save. Strand only.
struct Pace {
  Pace() = default;
  std::uint64_t staged_bytes = 0;  ///< most staging memory that a save has been captured into
  double disk_rate = 0;            ///< bytes/s while something was being written; 0: not known
  double planes_rate = 0;          ///< bytes/s of one worker, of elements; 0: likewise
  double matches_rate = 0;         ///< likewise
  /// Of a gated encoding.
  [[nodiscard]] double& rate_of(Encoding encoding) noexcept {
    return encoding == Encoding::matches ? matches_rate : planes_rate;
  }
};

class EncodeGate {
 public:
  /// `policy` may be empty: encode_by_load().
  EncodeGate(EnginePtr engine, EncodePolicy policy, std::shared_ptr<Pace> pace);

  /// Elements will be copied; and: they have been.
  void expect_capture(std::uint64_t bytes) { load_.capturing_bytes += bytes; }
  void captured(std::uint64_t bytes);
  /// For a chunk, or chunks, of so many bytes of elements. True: encode it, then call encoded().
  /// False: store it, then call written(). Both with the same number.
  Task<bool> decide(std::uint64_t bytes, Encoding encoding);
  /// It took `worker_ns` and became `stored_bytes`, which will be written.
  void encoded(std::uint64_t bytes, Encoding encoding, std::uint64_t stored_bytes,
               std::int64_t worker_ns);
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
    Encoding encoding = Encoding::planes;
    bool encode = false;
  };
  /// Time passes with the disk as it was until now.
  void note_busy();
  /// Of what has been counted, where that is enough.
  void learn_disk_rate();
  /// The policy's answer now; counts the chunk where it is decided.
  [[nodiscard]] EncodeDecision ask(const Waiter& waiter);
  void wake();

  EnginePtr engine_;
  EncodePolicy policy_;
  std::shared_ptr<Pace> pace_;
  EncodeLoad load_;
  std::deque<std::shared_ptr<Waiter>> waiters_;
  std::int64_t busy_since_ns_ = 0;  ///< the disk, while something is queued
  std::int64_t busy_ns_ = 0;        ///< before that
  std::int64_t counted_ns_ = 0;     ///< of it, until the last write ended
  std::uint64_t busy_bytes_ = 0;    ///< that were written in that time
};

}  // namespace cairn::internal

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

  /// An extent will be copied; and: it has been.
  void expect_capture() { ++load_.capturing; }
  void captured();
  /// True: encode the chunk, then call encoded(). False: store it, then call written().
  Task<bool> decide();
  void encoded(std::uint64_t element_bytes, std::int64_t worker_ns);
  /// A buffer waits for the disk; and: it has been written. decide() and encoded() have counted
  /// theirs.
  void expect_write() { change_writes(1); }
  void written(std::uint64_t bytes);
  [[nodiscard]] const EncodeLoad& load() const noexcept { return load_; }

 private:
  struct Waiter {
    Waiter() = default;
    std::shared_ptr<impl::SharedState<void>> decided = std::make_shared<impl::SharedState<void>>();
    bool encode = false;
  };
  void change_writes(int by);
  /// The policy's answer now; counts the chunk where it is decided.
  [[nodiscard]] EncodeDecision ask();
  void wake();
  void note_disk();

  EnginePtr engine_;
  EncodePolicy policy_;
  std::shared_ptr<Pace> pace_;
  EncodeLoad load_;
  std::deque<std::shared_ptr<Waiter>> waiters_;
  std::int64_t busy_since_ns_ = 0;  ///< the disk, while load_.writes > 0
  std::int64_t busy_ns_ = 0;        ///< before that
  std::uint64_t busy_bytes_ = 0;
};

}  // namespace cairn::internal

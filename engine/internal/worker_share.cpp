#include <cairn/engine/internal/worker_share.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

namespace cairn::engine::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// So much of its time a worker waits on a machine that is the engine's alone: its other threads
/// want cores too. Where others use all cores but one, it waits a third.
constexpr double kUsualWait = 0.15;
/// Now and then a task waits for 5 ms, for the kernel's own threads.
constexpr nanoseconds kExcessMax = 8ms;
/// While it is likely that others want the core.
constexpr nanoseconds kTriedExcessMax = 3ms;
/// Of worker time, not of the day: saves are short, and hours may be between two of them.
constexpr nanoseconds kPatienceMin = 60ms;
constexpr nanoseconds kPatienceMax = 3200ms;

/// What the kernel says of this thread: "<ns on a core> <ns waiting for one> <times>". Not the
/// thread's CPU clock: what is missing there the host of a virtual machine may have taken, or a
/// page that was not in memory, and to give way to these helps nobody.
class SchedulerFile {
 public:
  SchedulerFile() noexcept : fd_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}
  ~SchedulerFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  SchedulerFile(const SchedulerFile&) = delete;
  SchedulerFile& operator=(const SchedulerFile&) = delete;

  /// Zero where the kernel does not tell: then nobody seems to wait.
  [[nodiscard]] nanoseconds waited() const noexcept {
    std::array<char, 96> text;
    const ::ssize_t length = fd_ < 0 ? -1 : ::pread(fd_, text.data(), text.size(), 0);
    if (length <= 0) return 0ns;
    const char* const end = text.data() + length;
    const char* const second = std::find(std::as_const(text).data(), end, ' ');
    std::int64_t waited = 0;
    if (second != end) std::from_chars(second + 1, end, waited);
    return nanoseconds(waited);
  }

 private:
  int fd_;
};

}  // namespace

void WorkerShare::note(nanoseconds took, nanoseconds on_core, bool wanted) noexcept {
  on_core = std::clamp(on_core, nanoseconds(0), std::max(took, nanoseconds(0)));
  took_ += took;
  on_core_ += on_core;
  since_change_ += took;
  excess_ += took - on_core;
  excess_ -= std::chrono::duration_cast<nanoseconds>(kUsualWait * took);
  if (excess_ <= 0ns) excess_ = took_ = on_core_ = 0ns;
  if (excess_ > (trying_ ? kTriedExcessMax : kExcessMax)) {
    give_way();
  } else if (since_change_ >= patience_) {
    // Whatever was tried has held.
    if (trying_) patience_ = std::max(patience_ / 2, kPatienceMin);
    trying_ = wanted && allowed_ < workers_;
    if (trying_) {
      ++allowed_;
      since_change_ = 0ns;
    }
  }
}

void WorkerShare::give_way() noexcept {
  const double share = static_cast<double>(on_core_.count()) / static_cast<double>(took_.count());
  excess_ = took_ = on_core_ = since_change_ = 0ns;
  if (allowed_ == 1) return;
  patience_ = trying_ ? std::min(2 * patience_, kPatienceMax) : kPatienceMin;
  trying_ = false;
  allowed_ = std::clamp(static_cast<unsigned>(share * allowed_), 1U, allowed_ - 1);
}

ThreadTimes thread_times() noexcept {
  thread_local const SchedulerFile file;
  ThreadTimes times;
  times.passed = std::chrono::steady_clock::now().time_since_epoch();
  times.on_core = times.passed - file.waited();
  return times;
}

}  // namespace cairn::engine::internal

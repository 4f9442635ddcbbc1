#include <cairn/engine/error.h>
#include <cairn/engine/internal/fork.h>
#include <cairn/engine/internal/ring.h>
#include <cairn/engine/internal/threads_backend.h>
#include <cairn/engine/internal/uring_backend.h>
#include <cairn/engine/io_backend.h>

#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

namespace cairn::engine {
namespace {

constexpr const char* kVariable = "CAIRN_IO_BACKEND";

// Around every backend: keeps a forked child out. Threads, the ring's memory and whatever a mutex
// guarded stayed in the parent, so that the child may not even destroy the backend (a condition
// variable with waiters waits for them for ever): it abandons it.
class ForkSafeBackend final : public IoBackend {
 public:
  explicit ForkSafeBackend(std::unique_ptr<IoBackend> inner) : inner_(std::move(inner)) {}
  ~ForkSafeBackend() override {
    if (in_child()) static_cast<void>(inner_.release());
  }
  void submit(IoOperation* operation) noexcept override {
    if (!in_child()) return inner_->submit(operation);
    operation->result.value = -EOWNERDEAD;
    operation->result.refused = true;
    operation->complete();
  }
  void cancel(IoOperation* operation) noexcept override {
    if (!in_child()) inner_->cancel(operation);
  }
  [[nodiscard]] BackendInfo info() const override { return inner_->info(); }
  void register_memory(std::span<const std::span<std::byte>> ranges) noexcept override {
    if (!in_child()) inner_->register_memory(ranges);
  }
  bool shut_down(std::int64_t timeout_ms) noexcept override {
    return in_child() || inner_->shut_down(timeout_ms);
  }

 private:
  [[nodiscard]] bool in_child() const noexcept {
    return generation_ != internal::fork_generation();
  }

  const std::uint64_t generation_ = internal::fork_generation();
  std::unique_ptr<IoBackend> inner_;
};

std::unique_ptr<IoBackend> make_threads(const BackendOptions& options, std::string reason) {
  return std::make_unique<internal::ThreadsBackend>(options.threads, options.threads,
                                                    std::move(reason));
}

std::unique_ptr<IoBackend> make_uring(const BackendOptions& options, std::string reason) {
  try {
    return std::make_unique<internal::UringBackend>(options, std::move(reason));
  } catch (const internal::RingRefused& refused) {
    throw boost::system::system_error(from_errno(refused.error()), refused.what());
  }
}

std::unique_ptr<IoBackend> make_automatic(const BackendOptions& options) {
  try {
    return std::make_unique<internal::UringBackend>(options, "chosen");
  } catch (const internal::RingRefused& refused) {
    return make_threads(options, refused.what());
  } catch (const std::system_error& error) {
    // A descriptor or a thread. Fewer may be left than the ring needs, and enough for this.
    const error_code code = from_errno(error.code().value());
    std::string reason = std::string("io_uring: ") + error.what();
    if (!remedy(code).empty()) reason.append("; ").append(remedy(code));
    return make_threads(options, std::move(reason));
  }
}

std::unique_ptr<IoBackend> make_unguarded(const BackendOptions& options) {
  switch (options.kind) {
    case BackendKind::uring:
      return make_uring(options, "forced by options");
    case BackendKind::threads:
      return make_threads(options, "forced by options");
    case BackendKind::automatic:
      break;
  }
  const char* variable = std::getenv(kVariable);
  const std::string_view wish = variable != nullptr ? variable : "";
  if (wish.empty()) return make_automatic(options);
  if (wish == "uring") return make_uring(options, "forced by CAIRN_IO_BACKEND=uring");
  if (wish == "threads") return make_threads(options, "forced by CAIRN_IO_BACKEND=threads");
  throw boost::system::system_error(
      from_errno(EINVAL), std::string(kVariable) + "=" + std::string(wish) +
                              ": not a backend; allowed: uring, threads, or unset for automatic");
}

}  // namespace

std::string_view to_string(IoOp op) noexcept {
  switch (op) {
    case IoOp::open:
      return "open";
    case IoOp::close:
      return "close";
    case IoOp::read:
      return "read";
    case IoOp::write:
      return "write";
    case IoOp::allocate:
      return "allocate";
    case IoOp::truncate:
      return "truncate";
    case IoOp::sync_data:
      return "sync_data";
    case IoOp::sync_all:
      return "sync_all";
    case IoOp::write_back:
      return "write_back";
    case IoOp::make_directory:
      return "make_directory";
    case IoOp::remove_directory:
      return "remove_directory";
    case IoOp::unlink:
      return "unlink";
    case IoOp::rename:
      return "rename";
    case IoOp::replace:
      return "replace";
    case IoOp::exchange:
      return "exchange";
    case IoOp::link:
      return "link";
    case IoOp::list:
      return "list";
    case IoOp::stat:
      return "stat";
    case IoOp::lock:
      return "lock";
    case IoOp::cached:
      return "cached";
    case IoOp::watch:
      return "watch";
  }
  return "unknown";
}

std::unique_ptr<IoBackend> make_backend(const BackendOptions& options) {
  try {
    return std::make_unique<ForkSafeBackend>(make_unguarded(options));
  } catch (const std::system_error& error) {
    throw boost::system::system_error(from_errno(error.code().value()),
                                      std::string("I/O backend: ") + error.what());
  }
}

}  // namespace cairn::engine

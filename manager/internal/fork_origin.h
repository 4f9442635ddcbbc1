#pragma once
// The process that a coordinator was made in. A forked child has its memory, but neither its thread
// nor its place among the job's processes.

#include <cairn/manager/error.h>
#include <sys/types.h>
#include <unistd.h>

#include <exception>

namespace cairn::internal {

class ForkOrigin {
 public:
  [[nodiscard]] bool forked() const noexcept { return ::getpid() != process_; }
  [[nodiscard]] Error error() const {
    ErrorContext context;
    context.operation = "use a coordinator";
    context.remedy = "Use it in the parent; a process that takes part makes its own";
    return Error(ErrorCode::closed, "it was made before fork()", context);
  }
  [[nodiscard]] std::exception_ptr exception() const { return std::make_exception_ptr(error()); }
  void check() const {
    if (forked()) throw error();
  }

 private:
  pid_t process_ = ::getpid();
};

}  // namespace cairn::internal

#pragma once
// A process in which the kernel refuses a system call. Not to be taken back: for death tests.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iterator>

namespace cairn::test {

/// Makes system call `number` fail with `error` in this thread and those it starts from now on, as
/// the seccomp filter of a container does. Where there is no seccomp, ends the process well with a
/// note that tests of io_uring and threads match.
inline void refuse_call(long number, int error) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K,
               SECCOMP_RET_ERRNO | (static_cast<unsigned>(error) & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(code), code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::fprintf(stderr, "no seccomp here: io_uring threads\n");
    std::_Exit(0);
  }
}

}  // namespace cairn::test

// Says whether this machine lets us make an io_uring. Exit status 0: it does; 1: tests run on threads alone.
#include <liburing.h>

#include <cstring>
#include <fstream>
#include <iostream>
#include <string>

int main() {
  io_uring ring{};
  const int result = io_uring_queue_init(2, &ring, 0);
  if (result == 0) {
    io_uring_queue_exit(&ring);
    std::cout << "io_uring: allowed; the tests run on both backends\n";
    return 0;
  }
  // 0 allows all, 1 the group kernel.io_uring_group, 2 nobody; kernels before 6.6 have no such file.
  std::string sysctl = "not there";
  std::ifstream("/proc/sys/kernel/io_uring_disabled") >> sysctl;
  std::cout << "io_uring: FORBIDDEN (" << std::strerror(-result) << "; kernel.io_uring_disabled is " << sysctl
            << "; where that is 0 or not there, a seccomp filter or the memlock limit forbids it): the tests run on "
               "the threads backend alone\n";
  return 1;
}

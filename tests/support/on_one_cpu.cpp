// Linked into a test program, this keeps it, and what it starts, to the CPU on which it began: its
// tests are one small operation after another, and waking a thread on another CPU takes a virtual
// machine longer than most of them. Not ctest's PROCESSOR_AFFINITY: with more tests at once than
// CPUs, ctest 4.4 waits for ever.

#include <sched.h>

#include <cstdio>

namespace {

const bool kept = [] {
  const int cpu = sched_getcpu();
  if (cpu < 0 || cpu >= CPU_SETSIZE) return false;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  if (sched_setaffinity(0, sizeof(cpus), &cpus) == 0) return true;
  std::perror("on_one_cpu: these tests will take longer: sched_setaffinity");
  return false;
}();

}  // namespace

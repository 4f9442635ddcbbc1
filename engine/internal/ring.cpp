#include <cairn/engine/internal/ring.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

namespace cairn::engine::internal {
namespace {

struct SetupFlag {
  unsigned bit;
  const char* name;
};
// In the order in which they are given up: the newest first. DEFER_TASKRUN (6.1) needs
// SINGLE_ISSUER (6.0); COOP_TASKRUN (5.19) is what is left of it without.
constexpr std::array kFlags = {
    SetupFlag{IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN"},
    SetupFlag{IORING_SETUP_SINGLE_ISSUER, "SINGLE_ISSUER"},
    SetupFlag{IORING_SETUP_COOP_TASKRUN, "COOP_TASKRUN"},
    SetupFlag{IORING_SETUP_SUBMIT_ALL, "SUBMIT_ALL"},
    SetupFlag{IORING_SETUP_CLAMP, "CLAMP"},
};

struct OpcodeOf {
  IoOp op;
  io_uring_op opcode;
};
// What is not here has no opcode in liburing 2.3 (truncate, list, lock), or none that may block for
// as long as this one (write_back); the helper threads carry it out.
constexpr OpcodeOf kOpcodes[] = {
    {IoOp::open, IORING_OP_OPENAT},
    {IoOp::close, IORING_OP_CLOSE},
    {IoOp::read, IORING_OP_READ},
    {IoOp::write, IORING_OP_WRITE},
    {IoOp::allocate, IORING_OP_FALLOCATE},
    {IoOp::sync_data, IORING_OP_FSYNC},
    {IoOp::sync_all, IORING_OP_FSYNC},
    {IoOp::make_directory, IORING_OP_MKDIRAT},
    {IoOp::remove_directory, IORING_OP_UNLINKAT},
    {IoOp::unlink, IORING_OP_UNLINKAT},
    {IoOp::rename, IORING_OP_RENAMEAT},
    {IoOp::replace, IORING_OP_RENAMEAT},
    {IoOp::exchange, IORING_OP_RENAMEAT},
    {IoOp::link, IORING_OP_LINKAT},
    {IoOp::stat, IORING_OP_STATX},
};

std::optional<int> read_disabled_sysctl() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  int value = 0;
  if (file >> value) return value;
  return std::nullopt;  // before Linux 6.6 there is none
}

std::string explain(int error) {
  std::string head = fmt::format("io_uring_setup: {}", std::strerror(error));
  switch (error) {
    case EPERM: {
      const std::optional<int> disabled = read_disabled_sysctl();
      if (disabled.value_or(0) != 0) {
        return fmt::format(
            "{}; sysctl kernel.io_uring_disabled is {}: set it to 0 to allow io_uring", head,
            *disabled);
      }
      return head +
             "; a seccomp filter forbids it, as container runtimes do by default: allow "
             "io_uring_setup, io_uring_enter and io_uring_register in the profile";
    }
    case ENOSYS:
      return head +
             "; this kernel has no io_uring, or a seccomp filter hides it: run Linux 5.6 or "
             "newer and allow io_uring_setup";
    case ENOMEM: {
      rlimit limit{};
      getrlimit(RLIMIT_MEMLOCK, &limit);
      return fmt::format(
          "{}; the limit of locked memory is {} bytes: raise `ulimit -l` or free memory", head,
          limit.rlim_cur);
    }
    case EMFILE:
    case ENFILE:
      return head + "; no descriptor is free: raise `ulimit -n`";
    default:
      return head;
  }
}

}  // namespace

// A new ring may be mapped where an old one was, by another thread. The kernel orders that, but
// where no tool can see it; a word that the end of each ring writes, and the beginning of each
// reads, says so.
static std::atomic<std::uint64_t> rings_ended{0};

Ring::Ring(unsigned entries) {
  static_cast<void>(rings_ended.load(std::memory_order_acquire));
  set_up(entries);
  try {
    probe();
  } catch (...) {
    io_uring_queue_exit(&ring_);
    throw;
  }
  // A forked child gets no copy of the ring: it could not use it and would keep its memory alive.
  io_uring_ring_dontfork(&ring_);
}

Ring::~Ring() {
  // Before the addresses are given back: who gets them next has seen this.
  rings_ended.fetch_add(1, std::memory_order_release);
  io_uring_queue_exit(&ring_);
}

void Ring::set_up(unsigned entries) {
  for (auto first = kFlags.begin();; ++first) {
    io_uring_params params{};
    for (auto flag = first; flag != kFlags.end(); ++flag) params.flags |= flag->bit;
    const int rc = io_uring_queue_init_params(entries, &ring_, &params);
    if (rc == 0) {
      for (auto flag = first; flag != kFlags.end(); ++flag)
        features_.flags.emplace_back(flag->name);
      return;
    }
    // EINVAL is how a kernel says that it does not know a flag.
    if (rc != -EINVAL || first == kFlags.end()) throw RingRefused(-rc, explain(-rc));
  }
}

void Ring::probe() {
  io_uring_probe* known = io_uring_get_probe_ring(&ring_);
  if (known == nullptr) throw RingRefused(ENOSYS, explain(ENOSYS));
  for (const OpcodeOf& entry : kOpcodes) {
    features_.supported.set(static_cast<std::size_t>(entry.op),
                            io_uring_opcode_supported(known, entry.opcode) != 0);
  }
  const bool can_open_beneath = io_uring_opcode_supported(known, IORING_OP_OPENAT2) != 0;
  io_uring_free_probe(known);
  // One opcode serves both kinds of open, so that a request needs no look at its flags.
  if (!can_open_beneath) features_.supported.reset(static_cast<std::size_t>(IoOp::open));
  if (!features_.supported.test(static_cast<std::size_t>(IoOp::read)) ||
      !features_.supported.test(static_cast<std::size_t>(IoOp::write))) {
    throw RingRefused(ENOSYS, explain(ENOSYS));
  }
}

io_uring_sqe* Ring::entry() noexcept {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    io_uring_submit(&ring_);
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

void Ring::submit_and_wait() noexcept {
  // EINTR, and EAGAIN or EBUSY under memory pressure, leave the entries queued: the next round
  // submits them again.
  const int rc = io_uring_submit_and_wait(&ring_, 1);
  assert(rc >= 0 || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY);
  static_cast<void>(rc);
}

}  // namespace cairn::engine::internal

#pragma once
// Processes for tests of what several do together. The test's own process forks them and starts no
// thread itself, neither before nor after, so that every child may.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

namespace cairn::test {

inline constexpr unsigned kProcessSeconds = 120;  // one that hangs is killed by its alarm

/// What a process that was killed by `signal` gives; otherwise its exit status, 0 when all its
/// expectations held.
constexpr int killed_by(int signal) {
  return 1000 + signal;
}

/// Forks `count` processes that run `body(index)`, calls `in_parent`, and waits for them.
inline std::vector<int> run_forked(
    unsigned count, const std::function<void(unsigned)>& body,
    const std::function<void(const std::vector<pid_t>&)>& in_parent = nullptr) {
  std::fflush(nullptr);
  std::vector<pid_t> children;
  for (unsigned index = 0; index < count; ++index) {
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) {
      ::alarm(kProcessSeconds);
      try {
        body(index);
      } catch (const std::exception& error) {
        ADD_FAILURE() << "process " << index << " threw: " << error.what();
      }
      std::fflush(nullptr);
      ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    children.push_back(child);
  }
  if (in_parent) in_parent(children);
  std::vector<int> results;
  for (const pid_t child : children) {
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    results.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : killed_by(WTERMSIG(status)));
  }
  return results;
}

/// Made before the forks: processes wait here until one opens it, once for each.
class Gate {
 public:
  Gate() {
    if (::pipe(ends_.data()) != 0) throw std::runtime_error("pipe failed");
  }
  ~Gate() {
    for (const int end : ends_) ::close(end);
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void open(unsigned passes = 1) {
    const std::vector<char> bytes(passes);
    EXPECT_EQ(::write(ends_[1], bytes.data(), passes), static_cast<ssize_t>(passes));
  }
  void pass() {
    char byte = 0;
    EXPECT_EQ(::read(ends_[0], &byte, 1), 1);
  }

 private:
  std::array<int, 2> ends_{};
};

/// One `T` in memory that all processes share; made before the forks.
template <class T>
class Shared {
 public:
  Shared() {
    void* const memory =
        ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    value_ = new (memory) T();
  }
  ~Shared() {
    value_->~T();
    ::munmap(value_, sizeof(T));
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T& operator*() const noexcept { return *value_; }

 private:
  T* value_ = nullptr;
};

}  // namespace cairn::test

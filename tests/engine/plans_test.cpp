// The plans behind engine/file.h, one answer of the kernel at a time.

#include <cairn/engine/error.h>
#include <cairn/engine/file.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

namespace cairn::engine::impl {
namespace {

IoResult answer(std::int64_t value) {
  IoResult result;
  result.value = value;
  return result;
}

// ---- close --------------------------------------------------------------------------------------

int open_something() {
  return ::open("/dev/null", O_RDWR | O_CLOEXEC);
}
bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(ClosePlan, ClosesOnceWhateverTheKernelAnswers) {
  // As fuse does when a flush fails: any errno, and the descriptor is gone.
  for (const int error : {ECANCELED, ESHUTDOWN, EOWNERDEAD, EIO, EINTR}) {
    const int fd = open_something();
    const Descriptor other(open_something());
    ClosePlan plan{Descriptor(fd)};
    IoRequest request;
    IoResult result;
    ASSERT_TRUE(plan.begin(request, result));
    ASSERT_EQ(request.fd, fd);
    ASSERT_EQ(::dup2(other.get(), fd), fd);  // closed, and someone else's at once
    result = answer(-error);
    EXPECT_FALSE(plan.next(request, result));
    EXPECT_TRUE(is_open(fd)) << "closed twice after errno " << error;
    ::close(fd);
  }
}

TEST(ClosePlan, ClosesByItselfWhatTheBackendRefused) {
  const int fd = open_something();
  ClosePlan plan{Descriptor(fd)};
  IoRequest request;
  IoResult result;
  ASSERT_TRUE(plan.begin(request, result));
  result = answer(-ESHUTDOWN);
  result.refused = true;
  EXPECT_FALSE(plan.next(request, result));
  EXPECT_FALSE(is_open(fd));
}

}  // namespace
}  // namespace cairn::engine::impl

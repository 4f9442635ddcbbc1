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

// A descriptor of /dev/null, which the kernel closes and gives to someone else meanwhile.
class ClosePlanTest : public ::testing::Test {
 protected:
  ClosePlanTest() : fd_(::open("/dev/null", O_RDONLY | O_CLOEXEC)), plan_(Descriptor(fd_)) {
    EXPECT_TRUE(plan_.begin(request_, result_));
    EXPECT_EQ(request_.fd, fd_);
  }
  ~ClosePlanTest() override {
    if (is_open()) ::close(fd_);
  }
  [[nodiscard]] bool is_open() const { return ::fcntl(fd_, F_GETFD) >= 0; }

  int fd_;
  ClosePlan plan_;
  IoRequest request_;
  IoResult result_;
};

TEST_F(ClosePlanTest, ClosesOnceWhateverTheKernelAnswers) {
  // As fuse does when a flush fails: any errno, and the descriptor is gone.
  for (const int error : {ECANCELED, ESHUTDOWN, EOWNERDEAD, EIO, EINTR}) {
    ClosePlan plan{Descriptor(::dup(fd_))};
    EXPECT_TRUE(plan.begin(request_, result_));
    const int number = request_.fd;
    ASSERT_EQ(::dup2(fd_, number), number);  // closed, and someone else's at once
    result_ = answer(-error);
    EXPECT_FALSE(plan.next(request_, result_));
    EXPECT_GE(::fcntl(number, F_GETFD), 0) << "closed twice after errno " << error;
    ::close(number);
  }
}

TEST_F(ClosePlanTest, ClosesByItselfWhatTheBackendRefused) {
  result_ = answer(-ESHUTDOWN);
  result_.refused = true;
  EXPECT_FALSE(plan_.next(request_, result_));
  EXPECT_FALSE(is_open());
}

}  // namespace
}  // namespace cairn::engine::impl

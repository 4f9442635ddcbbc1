#pragma once
// Requests to a bare IoBackend, one line each, for tests below engine::File.

#include <cairn/engine/io_backend.h>
#include <fcntl.h>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace cairn::test {

/// An operation that a test thread waits for. Lives on the test's stack.
class TestOperation final : public engine::IoOperation {
 public:
  explicit TestOperation(engine::IoRequest r) : IoOperation(std::move(r)) {}
  ~TestOperation() override = default;
  void complete() noexcept override {
    // Notified under the lock: the waiter may destroy this as soon as it can take the lock.
    std::lock_guard lock(mutex_);
    ++completions_;
    done_.notify_all();
  }
  const engine::IoResult& wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return completions_ > 0; });
    return result;
  }
  [[nodiscard]] int completions() {
    std::lock_guard lock(mutex_);
    return completions_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  int completions_ = 0;
};

inline engine::IoResult call(engine::IoBackend& backend, engine::IoRequest request) {
  TestOperation operation(std::move(request));
  backend.submit(&operation);
  operation.wait();
  return std::move(operation.result);
}

inline engine::IoRequest path_request(engine::IoOp op, int fd, std::string path) {
  engine::IoRequest request(op);
  request.fd = fd;
  request.path = std::move(path);
  return request;
}

inline engine::IoRequest open_request(int fd, std::string path, int flags, bool beneath = false) {
  engine::IoRequest request = path_request(engine::IoOp::open, fd, std::move(path));
  request.flags = flags | O_CLOEXEC;
  request.mode = 0644;
  request.beneath = beneath;
  return request;
}

inline engine::IoRequest pair_request(engine::IoOp op, int fd, std::string path, int fd2,
                                      std::string path2) {
  engine::IoRequest request = path_request(op, fd, std::move(path));
  request.fd2 = fd2;
  request.path2 = std::move(path2);
  return request;
}

inline engine::IoRequest range_request(engine::IoOp op, int fd, std::uint64_t offset,
                                       std::uint64_t length) {
  engine::IoRequest request(op);
  request.fd = fd;
  request.offset = offset;
  request.length = length;
  return request;
}

inline engine::IoRequest write_request(int fd, std::uint64_t offset, std::string_view bytes) {
  engine::IoRequest request = range_request(engine::IoOp::write, fd, offset, bytes.size());
  request.buffer = const_cast<char*>(bytes.data());
  return request;
}

inline engine::IoRequest read_request(int fd, std::uint64_t offset, std::span<char> bytes) {
  engine::IoRequest request = range_request(engine::IoOp::read, fd, offset, bytes.size());
  request.buffer = bytes.data();
  return request;
}

/// The few calls that tests make all the time; the int is the result's value.
class Calls {
 public:
  explicit Calls(engine::IoBackend& backend) : backend_(backend) {}

  [[nodiscard]] int open(int fd, std::string path, int flags, bool beneath = false) {
    return static_cast<int>(
        call(backend_, open_request(fd, std::move(path), flags, beneath)).value);
  }
  [[nodiscard]] int open_directory(const std::string& path) {
    return open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  }
  [[nodiscard]] int create(int fd, std::string path) {
    return open(fd, std::move(path), O_RDWR | O_CREAT | O_EXCL);
  }
  std::int64_t close(int fd) {
    return call(backend_, range_request(engine::IoOp::close, fd, 0, 0)).value;
  }
  std::int64_t write(int fd, std::uint64_t offset, std::string_view bytes) {
    return call(backend_, write_request(fd, offset, bytes)).value;
  }
  std::int64_t truncate(int fd, std::uint64_t length) {
    return call(backend_, range_request(engine::IoOp::truncate, fd, 0, length)).value;
  }
  std::int64_t sync_data(int fd) {
    return call(backend_, range_request(engine::IoOp::sync_data, fd, 0, 0)).value;
  }
  std::int64_t sync_all(int fd) {
    return call(backend_, range_request(engine::IoOp::sync_all, fd, 0, 0)).value;
  }
  std::int64_t make_directory(int fd, std::string path) {
    engine::IoRequest request = path_request(engine::IoOp::make_directory, fd, std::move(path));
    request.mode = 0755;
    return call(backend_, std::move(request)).value;
  }
  std::int64_t path(engine::IoOp op, int fd, std::string name) {
    return call(backend_, path_request(op, fd, std::move(name))).value;
  }
  std::int64_t pair(engine::IoOp op, int fd, std::string from, int fd2, std::string to) {
    return call(backend_, pair_request(op, fd, std::move(from), fd2, std::move(to))).value;
  }

 private:
  engine::IoBackend& backend_;
};

}  // namespace cairn::test

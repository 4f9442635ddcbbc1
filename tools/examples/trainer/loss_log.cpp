#include "trainer/loss_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace trainer {
namespace {
constexpr std::string_view kHeader = "# step loss average (nats per character)\n";

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Bytes of the header and the lines of steps 1 to `step`; npos when some are missing.
std::size_t length_through(std::string_view text, std::int64_t step) {
  if (!text.starts_with(kHeader)) return step == 0 ? 0 : std::string_view::npos;
  std::size_t length = kHeader.size();
  for (std::int64_t expected = 1; expected <= step; ++expected) {
    const std::size_t end = text.find('\n', length);
    std::int64_t found = 0;
    if (end == std::string_view::npos) return end;
    const auto [after, error] = std::from_chars(text.data() + length, text.data() + end, found);
    if (error != std::errc() || *after != ' ' || found != expected) return std::string_view::npos;
    length = end + 1;
  }
  return length;
}

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view what) {
  throw std::runtime_error(fmt::format("--log {}: {}", path.string(), what));
}

void write_all(int descriptor, const std::filesystem::path& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path, "cannot write: " + std::generic_category().message(errno));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

LossLog::LossLog(std::filesystem::path path, std::int64_t step)
    : path_(std::move(path)), descriptor_(-1) {
  std::size_t keep = length_through(read_text(path_), step);
  if (keep == std::string::npos) {
    fail(path_,
         fmt::format("lacks lines of steps 1 to {}, the step that training resumes from. Give "
                     "the log of the same run, or none",
                     step));
  }
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail(path_, "cannot open: " + std::generic_category().message(errno));
  const bool ready = ::ftruncate(descriptor_, static_cast<off_t>(keep)) == 0 &&
                     ::lseek(descriptor_, 0, SEEK_END) >= 0;
  if (!ready) {
    const int error = errno;
    ::close(descriptor_);
    fail(path_, "cannot truncate: " + std::generic_category().message(error));
  }
  if (keep == 0) write_all(descriptor_, path_, kHeader);
}

LossLog::~LossLog() {
  ::close(descriptor_);
}

void LossLog::append(std::int64_t step, double loss, double average) {
  write_all(descriptor_, path_, fmt::format("{} {:.9g} {:.17g}\n", step, loss, average));
}

}  // namespace trainer

#pragma once
// A directory of a test's own, removed with everything in it when the test ends.

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace cairn::test {

/// Made under $TMPDIR, or /tmp. Move-only.
class TempDirectory {
 public:
  TempDirectory() : TempDirectory(default_base()) {}
  /// In memory where the machine has such a place: for what is written often and need not be on a
  /// disk.
  [[nodiscard]] static TempDirectory in_memory() {
    const bool has_memory = ::access("/dev/shm", W_OK | X_OK) == 0;
    return TempDirectory(has_memory ? "/dev/shm" : default_base());
  }
  explicit TempDirectory(const std::string& base) {
    std::string name = base + "/cairn-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + name);
    path_ = std::filesystem::canonical(name);
  }
  TempDirectory(TempDirectory&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
  }
  TempDirectory& operator=(TempDirectory&&) = delete;
  ~TempDirectory() {
    if (path_.empty()) return;
    // A test may have taken permissions away; what cannot be removed is left to the system.
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::string string() const { return path_.string(); }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return path_ / name;
  }

 private:
  static std::string default_base() {
    const char* base = std::getenv("TMPDIR");
    return base != nullptr && *base != '\0' ? base : "/tmp";
  }

  std::filesystem::path path_;
};

}  // namespace cairn::test

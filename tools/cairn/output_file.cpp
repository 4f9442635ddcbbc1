#include "output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <random>

#include "common.h"

namespace cairn::cli {
namespace {

/// Fails with EEXIST where `to` is there. A hard link does, too, and is known to older file
/// systems.
int rename_without_replacing(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (::link(from.c_str(), to.c_str()) != 0) return -1;
  return ::unlink(from.c_str());
}

}  // namespace

OutputFile::OutputFile(std::string path, bool replace) : path_(std::move(path)), replace_(replace) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) {
      throw make_error(ErrorCode::invalid_argument, "is a directory", path_, "Name a file");
    }
    if (!replace_) throw exists();
  }
  const std::filesystem::path place(path_);
  directory_ = place.has_parent_path() ? place.parent_path().string() : ".";
  // Random, and not the process's number: containers that share a directory do not share those.
  std::random_device random;
  temporary_ = join_path(directory_, fmt::format(".cairn-export-{:08x}{:08x}", random(), random()));
  constexpr mode_t kMode = 0666;  // the umask has the last word
  fd_ = engine::Descriptor(
      ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode));
  if (!fd_) throw system_error(errno, "make", path_);
}

OutputFile::~OutputFile() {
  if (fd_ && !committed_) ::unlink(temporary_.c_str());
}

Error OutputFile::exists() const {
  return make_error(ErrorCode::already_exists, "the file is there already", path_,
                    "Give --force to replace it, or another name");
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw system_error(errno, "write", path_);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void OutputFile::commit() {
  if (::fsync(fd_.get()) != 0) throw system_error(errno, "sync", path_);
  const int renamed = replace_ ? std::rename(temporary_.c_str(), path_.c_str())
                               : rename_without_replacing(temporary_, path_);
  if (renamed != 0) {
    if (errno == EEXIST) throw exists();
    throw system_error(errno, "rename to", path_);
  }
  committed_ = true;
  const engine::Descriptor directory(
      ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) {
    throw system_error(errno, "sync directory", directory_);
  }
}

}  // namespace cairn::cli

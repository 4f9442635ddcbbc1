#include "report/context.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

namespace cairn::bench {
namespace {

namespace fs = std::filesystem;

void for_each_file(const fs::path& directory, const std::function<void(int fd)>& call) {
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    const int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    call(fd);
    ::close(fd);
  }
}

/// What was deleted goes on keeping the disk busy for a while.
constexpr std::chrono::seconds kSettle{2};

}  // namespace

WorkDirectory::WorkDirectory(const Settings& settings, std::string_view section) {
  static std::atomic<int> count = 0;
  path_ = settings.directory / ("cairn_report." + std::to_string(::getpid()) + "." +
                                std::to_string(++count) + "." + std::string(section));
  fs::create_directories(path_);
}

WorkDirectory::~WorkDirectory() {
  std::error_code ignored;  // what stays is below a directory of its own
  fs::remove_all(path_, ignored);
  ::sync();
  std::this_thread::sleep_for(kSettle);
}

void make_cold(const fs::path& directory) {
  ::sync();  // what has not been written stays in the cache
  for_each_file(directory, [](int fd) { ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); });
}

void make_warm(const fs::path& directory) {
  std::vector<char> block(std::size_t{1} << 20);
  for_each_file(directory, [&](int fd) {
    while (::read(fd, block.data(), block.size()) > 0) {
    }
  });
}

fs::path source_directory() {
  return CAIRN_SOURCE_DIR;
}

std::shared_ptr<engine::Engine> make_engine(engine::EngineOptions options) {
  return engine::Engine::create(std::move(options));
}

std::string path_of(const engine::Engine& engine) {
  const engine::EngineStats stats = engine.stats();
  std::string text = stats.backend.name;
  std::string flags;
  for (const std::string& flag : stats.backend.ring_flags)
    flags += (flags.empty() ? "" : "|") + flag;
  if (!flags.empty()) text += " (" + flags + ")";
  text += stats.files_direct > 0 ? ", direct" : ", buffered";
  text += stats.backend.registered_buffers ? ", registered buffers" : ", no registered buffers";
  return text + ", " + std::to_string(stats.cpu_threads) + " CPU threads";
}

}  // namespace cairn::bench

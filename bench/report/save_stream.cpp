#include "report/save_stream.h"

#include <algorithm>
#include <utility>

#include "report/measure.h"

namespace cairn::bench {
namespace {

/// What is held before it is removed; a third of it is a stream's.
constexpr std::uint64_t kHeldBytesMax = std::uint64_t{24} << 30;

/// Of the file system, whose directory is made where it is not there yet.
std::uint64_t free_bytes(const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  return std::filesystem::space(directory).available;
}

ManagerOptions options_of(const SaveKind& kind) {
  ManagerOptions options;
  options.engine = kind.engine;
  options.codec = kind.codec;
  return options;
}

}  // namespace

SaveRoom::SaveRoom(const Settings& settings, std::string section)
    : settings_(settings),
      section_(std::move(section)),
      stream_bytes_max_(std::min(kHeldBytesMax, free_bytes(settings.directory) / 2) / 3) {}

std::filesystem::path SaveRoom::new_root() {
  if (written_ > 2 * stream_bytes_max_) work_.reset();
  if (!work_) {
    work_.emplace(settings_, section_);
    written_ = 0;
  }
  return *work_ / std::to_string(roots_++);
}

SaveStream::SaveStream(const SaveKind& kind, const Workload& state, SaveRoom& room)
    : kind_(kind),
      state_(state),
      room_(room),
      manager_(room.new_root().string(), options_of(kind)) {}

SavesDone SaveStream::run(const std::function<bool()>& enough) {
  SaveOptions options;
  options.capture = kind_.capture;
  SavesDone done;
  std::uint64_t written = 0;
  std::uint64_t a_save = 0;
  const Stopwatch watch;
  do {
    const SaveResult result = manager_.save(next_++, views_of(state_), options).get();
    done.bytes += result.bytes;
    a_save = result.stored_bytes;
    written += a_save;
  } while (!enough() && written + a_save <= room_.stream_bytes_max());
  done.seconds = watch.seconds();
  room_.note_written(written);
  return done;
}

}  // namespace cairn::bench

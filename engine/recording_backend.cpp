#include <cairn/engine/internal/crash_model.h>
#include <cairn/engine/internal/decorator.h>
#include <cairn/engine/internal/recording_impl.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <stdexcept>
#include <utility>

namespace cairn::engine {

using internal::find_place;
using internal::InodeId;
using internal::is_sync;
using internal::kRootInode;
using internal::LogEntry;
using internal::Place;
using internal::TreeImage;

namespace {

// Descriptors are looked up when an operation starts, because a number may mean another file when
// it ends. What they stand for travels in the note: nothing below the root, something below it that
// the model does not know, or an inode, shifted to leave room for these two.
constexpr std::uint64_t kElsewhere = 0;
constexpr std::uint64_t kUnknown = 1;
constexpr std::uint64_t kFirstInode = 2;
constexpr std::uint32_t kPermissionBits = 07777;

std::uint64_t to_note(InodeId inode) {
  return std::uint64_t{inode} + kFirstInode;
}
InodeId from_note(std::uint64_t note) {
  return static_cast<InodeId>(note - kFirstInode);
}

class RecordingBackend final : public internal::Decorator {
 public:
  RecordingBackend(std::unique_ptr<IoBackend> inner, std::shared_ptr<Recording> recording)
      : Decorator(std::move(inner)), recording_(std::move(recording)) {}
  ~RecordingBackend() override { shut_down(-1); }

 private:
  bool on_submit(IoRequest& request, Note& note, Wrapper*) override {
    Recording::Impl& record = recording_->impl();
    std::lock_guard lock(record.mutex);
    note.first = start_of(record, request.fd, request.path);
    note.second = start_of(record, request.fd2, request.path2);
    note.position = record.log.size();
    // From here on the number may come back as another file, before this close has been reported.
    if (request.op == IoOp::close) record.descriptors.erase(request.fd);
    return true;
  }

  // The note of what a request's descriptor stands for; of an absolute path, the root, with the
  // path made relative to it by relative_path().
  static std::uint64_t start_of(const Recording::Impl& record, int fd, const std::string& path) {
    if (fd == AT_FDCWD || path.starts_with('/')) {
      return relative_path(record, path) ? to_note(kRootInode) : kElsewhere;
    }
    const auto found = record.descriptors.find(fd);
    if (found == record.descriptors.end()) return kElsewhere;
    return found->second ? to_note(*found->second) : kUnknown;
  }

  static std::optional<std::string> relative_path(const Recording::Impl& record,
                                                  const std::string& path) {
    std::error_code error;
    const std::filesystem::path absolute = std::filesystem::absolute(path, error);
    if (error) return std::nullopt;
    const std::string full = std::filesystem::weakly_canonical(absolute, error).string();
    if (error) return std::nullopt;
    if (full == record.root) return std::string();
    if (!full.starts_with(record.root + '/')) return std::nullopt;
    return full.substr(record.root.size() + 1);
  }

  static std::string path_below(const Recording::Impl& record, int fd, const std::string& path) {
    if (fd != AT_FDCWD && !path.starts_with('/')) return path;
    return relative_path(record, path).value_or(path);
  }

  void on_complete(IoRequest& request, IoResult& result, const Note& note) noexcept override {
    if (result.value < 0) return;
    Recording::Impl& record = recording_->impl();
    std::lock_guard lock(record.mutex);
    switch (request.op) {
      case IoOp::open:
        return opened(record, request, static_cast<int>(result.value), note);
      case IoOp::write:
      case IoOp::truncate:
      case IoOp::allocate:
      case IoOp::sync_data:
      case IoOp::sync_all:
        return on_inode(record, request, result, note);
      case IoOp::make_directory:
      case IoOp::remove_directory:
      case IoOp::unlink:
        return on_entry(record, request, note);
      case IoOp::rename:
      case IoOp::replace:
      case IoOp::exchange:
      case IoOp::link:
        return on_two_entries(record, request, note);
      case IoOp::close:
      case IoOp::read:
      case IoOp::write_back:
      case IoOp::list:
      case IoOp::stat:
      case IoOp::lock:
      case IoOp::cached:
      case IoOp::watch:
        return;  // change nothing, and make nothing durable
    }
  }

  static void opened(Recording::Impl& record, const IoRequest& request, int fd, const Note& note) {
    record.descriptors.erase(fd);  // closed behind our back
    if (note.first == kElsewhere) return;
    std::optional<InodeId> inode;
    if (note.first != kUnknown) {
      const InodeId start = from_note(note.first);
      const std::string path = path_below(record, request.fd, request.path);
      inode = record.live.find(start, path);
      if (!inode && (request.flags & O_CREAT) != 0) inode = created(record, request, start, path);
    }
    if (!inode && (request.flags & (O_CREAT | O_TRUNC)) != 0) lose(record, request);
    if (inode && (request.flags & O_TRUNC) != 0) {
      LogEntry entry = make_entry(request, fmt::format("truncate {} to 0 by open", request.path));
      entry.op = IoOp::truncate;
      entry.inode = *inode;
      record.log.push_back(std::move(entry));
    }
    record.descriptors[fd] = inode;
  }

  static std::optional<InodeId> created(Recording::Impl& record, const IoRequest& request,
                                        InodeId start, const std::string& path) {
    const auto place = find_place(record.live, start, path);
    if (!place) return std::nullopt;
    LogEntry entry = make_entry(request, fmt::format("create {}", request.path));
    entry.inode = record.add_inode(false, request.mode & kPermissionBits);
    entry.from = *place;
    record.live.inodes[place->directory].entries[place->name] = entry.inode;
    record.log.push_back(std::move(entry));
    return record.live.inodes[place->directory].entries[place->name];
  }

  // Something below the root changed and the model cannot tell how.
  static void lose(Recording::Impl& record, const IoRequest& request) {
    std::string what = fmt::format("{} {}", to_string(request.op), request.path);
    if (!request.path2.empty()) what += " -> " + request.path2;
    if (request.fd >= 0) what += fmt::format(" (descriptor {})", request.fd);
    record.lost.push_back(std::move(what));
  }

  static LogEntry make_entry(const IoRequest& request, std::string text) {
    LogEntry entry;
    entry.op = request.op;
    entry.text = std::move(text);
    return entry;
  }

  static void on_inode(Recording::Impl& record, const IoRequest& request, const IoResult& result,
                       const Note& note) {
    if (note.first == kElsewhere) return;
    if (note.first == kUnknown) {
      // What was never followed cannot become durable either: only a change is a loss.
      if (!is_sync(request.op)) lose(record, request);
      return;
    }
    LogEntry entry = make_entry(request, {});
    entry.inode = from_note(note.first);
    entry.covers = note.position;
    entry.offset = request.offset;
    entry.length = request.length;
    if (request.op == IoOp::write) {
      entry.length = static_cast<std::uint64_t>(result.value);
      entry.data.assign(static_cast<const char*>(request.buffer), entry.length);
    }
    const char* kind = record.live.inodes[entry.inode].directory ? "directory" : "file";
    entry.text = fmt::format("{} {} #{}", to_string(request.op), kind, entry.inode);
    if (!is_sync(request.op)) {
      entry.text += fmt::format(" offset {} length {}", entry.offset, entry.length);
    }
    record.log.push_back(std::move(entry));
  }

  static std::optional<Place> place_of(const Recording::Impl& record, std::uint64_t note, int fd,
                                       const std::string& path) {
    if (note < kFirstInode) return std::nullopt;
    return find_place(record.live, from_note(note), path_below(record, fd, path));
  }

  static void on_entry(Recording::Impl& record, const IoRequest& request, const Note& note) {
    if (note.first == kElsewhere) return;
    const auto place = place_of(record, note.first, request.fd, request.path);
    if (!place) return lose(record, request);
    LogEntry entry = make_entry(request, fmt::format("{} {}", to_string(request.op), request.path));
    entry.from = *place;
    if (request.op == IoOp::make_directory) {
      entry.inode = record.add_inode(true, request.mode & kPermissionBits);
      record.live.inodes[place->directory].entries[place->name] = entry.inode;
    } else {
      record.live.inodes[place->directory].entries.erase(place->name);
    }
    record.log.push_back(std::move(entry));
  }

  static void on_two_entries(Recording::Impl& record, const IoRequest& request, const Note& note) {
    if (note.first == kElsewhere && note.second == kElsewhere) return;
    if (request.op == IoOp::link && note.second == kElsewhere) return;  // nothing changed below
    const auto from = place_of(record, note.first, request.fd, request.path);
    const auto to = place_of(record, note.second, request.fd2, request.path2);
    if (!from || !to) return lose(record, request);
    auto& from_entries = record.live.inodes[from->directory].entries;
    auto& to_entries = record.live.inodes[to->directory].entries;
    const auto child = from_entries.find(from->name);
    if (child == from_entries.end()) return lose(record, request);
    LogEntry entry = make_entry(
        request, fmt::format("{} {} -> {}", to_string(request.op), request.path, request.path2));
    entry.inode = child->second;
    entry.from = *from;
    entry.to = *to;
    if (request.op == IoOp::exchange) {
      const auto other = to_entries.find(to->name);
      if (other == to_entries.end()) return lose(record, request);
      entry.other = other->second;
      std::swap(child->second, other->second);
    } else {
      to_entries[to->name] = entry.inode;
      if (request.op != IoOp::link) from_entries.erase(from->name);
    }
    record.log.push_back(std::move(entry));
  }

  const std::shared_ptr<Recording> recording_;
};

}  // namespace

Recording::Recording(const std::string& root) : impl_(std::make_unique<Impl>()) {
  impl_->root = std::filesystem::canonical(root).string();
  impl_->durable = internal::read_tree(impl_->root);
  impl_->live = impl_->durable;
  for (internal::ImageInode& inode : impl_->live.inodes) inode.content = std::string();
}

Recording::~Recording() = default;

void Recording::Impl::check_complete() const {
  if (lost.empty()) return;
  throw std::logic_error(
      fmt::format("recording of {}: {} changes could not be followed, first: {}; let nothing else "
                  "change the tree, and use no path with .. or a symlink",
                  root, lost.size(), lost.front()));
}

std::size_t Recording::mutations() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->log.size();
}

IoOp Recording::operation(std::size_t index) const {
  std::lock_guard lock(impl_->mutex);
  return impl_->log.at(index).op;
}

std::string Recording::describe(std::size_t index) const {
  std::lock_guard lock(impl_->mutex);
  return fmt::format("{} {}", index, impl_->log.at(index).text);
}

std::vector<std::size_t> Recording::syncs() const {
  std::lock_guard lock(impl_->mutex);
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < impl_->log.size(); ++i) {
    if (is_sync(impl_->log[i].op)) found.push_back(i);
  }
  return found;
}

void Recording::mark(std::string label) {
  std::lock_guard lock(impl_->mutex);
  impl_->marks.push_back({impl_->log.size(), std::move(label)});
}

std::vector<Recording::Mark> Recording::marks() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->marks;
}

void Recording::replay(std::size_t prefix_length, std::uint64_t seed, const std::string& target,
                       const IgnoreSync& ignore) const {
  std::filesystem::create_directories(target);
  if (!std::filesystem::is_empty(target)) {
    throw std::invalid_argument("replay: " + target + " is not empty: give a new directory");
  }
  std::lock_guard lock(impl_->mutex);
  impl_->check_complete();
  if (prefix_length > impl_->log.size()) {
    throw std::invalid_argument(fmt::format("replay: prefix {} of {} recorded mutations",
                                            prefix_length, impl_->log.size()));
  }
  internal::write_tree(internal::crash(impl_->durable, impl_->log, prefix_length, seed, ignore),
                       target);
}

std::unique_ptr<IoBackend> make_recording_backend(std::unique_ptr<IoBackend> inner,
                                                  std::shared_ptr<Recording> recording) {
  return std::make_unique<RecordingBackend>(std::move(inner), std::move(recording));
}

}  // namespace cairn::engine

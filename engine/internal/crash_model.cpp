#include <cairn/engine/internal/crash_model.h>
#include <cairn/engine/recording_backend.h>

#include <algorithm>
#include <cassert>
#include <map>
#include <optional>
#include <random>
#include <utility>

namespace cairn::engine::internal {
namespace {

using Random = std::mt19937_64;

// How much of what was not durable survived. The extremes find most bugs and are common on real
// disks: nothing written yet, or everything.
enum class Fate : std::uint8_t { none, all, mixed };

Fate draw_fate(Random& random) {
  constexpr std::uint64_t kOneIn = 8;
  switch (random() % kOneIn) {
    case 0:
      return Fate::none;
    case 1:
      return Fate::all;
    default:
      return Fate::mixed;
  }
}

bool coin(Random& random) {
  return (random() & 1) != 0;
}

// By inode: mutations below this index are durable for it.
using DurableUpTo = std::map<InodeId, std::size_t>;

std::size_t durable_up_to(const DurableUpTo& durable, InodeId inode) {
  const auto found = durable.find(inode);
  return found == durable.end() ? 0 : found->second;
}

DurableUpTo find_durable(const std::vector<LogEntry>& log, std::size_t prefix,
                         const std::function<bool(std::size_t)>& ignore) {
  DurableUpTo durable;
  for (std::size_t i = 0; i < prefix; ++i) {
    if (!is_sync(log[i].op) || (ignore && ignore(i))) continue;
    std::size_t& limit = durable[log[i].inode];
    limit = std::max(limit, log[i].covers);
  }
  return durable;
}

// ---- content of files ---------------------------------------------------------------------------

class ContentModel {
 public:
  ContentModel(TreeImage& image, Random& random)
      : image_(image), random_(random), fate_(draw_fate(random)) {}

  void apply(const LogEntry& entry, bool durable) {
    std::string& content = image_.inodes[entry.inode].content;
    if (durable || fate_ == Fate::all) return apply_whole(content, entry);
    if (fate_ == Fate::none) return;
    if (entry.op == IoOp::write) return apply_torn(content, entry);
    if (coin(random_)) apply_whole(content, entry);
  }

 private:
  static void apply_whole(std::string& content, const LogEntry& entry) {
    const std::size_t end = entry.offset + entry.length;
    switch (entry.op) {
      case IoOp::write:
        content.resize(std::max(content.size(), end));
        content.replace(entry.offset, entry.length, entry.data);
        return;
      case IoOp::allocate:
        content.resize(std::max(content.size(), end));
        return;
      case IoOp::truncate:
        content.resize(entry.length);
        return;
      default:
        assert(false && "not an operation on content");
    }
  }

  // Grows the content over blocks that never reached the disk: they read as zeros or as anything.
  void grow(std::string& content, std::size_t size) {
    if (size <= content.size()) return;
    const std::size_t old = content.size();
    content.resize(size);
    if (coin(random_)) return;
    for (std::size_t i = old; i < size; ++i) content[i] = static_cast<char>(random_());
  }

  void apply_torn(std::string& content, const LogEntry& entry) {
    const std::size_t end = entry.offset + entry.length;
    // A third of the writes survives whole, a third not at all, a third block by block.
    const std::uint64_t kind = random_() % 3;
    std::size_t at = entry.offset;
    while (at < end && kind != 0) {
      const std::size_t next = std::min(end, (at / kCrashBlockBytes + 1) * kCrashBlockBytes);
      if (kind == 1 || coin(random_)) {
        grow(content, next);
        content.replace(at, next - at, entry.data, at - entry.offset, next - at);
      }
      at = next;
    }
    // The new length may be on the disk without the blocks.
    if (coin(random_)) grow(content, end);
  }

  TreeImage& image_;
  Random& random_;
  const Fate fate_;
};

// ---- entries of directories ---------------------------------------------------------------------

// What is on the disk together or not at all.
struct EntryUnit {
  struct Change {
    Place place;
    std::optional<InodeId> child;  // none = the entry goes
  };
  std::size_t index = 0;  // in the log
  std::vector<Change> changes;
  std::vector<std::size_t> builds_on;  // earlier units
  bool survives = false;
};

class EntryModel {
 public:
  explicit EntryModel(Random& random) : random_(random), fate_(draw_fate(random)) {}

  void add(std::size_t index, const LogEntry& entry) {
    switch (entry.op) {
      case IoOp::open:
      case IoOp::make_directory:
        return add_unit(index, {{entry.from, entry.inode}});
      case IoOp::unlink:
      case IoOp::remove_directory:
        return add_unit(index, {{entry.from, std::nullopt}});
      case IoOp::link:
        return add_unit(index, {{entry.to, entry.inode}});
      case IoOp::exchange:
        return add_unit(index, {{entry.from, entry.other}, {entry.to, entry.inode}});
      case IoOp::rename:
      case IoOp::replace:
        if (entry.from.directory == entry.to.directory) {
          return add_unit(index, {{entry.from, std::nullopt}, {entry.to, entry.inode}});
        }
        add_unit(index, {{entry.to, entry.inode}});
        add_unit(index, {{entry.from, std::nullopt}});
        units_.back().builds_on.push_back(units_.size() - 2);
        return;
      default:
        assert(false && "not an operation on entries");
    }
  }

  void apply(TreeImage& image, const DurableUpTo& durable) {
    mark_durable(durable);
    mark_lucky();
    for (const EntryUnit& unit : units_) {
      if (!unit.survives) continue;
      for (const EntryUnit::Change& change : unit.changes) {
        auto& entries = image.inodes[change.place.directory].entries;
        if (change.child) {
          entries[change.place.name] = *change.child;
        } else {
          entries.erase(change.place.name);
        }
      }
    }
  }

 private:
  void add_unit(std::size_t index, std::vector<EntryUnit::Change> changes) {
    EntryUnit unit;
    unit.index = index;
    unit.changes = std::move(changes);
    for (const EntryUnit::Change& change : unit.changes) {
      const auto key = std::pair(change.place.directory, change.place.name);
      const auto [last, is_first] = last_change_.try_emplace(key, units_.size());
      if (!is_first) unit.builds_on.push_back(std::exchange(last->second, units_.size()));
    }
    units_.push_back(std::move(unit));
  }

  // Durable through a sync of a directory it is in, or because something durable builds on it.
  void mark_durable(const DurableUpTo& durable) {
    for (std::size_t i = units_.size(); i-- > 0;) {
      EntryUnit& unit = units_[i];
      for (const EntryUnit::Change& change : unit.changes) {
        if (unit.index < durable_up_to(durable, change.place.directory)) unit.survives = true;
      }
      if (!unit.survives) continue;
      for (const std::size_t earlier : unit.builds_on) units_[earlier].survives = true;
    }
  }

  void mark_lucky() {
    for (EntryUnit& unit : units_) {
      if (unit.survives || fate_ == Fate::none) continue;
      const bool possible =
          std::all_of(unit.builds_on.begin(), unit.builds_on.end(),
                      [this](std::size_t earlier) { return units_[earlier].survives; });
      unit.survives = possible && (fate_ == Fate::all || coin(random_));
    }
  }

  Random& random_;
  const Fate fate_;
  std::vector<EntryUnit> units_;
  std::map<std::pair<InodeId, std::string>, std::size_t> last_change_;  // unit, by name
};

bool is_content(IoOp op) noexcept {
  return op == IoOp::write || op == IoOp::truncate || op == IoOp::allocate;
}

}  // namespace

bool is_sync(IoOp op) noexcept {
  return op == IoOp::sync_data || op == IoOp::sync_all;
}

TreeImage crash(TreeImage image, const std::vector<LogEntry>& log, std::size_t prefix,
                std::uint64_t seed, const std::function<bool(std::size_t)>& ignore) {
  assert(prefix <= log.size());
  Random random(seed);
  const DurableUpTo durable = find_durable(log, prefix, ignore);
  ContentModel content(image, random);
  EntryModel entries(random);
  for (std::size_t i = 0; i < prefix; ++i) {
    const LogEntry& entry = log[i];
    if (is_sync(entry.op)) continue;
    if (is_content(entry.op)) {
      content.apply(entry, i < durable_up_to(durable, entry.inode));
    } else {
      entries.add(i, entry);
    }
  }
  entries.apply(image, durable);
  return image;
}

}  // namespace cairn::engine::internal

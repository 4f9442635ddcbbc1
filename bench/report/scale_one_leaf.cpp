// One leaf of an item that has very many: what a program pays that wants a little of much.

#include <algorithm>
#include <functional>
#include <random>
#include <stdexcept>
#include <utility>

#include "report/scale.h"
#include "report/tiny_state.h"

namespace cairn::bench {
namespace {

constexpr std::size_t kLeaves = 1'000'000;
constexpr std::size_t kQuickLeaves = 100'000;
/// A read may take seconds.
constexpr int kRoundsMax = 3;

/// A read of the leaf of this number; gives the tree that it is in.
using ReadLeaf = std::function<Tree(std::size_t leaf)>;

class OneLeaf {
 public:
  OneLeaf(const Context& context, Report& report)
      : work_(context.settings, "scale-one-leaf"),
        leaves_(context.settings.quick ? kQuickLeaves : kLeaves),
        rounds_(context.settings.quick ? 3 : std::min(kRoundsMax, context.settings.rounds)),
        note_("of " + std::to_string(leaves_) + " leaves of 64 B" +
              (context.settings.quick ? " (--quick; the goal is for 1,000,000)" : "")),
        state_(leaves_, context.settings.seed),
        random_(context.settings.seed),
        root_((work_ / "root").string()),
        report_(report) {
    options_.engine = make_engine({});
  }

  void save() {
    CheckpointManager manager(root_, options_);
    Tree tree = state_.views(leaves_);
    const Stopwatch watch;
    const SaveResult saved = manager.save(0, std::move(tree)).get();
    const double seconds = watch.seconds();
    add("scale.one_leaf.save", seconds, "s", 1, note_ + ", all of them, to durable");
    add("scale.one_leaf.stored", static_cast<double>(saved.stored_bytes) / 1e6, "MB", 1, note_);
    make_warm(root_);
  }

  void measure() {
    add("one_leaf", read_ms([this](std::size_t leaf) {
          const CheckpointManager manager(root_, options_);
          return restore(manager, leaf);
        }),
        "ms", rounds_, note_ + ", warm, a new manager each time, restored by its name");
    const CheckpointManager manager(root_, options_);
    add("scale.one_leaf.same_manager",
        read_ms([&](std::size_t leaf) { return restore(manager, leaf); }), "ms", rounds_, note_);

    const Stopwatch opening;
    const LazyTree lazy = manager.restore(0, args::LazyRestore()).get().lazy();
    add("scale.one_leaf.lazy_open", opening.seconds() * 1e3, "ms", 1, note_ + ", all shapes");
    add("scale.one_leaf.lazy_read",
        read_ms([&](std::size_t leaf) { return lazy.read(selecting(leaf)).get(); }), "ms", rounds_,
        note_ + ", of a LazyTree that is open");
  }

 private:
  [[nodiscard]] static args::StandardRestore selecting(std::size_t leaf) {
    args::StandardRestore one;
    one.selection.emplace_back(TinyState::path_of(leaf));
    return one;
  }
  [[nodiscard]] static Tree restore(const CheckpointManager& manager, std::size_t leaf) {
    return manager.restore(0, selecting(leaf)).get().tree();
  }
  /// The median of leaves from all over the tree; the first read is not counted.
  double read_ms(const ReadLeaf& read) {
    std::vector<double> all;
    for (int round = 0; round <= rounds_; ++round) {
      const std::size_t leaf = random_() % leaves_;
      const Stopwatch watch;
      const Tree tree = read(leaf);
      if (round > 0) all.push_back(watch.seconds() * 1e3);
      if (!state_.has(tree, leaf))
        throw std::runtime_error("restored another leaf " + TinyState::path_of(leaf));
    }
    return spread_of(std::move(all)).median;
  }
  void add(std::string name, double value, std::string unit, int rounds, std::string note) {
    report_.add({.name = std::move(name),
                 .value = value,
                 .unit = std::move(unit),
                 .rounds = rounds,
                 .note = std::move(note),
                 .other_size = leaves_ == kLeaves ? "" : std::to_string(leaves_) + " leaves"});
  }

  WorkDirectory work_;
  std::size_t leaves_;
  int rounds_;
  std::string note_;
  TinyState state_;
  std::mt19937_64 random_;
  std::string root_;
  Report& report_;
  ManagerOptions options_;
};

}  // namespace

void measure_one_leaf(const Context& context, Report& report) {
  OneLeaf one(context, report);
  one.save();
  one.measure();
}

}  // namespace cairn::bench

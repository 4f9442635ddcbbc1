#pragma once
// What a CheckpointManager does, in one place and without a disk: written from the description of
// its members and options, step by step, and with no code of theirs. It keeps what has happened and
// derives the rest. Which steps go and which is best is in model/rules.h; who plays both, and
// compares, in model/player.h.

#include <string>
#include <utility>
#include <vector>

#include "model/rules.h"

namespace cairn::model {

/// A call of save() that was not refused.
struct Save {
  enum class State { under_way, committed, failed };
  std::size_t number = 0;  ///< its place among all
  Content content{};
  State state = State::under_way;
  bool overwrites = false;
  bool supersedes = false;  ///< all later steps, of a run that was given up
  /// What is to be deleted when it has committed. What is there no more, nor to come from saves up
  /// to this one, is not in it.
  std::set<Step> losers{};

  [[nodiscard]] Step step() const { return content.step; }
  [[nodiscard]] bool is_under_way() const { return state == State::under_way; }
  [[nodiscard]] bool gives_up(Step later) const { return supersedes && later > step(); }
};

/// A run that goes on from an older step than the latest.
struct RollBack {
  Step to = 0;
  Step from = 0;
  std::size_t since = 0;  ///< saves there had been
};

struct Model {
  // Of the machine.
  std::int64_t now_ns = 0;
  std::map<std::string, Content> disk{};  ///< by the directory's name
  std::set<std::string> unfinished{};     ///< of temporary directories, the names of their steps
  std::size_t aside = 0;                  ///< steps that were moved into todelete_subdir
  bool trash_fault = false;               ///< the next step to be deleted cannot be renamed
  // Of the manager that is open.
  Settings settings{};
  Contents committed{};  ///< as it was listed
  std::vector<Save> saves{};
  std::optional<RollBack> roll_back{};
  bool noticed = false;  ///< notify_preemption()
  std::optional<Step> agreed{};
  std::vector<std::pair<std::int64_t, ErrorCode>> unseen{};  ///< errors, by the value of the save

  void open(Settings with);
  void list(bool read);
  void reload();
  /// What was superseded and could not be deleted is tried again.
  void close() { delete_losers(true); }
  /// Where the answer is that it is saved, the save is under way as the last one.
  Answer begin_save(const SaveCall& call);
  Answer end_save(std::size_t number, Fault fault);
  /// Whoever made the save has got its error.
  void seen(std::int64_t value);
  /// All errors that nobody has seen, and now have been; the first, if any.
  std::optional<ErrorCode> take_errors();
  Answer delete_step(Step step);
  struct Read {
    std::optional<ErrorCode> error;
    Content content{};
  };
  /// By a call of the mode that the step was saved in.
  Read restore(std::optional<Step> step);
  bool reached_preemption(Step step);
  bool should_save(Step step);

  /// The steps that are listed: those under way, too, and none that is to be deleted.
  [[nodiscard]] Contents tracked() const;
  [[nodiscard]] std::optional<Step> latest() const;
  [[nodiscard]] std::optional<Step> latest_committed() const;
  [[nodiscard]] std::optional<Step> best() const;
  [[nodiscard]] std::vector<std::string> names(Step step) const {
    return step_names(settings.naming, step);
  }
  /// Where a step lies; empty: nowhere.
  [[nodiscard]] std::string find(Step step) const;
  /// The error of reading a step that is nowhere.
  [[nodiscard]] ErrorCode missing(Step step) const;
  [[nodiscard]] bool is_saving() const;
  [[nodiscard]] bool is_saving(Step step) const;

  /// What that save makes of the step, or a later one, is to be deleted.
  [[nodiscard]] bool doomed(Step step, std::size_t save = 0) const;
  /// Steps above it, doomed or not, on the disk or to come from the first so many saves.
  [[nodiscard]] std::set<Step> above(Step step, std::size_t first_saves) const;
  Answer decide(const SaveCall& call, Save& save);
  Answer admit(const SaveCall& call, Save& save);
  bool wants(Step step);
  Answer write(const Save& save, Fault fault);
  void spare(Save& save);
  void prune(Step step);
  void delete_losers(bool given_up_only);
  bool remove(Step step);
  void end_lone_roll_back();
};

}  // namespace cairn::model

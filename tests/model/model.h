#pragma once
// What a CheckpointManager does, in one place and without a disk: written from the description of
// its members and options, step by step, and with no code of theirs. What its rules say is in
// model/rules.h; who plays both, and compares, in model/player.h.

#include <algorithm>
#include <map>
#include <string>

#include "model/rules.h"

namespace cairn::model {

/// A step's directory.
struct Content {
  std::int64_t value = 0;
  std::optional<double> loss;
  std::int64_t time_ns = 0;
  bool composite = false;
  bool damaged = false;  ///< its metadata cannot be read
};

class Model {
 public:
  std::int64_t now_ns = 0;
  std::map<std::string, Content> disk;  ///< by the directory's name
  std::set<std::string> unfinished;     ///< of temporary directories, the names of their steps
  std::size_t aside = 0;                ///< steps that were moved into todelete_subdir
  bool trash_fault = false;             ///< the next step to be deleted cannot be renamed

  void open(Settings settings);
  void reload();

  /// The answer, or none where the save is under way, as saves.back().
  std::optional<Answer> begin_save(const SaveCall& call);
  /// Ends the save of this place in `saves`. Its error is unseen until seen().
  Answer end_save(std::size_t place);
  /// Whoever made the save has got its error.
  void seen(std::int64_t value);
  /// All errors that nobody has seen, and now have been; the first, if any.
  std::optional<ErrorCode> take_errors();
  [[nodiscard]] bool has_unseen() const { return !unseen_.empty(); }
  Answer delete_step(Step step);
  /// What was superseded and could not be deleted is tried again.
  void close();
  struct Read {
    std::optional<ErrorCode> error;
    Content content{};
  };
  /// Of a step that is there, by a call of the mode that it was saved in.
  Read restore(std::optional<Step> step);
  bool reached_preemption(Step step);

  [[nodiscard]] std::set<Step> all_steps() const;
  [[nodiscard]] std::optional<Step> latest() const;
  [[nodiscard]] std::optional<Step> latest_committed() const;
  /// What restore() takes where it is given no step: what is pushed out is better than none.
  [[nodiscard]] std::optional<Step> to_restore() const {
    const std::optional<Step> latest = latest_committed();
    return latest || committed_.empty() ? latest : std::optional(committed_.rbegin()->first);
  }
  [[nodiscard]] std::optional<Step> best() const {
    return settings_.best == Best::none ? latest() : best_of(tracked(), settings_.best);
  }
  bool should_save(Step step);
  /// Where a step lies; empty: nowhere.
  [[nodiscard]] std::string find(Step step) const;
  [[nodiscard]] std::vector<std::string> names(Step step) const {
    return step_names(settings_.naming, step);
  }
  /// The error of reading a step that is nowhere.
  [[nodiscard]] ErrorCode missing(Step step) const {
    const bool begun = step >= 0 && unfinished.contains(names(step).front());
    return begun ? ErrorCode::incomplete_checkpoint : ErrorCode::not_found;
  }

  struct Save {
    SaveCall call;
    std::vector<Step> losers{};
    bool supersedes = false;
    bool overwrites = false;
    Known known;
    int roll_back = 0;  ///< how many there had been when it began
    int number = 0;     ///< in the order of the calls, from 1
  };
  std::vector<Save> saves;  ///< under way
  bool noticed = false;     ///< notify_preemption()

 private:
  struct Decision {
    Answer answer;
    bool supersedes = false;
  };
  Decision decide(const SaveCall& call);
  bool policy_wants(Step step, bool supersedes);
  [[nodiscard]] KnownSteps tracked() const;
  /// What that save makes of the step, or has made, is to be deleted for it or for a later one.
  [[nodiscard]] bool doomed(Step step, int save) const {
    const auto found = chosen_.find(step);
    return found != chosen_.end() && !found->second.empty() && *found->second.rbegin() >= save;
  }
  [[nodiscard]] bool doomed(const Save& save) const { return doomed(save.call.step, save.number); }
  /// What is on the disk of it is to be deleted.
  [[nodiscard]] bool doomed(Step step) const {
    return committed_.contains(step) && doomed(step, maker(step));
  }
  [[nodiscard]] int maker(Step step) const {
    const auto found = made_by_.find(step);
    return found == made_by_.end() ? 0 : found->second;
  }
  /// A deletion that is left to do, and for which save.
  struct Deletion {
    Step step;
    int by;
    bool superseded;
  };
  [[nodiscard]] bool is_due(const Deletion& deletion) const;
  /// Forgets deletions of what is not there, nor to come.
  void prune(Step step);
  /// Takes what is committed of it out of the list.
  void lose(Step step);
  /// Those that can be done now; the others are deferred.
  void carry_out(std::vector<Deletion> deletions);
  [[nodiscard]] bool reads_metadata() const;
  void list(bool read);
  void commit(Save& save);
  [[nodiscard]] bool is_saving(Step step) const {
    return std::ranges::any_of(saves, [step](const Save& save) { return save.call.step == step; });
  }
  /// Takes the step off the disk; false where that failed.
  bool remove(Step step);
  Answer fail(const Save& save, ErrorCode code);
  /// Without later steps, on the disk or to come from before it, there is no roll-back.
  void end_lone_roll_back();

  struct Unseen {
    std::int64_t value;
    ErrorCode code;
  };
  Settings settings_;
  KnownSteps committed_;
  std::map<Step, int> made_by_;           ///< the save that has committed it, if it was ours
  std::map<Step, std::set<int>> chosen_;  ///< for deletion, by which saves
  std::vector<Deletion> deferred_;        ///< of these, those that could not be done yet
  int begun_ = 0;                         ///< saves
  std::optional<bool> composite_;
  std::optional<Step> restored_;
  Step rolled_back_from_ = -1;
  int roll_backs_ = 0;
  std::optional<Step> agreed_;
  std::vector<Unseen> unseen_;
};

}  // namespace cairn::model

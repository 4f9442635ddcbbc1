#include "model/sequence.h"

#include <random>
#include <sstream>

namespace cairn::model {
namespace {

using Kind = Operation::Kind;

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  std::int64_t upto(std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(0, most)(random_);
  }
  std::int64_t between(std::int64_t least, std::int64_t most) { return least + upto(most - least); }
  bool percent(int chance) { return upto(99) < chance; }
  std::optional<std::int64_t> maybe(int chance, std::int64_t least, std::int64_t most) {
    if (!percent(chance)) return std::nullopt;
    return between(least, most);
  }
  std::set<Step> some_steps() {
    std::set<Step> steps;
    for (std::int64_t count = upto(4); count > 0; --count) steps.insert(upto(20));
    return steps;
  }
  template <class Enum>
  Enum any_of(int count) {
    return static_cast<Enum>(upto(count - 1));
  }

 private:
  std::mt19937_64 random_;
};

SaveRule make_save_rule(Dice& dice) {
  SaveRule rule;
  rule.kind = dice.any_of<SaveRule::Kind>(5);
  rule.n = dice.between(1, 4);
  if (rule.kind == SaveRule::Kind::continuous) rule.n = dice.percent(30) ? -1 : dice.upto(3000);
  rule.steps = dice.some_steps();
  return rule;
}

KeepRule make_keep_rule(Dice& dice) {
  KeepRule rule;
  rule.kind =
      dice.percent(3) ? KeepRule::Kind::all : static_cast<KeepRule::Kind>(dice.between(1, 8));
  const bool in_ms = rule.kind == KeepRule::Kind::seconds || rule.kind == KeepRule::Kind::duration;
  rule.n = in_ms ? dice.upto(16) * 250 : dice.between(1, 6);
  rule.limit = dice.maybe(70, 0, 3);
  if (in_ms || rule.kind == KeepRule::Kind::all || rule.kind == KeepRule::Kind::listed)
    rule.limit.reset();
  rule.smallest = dice.percent(50);
  rule.without_metrics = dice.percent(50);
  rule.steps = dice.some_steps();
  return rule;
}

void choose_saving(Dice& dice, Settings& settings) {
  settings.on_older = dice.any_of<OnOlder>(3);
  if (dice.percent(20)) {
    for (std::int64_t count = dice.between(1, 3); count > 0; --count)
      settings.save_rules.push_back(make_save_rule(dice));
    return;
  }
  if (dice.percent(30)) settings.interval = dice.between(1, 4);
  if (dice.percent(20)) settings.on_steps = dice.some_steps();
  if (dice.percent(10)) settings.should_save_fn = dice.between(1, 3);
}

void choose_keeping(Dice& dice, Settings& settings) {
  if (dice.percent(45)) settings.best = dice.percent(50) ? Best::max : Best::min;
  settings.allow_missing = dice.percent(60);
  const bool own = dice.percent(30);
  if (own) {
    for (std::int64_t count = dice.between(1, 3); count > 0; --count)
      settings.keep_rules.push_back(make_keep_rule(dice));
    return;
  }
  settings.max_to_keep = dice.maybe(70, 0, 4);
  settings.keep_period = dice.maybe(25, 1, 6);
  if (dice.percent(25)) settings.keep_ms = 250 * dice.between(1, 16);
  settings.without_metrics = dice.percent(60);
  settings.keep_latest = settings.best != Best::none && dice.percent(30);
}

Settings make_settings(Dice& dice, Naming naming) {
  Settings settings;
  choose_saving(dice, settings);
  choose_keeping(dice, settings);
  settings.naming = naming;
  settings.read_only = dice.percent(4);
  settings.lightweight = dice.percent(15);
  settings.strict_errors = dice.percent(10);
  settings.clean_up = dice.percent(30);
  settings.aside = dice.percent(20);
  settings.background_delete = dice.percent(20);
  settings.asynchronous = dice.percent(90);
  settings.verify = static_cast<int>(dice.upto(2));
  return settings;
}

/// Operations that follow each other: the steps go up, mostly.
class Writer {
 public:
  explicit Writer(Dice& dice) : dice_(dice), composite_(dice.percent(20)) {}

  Operation next(Naming naming) {
    Operation operation;
    operation.kind = kind();
    operation.step = old_step();
    operation.number = dice_.upto(5);
    operation.fault = dice_.percent(10);
    if (operation.kind == Kind::save || operation.kind == Kind::other_save) {
      operation.call = call();
      operation.step = operation.call.step;
    }
    if (operation.kind == Kind::advance) operation.number = 250 * dice_.upto(16);
    if (operation.kind == Kind::restore && dice_.percent(40)) operation.step = -1;
    if (operation.kind == Kind::preempt) operation.step = std::max<Step>(0, head_) + dice_.upto(2);
    if (operation.kind == Kind::restart)
      operation.settings = make_settings(dice_, dice_.percent(80) ? naming : Naming::several);
    return operation;
  }

 private:
  Kind kind() {
    static constexpr std::pair<Kind, int> kWeights[] = {
        {Kind::save, 44},   {Kind::hold, 5},       {Kind::release, 4},      {Kind::cancel, 4},
        {Kind::remove, 6},  {Kind::reload, 5},     {Kind::restart, 6},      {Kind::restore, 9},
        {Kind::metrics, 2}, {Kind::wait, 2},       {Kind::check_errors, 2}, {Kind::advance, 5},
        {Kind::preempt, 1}, {Kind::other_save, 2}, {Kind::other_remove, 1}, {Kind::damage, 1},
        {Kind::leftover, 1}};
    int total = 0;
    for (const auto& [kind, weight] : kWeights) total += weight;
    std::int64_t left = dice_.upto(total - 1);
    for (const auto& [kind, weight] : kWeights) {
      left -= weight;
      if (left < 0) return kind;
    }
    return Kind::wait;
  }

  Step old_step() {
    if (dice_.percent(15)) return dice_.upto(kStepMax);
    return std::max<Step>(0, head_ - dice_.upto(4));
  }

  Step new_step() {
    if (dice_.percent(2)) return -1;
    if (dice_.percent(25)) return old_step();
    head_ = std::min(kStepMax, head_ + dice_.between(1, 3));
    return head_;
  }

  SaveCall call() {
    SaveCall call;
    call.step = new_step();
    call.value = ++values_;
    if (dice_.percent(65)) call.loss = static_cast<double>(dice_.upto(4));
    if (dice_.percent(5)) call.loss = kNoScore;
    call.force = dice_.percent(15);
    call.overwrite = dice_.percent(15);
    call.composite = composite_ != dice_.percent(3);
    call.dropped = dice_.percent(15);
    if (dice_.percent(22)) call.fault = static_cast<Fault>(dice_.between(1, 4));
    return call;
  }

  Dice& dice_;
  const bool composite_;
  Step head_ = -1;
  std::int64_t values_ = 0;
};

const char* name_of(Kind kind) {
  static constexpr const char* kNames[] = {
      "save",    "hold",       "release",      "cancel", "delete",       "reload",
      "restart", "restore",    "metrics",      "wait",   "check errors", "advance",
      "preempt", "other save", "other remove", "damage", "leftover"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::ostream& operator<<(std::ostream& out, const std::set<Step>& steps) {
  for (const Step step : steps) out << " " << step;
  return out;
}

void write(std::ostream& out, const Settings& s) {
  const auto number = [&out](const char* name, const std::optional<std::int64_t>& value) {
    if (value) out << ", " << name << " " << *value;
  };
  const auto flag = [&out](const char* name, bool value) {
    if (value) out << ", " << name;
  };
  out << "interval " << s.interval << ", naming " << static_cast<int>(s.naming) << ", on_older "
      << static_cast<int>(s.on_older) << ", best " << static_cast<int>(s.best) << ", verify "
      << s.verify;
  if (!s.on_steps.empty()) out << ", on_steps" << s.on_steps;
  if (s.should_save_fn > 0) out << ", should_save_fn " << s.should_save_fn;
  for (const SaveRule& rule : s.save_rules)
    out << ", save rule " << static_cast<int>(rule.kind) << " (" << rule.n << ";" << rule.steps
        << ")";
  number("max_to_keep", s.max_to_keep);
  number("keep_period", s.keep_period);
  number("keep_ms", s.keep_ms);
  for (const KeepRule& rule : s.keep_rules)
    out << ", keep rule " << static_cast<int>(rule.kind) << " (" << rule.n << ", limit "
        << rule.limit.value_or(-1) << (rule.smallest ? ", smallest" : "")
        << (rule.without_metrics ? ", without metrics" : "") << ";" << rule.steps << ")";
  flag("drop those without metrics", !s.without_metrics);
  flag("allow_missing", s.allow_missing);
  flag("keep_latest", s.keep_latest);
  flag("read_only", s.read_only);
  flag("lightweight", s.lightweight);
  flag("strict_errors", s.strict_errors);
  flag("clean_up", s.clean_up);
  flag("aside", s.aside);
  flag("background_delete", s.background_delete);
  flag("synchronous", !s.asynchronous);
}

void write(std::ostream& out, const SaveCall& call) {
  static constexpr const char* kFaults[] = {
      "", "no tree", "fault before", "fault at commit", "fault at last sync", "cancelled"};
  out << " value " << call.value;
  if (call.loss) out << ", loss " << *call.loss;
  if (call.force) out << ", force";
  if (call.overwrite) out << ", overwrite";
  if (call.composite) out << ", composite";
  if (call.dropped) out << ", dropped";
  if (call.fault != Fault::none) out << ", " << kFaults[static_cast<std::size_t>(call.fault)];
}

}  // namespace

Sequence make_sequence(std::uint64_t seed) {
  Dice dice(seed);
  Sequence sequence;
  const auto naming = dice.any_of<Naming>(4);
  sequence.settings = make_settings(dice, naming);
  sequence.settings.read_only = false;
  sequence.json = dice.percent(70);
  Writer writer(dice);
  for (std::int64_t count = dice.between(3, 14); count > 0; --count)
    sequence.operations.push_back(writer.next(naming));
  return sequence;
}

std::string text_of(const Sequence& sequence) {
  std::ostringstream out;
  out << "open: ";
  write(out, sequence.settings);
  out << (sequence.json ? "; states are JSON\n" : "; states are trees\n");
  for (const Operation& operation : sequence.operations) {
    out << name_of(operation.kind) << " " << operation.step << " (" << operation.number << ")";
    if (operation.fault) out << ", fault";
    if (operation.kind == Kind::save || operation.kind == Kind::other_save)
      write(out, operation.call);
    if (operation.kind == Kind::restart) {
      out << ": ";
      write(out, operation.settings);
    }
    out << "\n";
  }
  return out.str();
}

}  // namespace cairn::model

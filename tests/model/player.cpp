#include "model/player.h"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "model/adapter.h"
#include "model/save_fault.h"
#include "support/settle.h"

namespace cairn::model {
namespace {

using engine::IoOp;
using engine::IoRequest;
namespace fs = std::filesystem;

constexpr std::string_view kTrash = "-deleted-";

std::string show(bool value) {
  return value ? "yes" : "no";
}
std::string show(std::optional<Step> step) {
  return step ? std::to_string(*step) : "none";
}
std::string show(const std::string& text) {
  return text;
}
std::string show(const Answer& answer) {
  return text_of(answer);
}
std::string show(const std::set<Step>& steps) {
  std::string text;
  for (const Step step : steps) text += " " + std::to_string(step);
  return text;
}
std::string show(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += " " + name;
  return text;
}

/// What `call` throws, if anything.
template <class Call>
std::optional<ErrorCode> error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}
Answer answer_of(std::optional<ErrorCode> error) {
  return error ? Answer(*error) : Answer();
}

template <class Future>
void wait_for(const Future& future) {
  while (!future.ready()) std::this_thread::yield();
}

bool is_on_disk(Fault fault) {
  return fault == Fault::before || fault == Fault::commit || fault == Fault::last_sync;
}

/// A step that loses its name: not one under a temporary name.
bool takes_name(const IoRequest& request) {
  if (request.op != IoOp::rename || request.path.find(kTemporary) != std::string::npos)
    return false;
  return request.path2.find(kTrash) != std::string::npos || request.path2.starts_with(request.path);
}

}  // namespace

Player::Player(Machine machine, std::string root)
    : machine_(std::move(machine)), root_(std::move(root)) {}

Player::~Player() {
  machine_.faults->clear();
  machine_.faults->release();
}

std::string Player::play(const Sequence& sequence) {
  json_ = sequence.json;
  open(sequence.settings);
  std::size_t done = 0;
  for (const Operation& operation : sequence.operations) {
    ++done;
    model_.now_ns = machine_.clock->now_ns();
    perform(operation);
    compare(operation.step);
    if (!difference_.empty()) break;
  }
  if (difference_.empty()) restart(settings_);
  if (difference_.empty()) compare_disk();
  if (difference_.empty()) return "";
  return "after operation " + std::to_string(done) + ": " + difference_;
}

void Player::perform(const Operation& operation) {
  using Kind = Operation::Kind;
  switch (operation.kind) {
    case Kind::save:
      return save(operation);
    case Kind::hold:
      return hold();
    case Kind::release:
      return release();
    case Kind::cancel:
      return cancel(static_cast<std::size_t>(operation.number));
    case Kind::remove:
      return remove(operation);
    case Kind::reload:
      return reload(operation.fault);
    case Kind::restart:
      return restart(operation.settings);
    case Kind::restore:
      return restore(operation.step);
    case Kind::metrics:
      return metrics(operation.step);
    case Kind::wait:
      return wait();
    case Kind::check_errors:
      return check_errors();
    case Kind::advance:
      machine_.clock->advance(std::chrono::milliseconds(operation.number));
      model_.now_ns = machine_.clock->now_ns();
      return;
    case Kind::preempt:
      return preempt(operation.step);
    case Kind::other_save:
      return other_save(operation);
    case Kind::other_remove:
      return other_remove(operation.step);
    case Kind::damage:
      return damage(operation.step);
    case Kind::leftover:
      return leftover(operation.step);
  }
}

// ---- opening and closing ----

void Player::open(const Settings& settings) {
  settings_ = settings;
  ManagerOptions options = options_of(settings);
  options.engine = machine_.engine;
  manager_.emplace(root_, std::move(options));
  model_.open(settings);
}

void Player::restart(const Settings& settings) {
  release();
  const auto error = error_of([&] { manager_->close().get(); });
  expect_equal("error of close()", answer_of(error), answer_of(model_.take_errors()));
  model_.delete_given_up();
  manager_.reset();
  has_trash_ = has_trash_ && (!settings.clean_up || settings.read_only);
  open(settings);
}

void Player::idle(bool silent) {
  Future<void> finished = manager_->wait_until_finished();
  if (silent) {
    expect_equal("error of nobody's", answer_of(error_of([&] { finished.get(); })), Answer());
  } else {
    wait_for(finished);  // not asked, it delivers nothing
  }
}

// ---- saves ----

FaultStatePtr Player::arm(const SaveCall& call, std::int64_t nth) {
  auto state = std::make_shared<std::atomic<FaultState>>(FaultState::armed);
  if (!is_on_disk(call.fault) || call.step < 0) return state;
  FaultOfSave fault(call.fault, model_.names(call.step).front(), nth, state);
  machine_.faults->fail(std::move(fault), 1, EIO);
  return state;
}

void Player::arm_trash() {
  machine_.faults->fail(takes_name, 1, EIO);
  model_.trash_fault = true;
}

void Player::save(const Operation& operation) {
  SaveCall call = operation.call;
  // An item that has been JSON takes no tree, whichever: that save would not begin.
  if (json_ && call.fault == Fault::no_tree) call.fault = Fault::none;
  if (holding_) {
    // What goes first is another test's; and faults are told apart by the step.
    if (flights_.size() > 2 || model_.reached_preemption(call.step)) return;
    const auto same = [&](const Flight& flight) { return flight.call.step == call.step; };
    if (std::ranges::any_of(flights_, same)) call.fault = Fault::none;
  }
  auto state = arm(call, operation.number);
  if (operation.fault && !model_.is_saving()) arm_trash();
  const std::size_t number = model_.begun;
  const Answer answer = model_.begin_save(call);
  const bool begun = answer == Answer();
  Flight flight{manager_->save(call.step, state_of(call, json_), options_of(call)), call, state,
                number};
  if (begun) {
    flights_.push_back(std::move(flight));
  } else {
    *state = FaultState::disarmed;
    expect_equal("the save's future is ready", flight.future.ready(), true);
    if (flight.future.ready()) deliver(flight, answer, false);
  }
  if (!holding_) return finish_saves();
  if (!begun) return;
  if (call.fault == Fault::no_tree) {
    wait_for(flights_.back().future);
    deliver(flights_.back(), model_.end_save(number, call.fault), false);
    flights_.pop_back();
  } else if (flights_.size() == 1) {
    machine_.faults->wait_until_held(1);
  }
}

void Player::finish_saves() {
  const bool alone = flights_.size() == 1 && !flights_.front().call.dropped;
  if (alone) take(flights_.front());  // blocks
  for (const Flight& flight : flights_) wait_for(flight.future);
  // What its deletions may tell is for others to hear.
  const bool deletions_tell = settings_.background_delete && model_.trash_fault;
  idle(alone && !deletions_tell && model_.unseen.empty());
  std::vector<std::pair<Answer, bool>> expected;
  for (const Flight& flight : flights_) {
    Fault fault = flight.call.fault;
    if (is_on_disk(fault) && *flight.fault != FaultState::happened) fault = Fault::none;
    has_trash_ = has_trash_ || fault == Fault::last_sync;
    const bool unseen = !model_.unseen.empty();
    const Answer answer = model_.end_save(flight.number, fault);
    expected.emplace_back(answer, !answer.error && unseen);
  }
  for (std::size_t i = 0; i < flights_.size(); ++i)
    deliver(flights_[i], expected[i].first, expected[i].second);
  flights_.clear();
  model_.trash_fault = false;
  machine_.faults->clear();
}

void Player::take(Flight& flight) {
  if (flight.call.dropped || flight.given) return;
  Given given;
  const auto error = error_of([&] {
    const SaveResult result = flight.future.get();
    given.answer = result.outcome;
    given.warned = !result.warning.empty();
  });
  if (error) given.answer = *error;
  flight.given = given;
}

void Player::deliver(Flight& flight, const Answer& expected, bool warns) {
  if (flight.call.dropped) return;
  take(flight);
  model_.seen(flight.call.value);
  expect_equal("what the save gave", flight.given->answer, expected);
  expect_equal("the save warns of an earlier error", flight.given->warned, warns);
}

void Player::hold() {
  if (holding_ || !settings_.asynchronous || settings_.read_only) return;
  // What is removed in the background would hang, too.
  test::settle(*machine_.engine, *machine_.faults);
  machine_.faults->hold(engine::FaultPlan::only({IoOp::write}));
  holding_ = true;
}

void Player::release() {
  if (!holding_) return;
  holding_ = false;
  machine_.faults->release();
  finish_saves();
}

void Player::cancel(std::size_t place) {
  if (place >= flights_.size()) return;
  Flight& flight = flights_[place];
  const bool exists =
      !model_.saves.at(flight.number).overwrites && !model_.find(flight.call.step).empty();
  if (exists) return;  // which error comes first is a matter of luck
  *flight.fault = FaultState::disarmed;
  flight.call.fault = Fault::cancelled;
  flight.future.cancel();
  // Whether it took a leftover away before is open.
  const std::string name = model_.names(flight.call.step).front();
  if (model_.unfinished.erase(name) > 0)
    fs::remove_all(fs::path(root_) / (name + std::string(kTemporary)));
  if (place == 0) return;  // the disk holds it
  wait_for(flight.future);
  deliver(flight, model_.end_save(flight.number, Fault::cancelled), false);
  flights_.erase(flights_.begin() + static_cast<std::ptrdiff_t>(place));
}

// ---- the other members ----

void Player::remove(const Operation& operation) {
  // It would wait for the saves.
  const auto same = [&](const Flight& flight) { return flight.call.step == operation.step; };
  if (holding_ && std::ranges::none_of(flights_, same)) return;
  if (operation.fault && !holding_) arm_trash();
  const auto error = error_of([&] { manager_->delete_step(operation.step).get(); });
  expect_equal("delete_step()", answer_of(error), model_.delete_step(operation.step));
  if (holding_) return;
  machine_.faults->clear();
  model_.trash_fault = false;
}

void Player::reload(bool fault) {
  if (fault) {
    // Whoever removes steps in the background lists them, too.
    test::settle(*machine_.engine, *machine_.faults);
    machine_.faults->fail(engine::FaultPlan::only({IoOp::list}), 1, EIO);
  }
  const auto error = error_of([&] { manager_->reload(); });
  expect_equal("reload()", answer_of(error), fault ? Answer(ErrorCode::io_error) : Answer());
  if (!fault) model_.reload();
  if (fault && !holding_) machine_.faults->clear();
}

void Player::restore(Step step) {
  const auto asked = step < 0 ? std::nullopt : std::optional(step);
  const auto [answer, content] = model_.restore(asked);
  const bool composite = content.composite;
  std::string real;
  const auto error =
      error_of([&] { real = std::to_string(value_of(*manager_, asked, composite, json_)); });
  if (error) real = to_string(*error);
  const std::string expected = answer.error ? text_of(answer) : std::to_string(content.value);
  expect_equal("restored", real, expected);
}

void Player::metrics(Step step) {
  const std::string name = model_.find(step);
  if (!name.empty() && model_.disk.at(name).damaged) return;
  std::string real;
  const auto error = error_of([&] {
    const boost::json::object metrics = manager_->metrics(step).get();
    real = metrics.empty() ? "none" : std::to_string(metrics.at("loss").as_double());
  });
  if (error) real = to_string(*error);
  std::string expected(to_string(model_.missing(step)));
  if (!name.empty()) {
    const auto loss = model_.disk.at(name).loss;
    expected = loss ? std::to_string(*loss) : "none";
  }
  expect_equal("metrics()", real, expected);
}

void Player::wait() {
  if (holding_) return;
  const auto error = error_of([&] { manager_->wait_until_finished().get(); });
  expect_equal("wait_until_finished()", answer_of(error), answer_of(model_.take_errors()));
}

void Player::check_errors() {
  const auto error = error_of([&] { manager_->check_for_errors(); });
  expect_equal("check_for_errors()", answer_of(error), answer_of(model_.take_errors()));
}

void Player::preempt(Step step) {
  if (holding_) return;
  manager_->notify_preemption();
  model_.noticed = true;
  expect_equal("reached_preemption()", manager_->reached_preemption(step),
               model_.reached_preemption(step));
}

// ---- what others do ----

void Player::other_save(const Operation& operation) {
  const Step step = operation.step;
  if (holding_ || step < 0) return;
  test::settle(*machine_.engine, *machine_.faults);
  Settings settings;
  settings.naming = settings_.naming;
  ManagerOptions options = options_of(settings);
  options.engine = machine_.engine;
  SaveCall call = operation.call;
  call.force = true;
  call.overwrite = call.composite = false;
  call.fault = Fault::none;
  CheckpointManager other(root_, std::move(options));
  const auto error = error_of(
      [&] { static_cast<void>(other.save(step, state_of(call, json_), options_of(call)).get()); });
  const bool exists = !model_.find(step).empty();
  expect_equal("another manager's save", answer_of(error),
               exists ? Answer(ErrorCode::already_exists) : Answer());
  if (exists) return;
  const std::string name = model_.names(step).front();
  model_.unfinished.erase(name);
  model_.disk[name] = {step, call.value, call.loss, model_.now_ns};
}

void Player::other_remove(Step step) {
  const std::string name = model_.find(step);
  if (holding_ || name.empty()) return;
  fs::remove_all(fs::path(root_) / name);
  model_.disk.erase(name);
}

void Player::damage(Step step) {
  const std::string name = model_.find(step);
  if (holding_ || name.empty()) return;
  std::ofstream(fs::path(root_) / name / "_CHECKPOINT_METADATA") << "{";
  model_.disk.at(name).damaged = true;
}

void Player::leftover(Step step) {
  if (holding_) return;
  const std::string name = model_.names(step).front();
  fs::create_directories(fs::path(root_) / (name + std::string(kTemporary)) / "default");
  model_.unfinished.insert(name);
}

// ---- comparing ----

template <class T>
void Player::expect_equal(const char* what, const T& real, const T& model) {
  if (real == model) return;
  differ(std::string(what) + " is " + show(real) + ", the model says " + show(model));
}

void Player::differ(const std::string& text) {
  difference_ += (difference_.empty() ? "" : "; ") + text;
}

void Player::compare(Step step) {
  const std::vector<Step> steps = manager_->all_steps();
  std::set<Step> tracked;
  for (const auto& [of, content] : model_.tracked()) tracked.insert(of);
  expect_equal("all_steps()", std::set<Step>(steps.begin(), steps.end()), tracked);
  expect_equal("all_steps() ascends", std::ranges::is_sorted(steps), true);
  expect_equal("latest_step()", manager_->latest_step(), model_.latest());
  expect_equal("latest_committed_step()", manager_->latest_committed_step(),
               model_.latest_committed());
  expect_equal("best_step()", manager_->best_step(), model_.best());
  expect_equal("is_saving_in_progress()", manager_->is_saving_in_progress(), model_.is_saving());
  const Step next = model_.latest().value_or(-1) + 1;
  for (const Step asked : {std::max<Step>(0, step), next, next + 1}) {
    const std::string what = "should_save(" + std::to_string(asked) + ")";
    expect_equal(what.c_str(), manager_->should_save(asked), model_.should_save(asked));
  }
  if (!holding_) compare_disk();
}

void Player::compare_disk() {
  std::set<std::string> real;
  std::size_t aside = 0;
  for (const auto& entry : fs::directory_iterator(root_)) {
    const std::string name = entry.path().filename();
    const bool trash = name.find(kTrash) != std::string::npos;
    if (name == ".cairn.lock" || (trash && (settings_.background_delete || has_trash_))) continue;
    if (name != kAside) {
      real.insert(name);
      continue;
    }
    for (const auto& step : fs::directory_iterator(entry.path())) aside += !step.path().empty();
  }
  std::set<std::string> expected;
  for (const auto& [name, content] : model_.disk) expected.insert(name);
  for (const std::string& name : model_.unfinished) expected.insert(name + std::string(kTemporary));
  expect_equal("the directory", real, expected);
  if (aside != model_.aside) {
    differ(std::to_string(aside) + " steps were put aside, the model says " +
           std::to_string(model_.aside));
  }
}

}  // namespace cairn::model

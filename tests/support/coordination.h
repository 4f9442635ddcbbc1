#pragma once
// Jobs of forked processes with their coordinators, and what their operations gave.

#include <cairn/manager/coordination.h>
#include <cairn/manager/local_coordination.h>
#include <gtest/gtest.h>

#include <boost/system/system_error.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "support/forked_processes.h"
#include "support/temp_directory.h"

namespace cairn::test {

/// Of operations that are to complete: the alarm of a process comes first.
inline constexpr std::chrono::hours kLong{1};

/// The end of one operation, for a plain thread to wait for. Not std::future: that shares its
/// exception between two threads by a count that the thread sanitizer does not see.
template <class T>
class Ended {
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    std::exception_ptr error;
    Value value{};
  };

 public:
  /// The completion token.
  class Token {
   public:
    explicit Token(Ended& ended) : state_(ended.state_) {}
    void operator()(std::exception_ptr error) { finish(std::move(error), Value()); }
    void operator()(std::exception_ptr error, auto value) {
      finish(std::move(error), std::move(value));
    }

   private:
    void finish(std::exception_ptr error, Value value) {
      const std::lock_guard lock(state_->mutex);
      state_->error = std::move(error);
      state_->value = std::move(value);
      state_->done = true;
      state_->changed.notify_all();
    }
    std::shared_ptr<State> state_;
  };

  /// Gives the result or throws; once.
  T get() {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return state_->done; });
    if (state_->error) std::rethrow_exception(std::exchange(state_->error, nullptr));
    if constexpr (!std::is_void_v<T>) return std::move(state_->value);
  }

 private:
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

inline Ended<void> barrier(Coordinator& coordinator, const std::string& name,
                           CollectiveOptions options = kLong) {
  Ended<void> ended;
  coordinator.barrier(name, std::move(options), Ended<void>::Token(ended));
  return ended;
}
inline Ended<std::string> broadcast(Coordinator& coordinator, const std::string& name,
                                    std::string bytes, ProcessIndex root,
                                    CollectiveOptions options = kLong) {
  Ended<std::string> ended;
  coordinator.broadcast(name, std::move(bytes), root, std::move(options),
                        Ended<std::string>::Token(ended));
  return ended;
}
inline Ended<std::vector<std::string>> gather(Coordinator& coordinator, const std::string& name,
                                              std::string bytes, ProcessIndex root,
                                              CollectiveOptions options = kLong) {
  Ended<std::vector<std::string>> ended;
  coordinator.gather(name, std::move(bytes), root, std::move(options),
                     Ended<std::vector<std::string>>::Token(ended));
  return ended;
}
inline Ended<std::int64_t> agree(Coordinator& coordinator, const std::string& name,
                                 std::int64_t proposal, Agreement agreement,
                                 CollectiveOptions options = kLong) {
  Ended<std::int64_t> ended;
  coordinator.agree(name, proposal, agreement, std::move(options),
                    Ended<std::int64_t>::Token(ended));
  return ended;
}

/// What an operation that is to fail gave.
struct Failure {
  ErrorCode code = ErrorCode::internal;
  std::string text;
};

template <class T>
Failure failure_of(Ended<T> operation) {
  try {
    static_cast<void>(operation.get());
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const boost::system::system_error& error) {
    ADD_FAILURE() << "not an Error: " << error.what();
    return {};
  }
  ADD_FAILURE() << "the operation succeeded";
  return {};
}

inline std::string process_name(ProcessIndex index, ProcessIndex count) {
  return "process " + std::to_string(index) + " of " + std::to_string(count);
}

/// How the processes of a job are coordinated.
enum class Via { single, sockets, path };
struct Job {
  Via via;
  ProcessIndex count;
};
inline std::string job_name(const ::testing::TestParamInfo<Job>& info) {
  const char* const names[] = {"Single", "Sockets", "Path"};
  return names[static_cast<int>(info.param.via)] + std::to_string(info.param.count);
}
inline void PrintTo(const Job& job, std::ostream* to) {
  *to << job_name(::testing::TestParamInfo<Job>(job, 0));
}

/// The meeting place of one job; made before its forks.
class MeetingPlace {
 public:
  explicit MeetingPlace(Job job) : job_(job) {
    if (job.via == Via::sockets) group_ = std::make_unique<LocalGroup>(job.count);
  }
  [[nodiscard]] std::string path() const { return directory_ / "socket"; }

  /// In process `index`. Through a path, the others come when process 0 is there.
  std::shared_ptr<Coordinator> join(ProcessIndex index,
                                    std::shared_ptr<engine::Clock> clock = nullptr) {
    switch (job_.via) {
      case Via::single:
        return single_process();
      case Via::sockets:
        return group_->join(index, std::move(clock));
      case Via::path: {
        LocalCoordination options;
        options.index = index;
        options.count = job_.count;
        options.path = path();
        options.clock = std::move(clock);
        if (index != 0) listening_.pass();
        auto coordinator = local_coordinator(options);
        if (index == 0) listening_.open(job_.count);
        return coordinator;
      }
    }
    return nullptr;
  }
  /// In the parent, which is none of the job's processes.
  void leave() { group_.reset(); }

 private:
  Job job_;
  TempDirectory directory_;
  Gate listening_;
  std::unique_ptr<LocalGroup> group_;
};

/// Runs `body` in every process of the job and expects them to end well, or as `results` says.
inline void run_job(Job job, const std::function<void(Coordinator&)>& body,
                    const std::vector<int>& results = {}) {
  MeetingPlace place(job);
  const auto ends = run_forked(
      job.count,
      [&](unsigned index) {
        const auto coordinator = place.join(index);
        body(*coordinator);
      },
      [&place](const std::vector<pid_t>&) { place.leave(); });
  EXPECT_EQ(ends, results.empty() ? std::vector<int>(job.count) : results);
}

/// The last meeting of processes that all live: process 0 must not end before.
inline void part(Coordinator& coordinator) {
  barrier(coordinator, "the end").get();
}

}  // namespace cairn::test

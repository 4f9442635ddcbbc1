#include "report/thread_times.h"

#include <unistd.h>

#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <utility>

#include "report/measure.h"

namespace cairn::bench {

ThreadTimes& ThreadTimes::operator+=(const ThreadTimes& more) {
  ring += more.ring;
  strand += more.strand;
  others += more.others;
  return *this;
}

ThreadTimes operator-(const ThreadTimes& a, const ThreadTimes& b) {
  return {a.ring - b.ring, a.strand - b.strand, a.others - b.others};
}

/// Asked on the thread itself: the workers that it starts have its name, too.
ThreadClock::ThreadClock(std::shared_ptr<engine::Engine> engine) : engine_(std::move(engine)) {
  std::promise<std::string> number;
  boost::asio::post(engine_->executor(), [&] { number.set_value(std::to_string(::gettid())); });
  strand_ = number.get_future().get();
}

ThreadTimes ThreadClock::now() const {
  ThreadTimes times;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    double nanoseconds = 0;  // stays 0 where the thread has ended meanwhile
    std::ifstream(task.path() / "schedstat") >> nanoseconds;
    if (name == "cairn-reactor" || name == "cairn-io") times.ring += nanoseconds / 1e9;
    if (task.path().filename() == strand_) times.strand += nanoseconds / 1e9;
  }
  times.others = cpu_seconds() - times.ring - times.strand;
  return times;
}

}  // namespace cairn::bench

#include "report/trace.h"

#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/internal/decorator.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "report/saving.h"
#include "report/workloads.h"

namespace cairn::bench {
namespace {

using engine::IoOp;

/// Something that took time. Nanoseconds of a steady clock.
struct Span {
  std::string name;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::uint64_t bytes = 0;
  bool disk = false;  ///< an operation; else a task
  std::thread::id thread{};
};

std::int64_t now() {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

/// Spans of all threads.
class Trace {
 public:
  void clear() {
    const std::lock_guard lock(mutex_);
    spans_.clear();
  }
  void add(Span span) {
    const std::lock_guard lock(mutex_);
    spans_.push_back(std::move(span));
  }
  [[nodiscard]] std::vector<Span> take() {
    const std::lock_guard lock(mutex_);
    return std::move(spans_);
  }

 private:
  std::mutex mutex_;
  std::vector<Span> spans_;
};

std::string name_of(IoOp op) {
  switch (op) {
    case IoOp::write:
      return "write";
    case IoOp::sync_data:
    case IoOp::sync_all:
      return "sync";
    case IoOp::read:
      return "read";
    default:
      return "other";
  }
}

class TracingBackend final : public engine::internal::Decorator {
 public:
  TracingBackend(std::unique_ptr<engine::IoBackend> inner, std::shared_ptr<Trace> trace)
      : Decorator(std::move(inner)), trace_(std::move(trace)) {}
  ~TracingBackend() override { shut_down(-1); }

 private:
  bool on_submit(engine::IoRequest&, Note& note, Wrapper*) override {
    note.first = static_cast<std::uint64_t>(now());
    return true;
  }
  void on_complete(engine::IoRequest& request, engine::IoResult& result,
                   const Note& note) noexcept override {
    Span span;
    span.name = name_of(request.op);
    span.begin = static_cast<std::int64_t>(note.first);
    span.end = now();
    span.bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, result.value));
    span.disk = true;
    trace_->add(std::move(span));
  }

  std::shared_ptr<Trace> trace_;
};

class TracingPool final : public engine::CpuPool {
 public:
  explicit TracingPool(std::shared_ptr<Trace> trace) : trace_(std::move(trace)) {}
  void enqueue(std::function<void()> task) override {
    inner_->enqueue([trace = trace_, task = std::move(task)] {
      Span span;
      span.name = "task";
      span.begin = now();
      task();
      span.end = now();
      span.thread = std::this_thread::get_id();
      trace->add(std::move(span));
    });
  }
  [[nodiscard]] unsigned concurrency() const noexcept override { return inner_->concurrency(); }

 private:
  std::shared_ptr<Trace> trace_;
  std::shared_ptr<engine::CpuPool> inner_ = engine::make_tbb_pool();
};

/// The rows of a trace: each operation is in the first that is free, each task in its thread's.
class Lanes {
 public:
  int of(const Span& span) {
    if (!span.disk)
      return 1 + static_cast<int>(threads_.try_emplace(span.thread, threads_.size()).first->second);
    auto free =
        std::ranges::find_if(busy_until_, [&](std::int64_t end) { return end <= span.begin; });
    if (free == busy_until_.end()) free = busy_until_.insert(busy_until_.end(), 0);
    *free = span.end;
    return kDisk + static_cast<int>(free - busy_until_.begin());
  }

 private:
  static constexpr int kDisk = 100;
  std::map<std::thread::id, std::size_t> threads_;
  std::vector<std::int64_t> busy_until_;
};

boost::json::array events_of(std::vector<Span> spans, std::int64_t zero, int process) {
  std::ranges::sort(spans, {}, &Span::begin);
  Lanes lanes;
  boost::json::array events;
  for (const Span& span : spans) {
    events.push_back({{"name", span.name},
                      {"ph", "X"},
                      {"ts", static_cast<double>(span.begin - zero) / 1e3},
                      {"dur", static_cast<double>(span.end - span.begin) / 1e3},
                      {"pid", process},
                      {"tid", lanes.of(span)},
                      {"args", {{"bytes", span.bytes}}}});
  }
  return events;
}

/// Of the time from `begin` to `end`, what no span covers that `counts` takes.
template <class Counts>
double uncovered_s(std::vector<Span> spans, std::int64_t begin, std::int64_t end, Counts counts) {
  std::erase_if(spans, [&](const Span& span) { return !counts(span); });
  std::ranges::sort(spans, {}, &Span::begin);
  std::int64_t idle = 0;
  std::int64_t covered = begin;
  for (const Span& span : spans) {
    idle += std::max<std::int64_t>(0, span.begin - covered);
    covered = std::max(covered, span.end);
  }
  return static_cast<double>(idle + std::max<std::int64_t>(0, end - covered)) / 1e9;
}

}  // namespace

void trace_saves(const Settings& settings, const std::filesystem::path& file) {
  const WorkDirectory work(settings, "trace");
  const auto trace = std::make_shared<Trace>();
  engine::EngineOptions options;
  options.io_backend =
      std::make_unique<TracingBackend>(engine::make_backend(options.backend), trace);
  options.cpu_pool = std::make_shared<TracingPool>(trace);
  const auto engine = make_engine(std::move(options));
  boost::json::array events;
  int process = 0;
  for (const auto& [name, codec] :
       {std::pair{"llama", Codec::raw()}, std::pair{"llama_bf16", Codec::automatic()}}) {
    const Workload state = make_workload(name, settings.bytes, settings.seed);
    Saver saver(work / name, engine, codec, state);
    saver.warm_up();
    trace->clear();
    const std::int64_t begin = now();
    const Saved saved = saver.save();
    const std::int64_t end = now();
    const std::vector<Span> spans = trace->take();
    const auto is_write = [](const Span& span) { return span.disk && span.name == "write"; };
    const auto is_disk = [](const Span& span) { return span.disk && span.name != "other"; };
    const auto is_task = [](const Span& span) { return !span.disk; };
    std::int64_t first = end;
    for (const Span& span : spans)
      if (is_write(span)) first = std::min(first, span.begin);
    std::printf(
        "%s: %.1f ms to durable, staged after %.1f ms; the first write after %.1f ms; no write "
        "under way for %.1f ms, neither write nor sync for %.1f ms, no task for %.1f ms\n",
        name, saved.durable_s * 1e3, saved.staged_s * 1e3, static_cast<double>(first - begin) / 1e6,
        uncovered_s(spans, begin, end, is_write) * 1e3,
        uncovered_s(spans, begin, end, is_disk) * 1e3,
        uncovered_s(spans, begin, end, is_task) * 1e3);
    events.push_back(
        {{"name", "process_name"},
         {"ph", "M"},
         {"pid", ++process},
         {"args",
          {{"name", std::string(name) + ", " + std::string(process == 1 ? "raw" : "auto")}}}});
    for (boost::json::value& event : events_of(spans, begin, process))
      events.push_back(std::move(event));
  }
  std::ofstream out(file);
  out << boost::json::serialize(boost::json::object{{"traceEvents", std::move(events)}}) << '\n';
  if (!out.flush()) throw std::runtime_error("cannot write " + file.string());
}

}  // namespace cairn::bench

#include "report/fio_sweep.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <functional>
#include <stdexcept>
#include <system_error>

#include "report/context.h"
#include "report/worker.h"

namespace cairn::bench {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
/// How many of a sweep's fastest are run again, in turns.
constexpr std::size_t kFinalists = 3;
constexpr int kFinalRounds = 4;
constexpr int kQuickFinalRounds = 2;

std::vector<std::string> arguments_of(const FioJob& job, const std::filesystem::path& path,
                                      std::uint64_t bytes) {
  std::vector<std::string> arguments = {
      "fio",
      "--name=reference",
      "--directory=" + path.parent_path().string(),
      "--filename_format=" + path.filename().string() + ".$jobnum",
      "--size=" + std::to_string(bytes / job.jobs),
      "--numjobs=" + std::to_string(job.jobs),
      "--thread",
      "--group_reporting",
      std::string("--ioengine=") + (job.uring ? "io_uring" : "psync"),
      "--direct=1",
      std::string("--rw=") + (job.reads ? "read" : "write"),
      "--bs=" + std::to_string(job.block_bytes),
      "--iodepth=" + std::to_string(job.depth),
      "--randrepeat=0",
      "--refill_buffers=0",
      "--output-format=json"};
  if (!job.reads) {
    arguments.emplace_back("--fallocate=native");
    arguments.emplace_back("--end_fsync=1");
  }
  return arguments;
}

/// The sweep of one kind; its best is the job that all else is compared with. Of each job one run
/// tells who may be the best, and turns of those who that is: one lucky run would otherwise choose.
FioJob sweep(const std::vector<FioJob>& jobs, const WorkDirectory& work, const Settings& settings,
             Report& report) {
  struct Tried {
    FioJob job;
    double gb_per_s = 0;
  };
  std::vector<Tried> tried;
  const auto run = [&](const FioJob& job, const std::string& suffix) {
    // Reading finds what the first sweep has written with as many jobs; writes make new files.
    const std::string name =
        job.reads ? "read." + std::to_string(job.jobs) : "write." + name_of(job) + suffix;
    if (job.reads && !std::filesystem::exists(work / (name + ".0"))) {
      FioJob write = job;
      write.reads = false;
      write.uring = true;
      static_cast<void>(run_fio(write, work / name, settings.bytes));
    }
    return run_fio(job, work / name, settings.bytes).gb_per_s;
  };
  const std::string plot = jobs.front().reads ? "fio_read" : "fio_write";
  report.name_axes(plot, "block, MiB", "GB/s");
  for (const FioJob& job : jobs) {
    tried.push_back({job, run(job, "")});
    report.add({"fio_" + name_of(job), tried.back().gb_per_s, "GB/s"});
    if (job.uring && job.jobs == 1) {
      report.add_point(plot, "depth " + std::to_string(job.depth),
                       static_cast<double>(job.block_bytes) / static_cast<double>(kMiB),
                       tried.back().gb_per_s);
    }
  }
  std::ranges::stable_sort(tried, std::greater<>(), &Tried::gb_per_s);
  tried.resize(std::min(tried.size(), kFinalists));
  std::vector<Side> sides;
  for (const Tried& one : tried) {
    sides.emplace_back([&](int round) { return run(one.job, ".final" + std::to_string(round)); });
  }
  const auto figures = take_turns(settings.quick ? kQuickFinalRounds : kFinalRounds, sides);
  for (std::size_t i = 0; i < tried.size(); ++i) {
    tried[i].gb_per_s = spread_of(figures[i]).median;
    Row row{"fio_" + name_of(tried[i].job), tried[i].gb_per_s, "GB/s"};
    row.rounds = static_cast<int>(figures[i].size());
    row.figures = figures[i];
    row.note = "among the fastest of the sweep, so run again in turns";
    report.add(std::move(row));
  }
  return std::ranges::max_element(tried, {}, &Tried::gb_per_s)->job;
}

std::vector<FioJob> uring_jobs(bool reads, bool quick) {
  std::vector<FioJob> jobs;
  const std::vector<std::uint64_t> blocks =
      quick ? std::vector<std::uint64_t>{4, 16} : std::vector<std::uint64_t>{1, 4, 16};
  const std::vector<unsigned> depths =
      quick ? std::vector<unsigned>{32} : std::vector<unsigned>{4, 16, 64};
  for (const unsigned count : {1u, 2u})
    for (const std::uint64_t block : blocks)
      for (const unsigned depth : depths) jobs.push_back({reads, true, block * kMiB, depth, count});
  return jobs;
}

std::vector<FioJob> psync_jobs(bool quick) {
  std::vector<FioJob> jobs;
  // As many as the thread backend has.
  const unsigned threads = engine::BackendOptions{}.threads;
  const std::vector<std::uint64_t> blocks =
      quick ? std::vector<std::uint64_t>{4} : std::vector<std::uint64_t>{1, 4, 16};
  for (const std::uint64_t block : blocks) jobs.push_back({false, false, block * kMiB, 1, threads});
  return jobs;
}

}  // namespace

std::uint64_t fio_states_on_disk(bool quick) {
  const std::size_t rounds = quick ? kQuickFinalRounds : kFinalRounds;
  return uring_jobs(false, quick).size() + kFinalists * rounds;
}

std::string name_of(const FioJob& job) {
  return std::string(job.reads ? "read_" : "write_") + (job.uring ? "" : "psync_") +
         std::to_string(job.block_bytes / kMiB) + "m_" + std::to_string(job.depth) + "_" +
         std::to_string(job.jobs);
}

std::string to_string(const FioJob& job) {
  std::string text;
  for (const std::string& argument : arguments_of(job, "DIRECTORY/FILE", 0)) {
    if (argument.starts_with("--size") || argument.starts_with("--output")) continue;
    text += (text.empty() ? "" : " ") + argument;
  }
  return text;
}

FioFigure run_fio(const FioJob& job, const std::filesystem::path& path, std::uint64_t bytes) {
  boost::json::object result;
  try {
    result = run_program(arguments_of(job, path, bytes)).printed;
  } catch (const std::system_error& error) {
    throw std::runtime_error(std::string(error.what()) + "; tools/setup installs fio");
  }
  const boost::json::value& group = result.at("jobs").at(0);
  if (group.at("error").to_number<int>() != 0)
    throw std::runtime_error("fio failed: " + to_string(job));
  FioFigure figure;
  figure.gb_per_s = group.at(job.reads ? "read" : "write").at("bw_bytes").to_number<double>() / 1e9;
  const double seconds = group.at("job_runtime").to_number<double>() / 1000;
  const double cpu =
      (group.at("usr_cpu").to_number<double>() + group.at("sys_cpu").to_number<double>()) / 100;
  figure.cpu_seconds_per_gb = cpu * seconds / (static_cast<double>(bytes) / 1e9);
  return figure;
}

void measure_fio(Context& context, Report& report) {
  const bool quick = context.settings.quick;
  {
    const WorkDirectory work(context.settings, "fio_write");
    context.fio.write = sweep(uring_jobs(false, quick), work, context.settings, report);
  }
  {
    const WorkDirectory work(context.settings, "fio_psync");
    context.fio.write_psync = sweep(psync_jobs(quick), work, context.settings, report);
  }
  {
    const WorkDirectory work(context.settings, "fio_read");
    context.fio.read = sweep(uring_jobs(true, quick), work, context.settings, report);
  }
  report.note_machine("fio_write", boost::json::string(to_string(context.fio.write)));
  report.note_machine("fio_write_psync", boost::json::string(to_string(context.fio.write_psync)));
  report.note_machine("fio_read", boost::json::string(to_string(context.fio.read)));
  if (quick) report.leave_out("fio sweep", "--quick tries blocks of 4 and 16 MiB at depth 32 only");
}

}  // namespace cairn::bench

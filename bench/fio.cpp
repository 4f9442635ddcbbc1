#include "fio.h"

#include <boost/json/parse.hpp>
#include <cstdio>
#include <memory>
#include <stdexcept>

namespace cairn::bench {
namespace {

struct ClosePipe {
  void operator()(std::FILE* pipe) const noexcept { ::pclose(pipe); }
};

std::string output_of(const std::string& command) {
  const std::unique_ptr<std::FILE, ClosePipe> pipe(::popen(command.c_str(), "r"));
  if (!pipe) throw std::runtime_error("cannot run: " + command);
  std::string text;
  char block[4096];
  while (const std::size_t count = std::fread(block, 1, sizeof(block), pipe.get()))
    text.append(block, count);
  return text;
}

}  // namespace

std::string fio_command(const std::string& path, std::uint64_t bytes) {
  return "fio --name=reference --filename='" + path + "' --size=" + std::to_string(bytes) +
         " --ioengine=io_uring --direct=1 --rw=write --bs=4M --iodepth=32 --fallocate=native "
         "--end_fsync=1"
         " --randrepeat=0 --refill_buffers=0 --output-format=json";
}

FioRun fio_write(const std::string& path, std::uint64_t bytes) {
  const std::string text = output_of(fio_command(path, bytes) + " 2>&1");
  // fio may print notes before its JSON.
  const auto begin = text.find('{');
  if (begin == std::string::npos) throw std::runtime_error("fio printed no result: " + text);
  const boost::json::value result = boost::json::parse(text.substr(begin));
  const boost::json::value& job = result.at("jobs").at(0);
  if (job.at("error").as_int64() != 0) throw std::runtime_error("fio failed: " + text);
  FioRun run;
  run.bytes_per_second = job.at("write").at("bw_bytes").to_number<double>();
  const double runtime_s = job.at("job_runtime").to_number<double>() / 1000;
  const double cpu =
      (job.at("usr_cpu").to_number<double>() + job.at("sys_cpu").to_number<double>()) / 100;
  run.cpu_seconds_per_gb = cpu * runtime_s / (static_cast<double>(bytes) / 1e9);
  return run;
}

}  // namespace cairn::bench

#include "report/engine_writes.h"

#include <cairn/engine/file.h>
#include <sys/mman.h>

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <cerrno>
#include <future>
#include <memory>
#include <span>
#include <system_error>

#include "report/context.h"

namespace cairn::bench {
namespace {

using boost::asio::awaitable;
using boost::asio::use_awaitable;

constexpr std::size_t kHugePage = std::size_t{2} << 20;     // and the block's alignment
constexpr std::size_t kBlockBytes = std::size_t{16} << 20;  // a chunk's
constexpr int kWriters = 8;                                 // blocks under way

constexpr std::size_t kMappingBytes = kBlockBytes + kHugePage;

struct Target {
  engine::File file;
  std::uint64_t bytes = 0;
  std::uint64_t next = 0;  ///< offset that nobody writes yet
  std::shared_ptr<const FreshBlock> block;
};

awaitable<void> open_target(std::shared_ptr<engine::Engine> engine, std::string folder,
                            std::string name, std::shared_ptr<Target> target) {
  engine::Directory directory =
      co_await engine::Directory::async_open(engine, std::move(folder), use_awaitable);
  target->file = co_await directory.async_open_file(std::move(name), engine::OpenMode::create,
                                                    engine->direct_io(), use_awaitable);
  co_await target->file.async_allocate(target->bytes, use_awaitable);
}

awaitable<void> write_some(std::shared_ptr<Target> target) {
  while (target->next < target->bytes) {
    const std::uint64_t offset = target->next;
    target->next += kBlockBytes;
    const std::span<const std::byte> block = target->block->bytes();
    co_await target->file.async_write_at(offset, block, use_awaitable);
  }
}

awaitable<void> sync(std::shared_ptr<Target> target) {
  co_await target->file.async_sync(use_awaitable);
}

std::future<void> start(const engine::Engine& engine, awaitable<void> work) {
  return boost::asio::co_spawn(engine.executor(), std::move(work), boost::asio::use_future);
}

}  // namespace

FreshBlock::FreshBlock(std::uint64_t seed, Pages pages) {
  mapping_ =
      ::mmap(nullptr, kMappingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping_ == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "mmap of a block to write");
  void* aligned = mapping_;
  std::size_t room = kMappingBytes;
  data_ = static_cast<std::byte*>(std::align(kHugePage, kBlockBytes, aligned, room));
  if (::madvise(data_, kBlockBytes, pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0)
    throw std::system_error(errno, std::generic_category(), "madvise of a block to write");
  for (std::size_t i = 0; i < kBlockBytes; ++i) {
    seed = seed * 6364136223846793005 + 1442695040888963407;  // Knuth's MMIX
    data_[i] = static_cast<std::byte>(seed >> 56);
  }
}

FreshBlock::~FreshBlock() {
  ::munmap(mapping_, kMappingBytes);
}

std::span<const std::byte> FreshBlock::bytes() const noexcept {
  return {data_, kBlockBytes};
}

Written write_blocks(const std::shared_ptr<engine::Engine>& engine, const std::string& folder,
                     const std::string& name, std::uint64_t bytes,
                     std::shared_ptr<const FreshBlock> block) {
  const auto target = std::make_shared<Target>();
  target->bytes = std::max<std::uint64_t>(bytes / kBlockBytes, 1) * kBlockBytes;
  target->block = std::move(block);
  start(*engine, open_target(engine, folder, name, target)).get();
  const double cpu_before = cpu_seconds();
  const Stopwatch watch;
  std::vector<std::future<void>> writers;
  for (int i = 0; i < kWriters; ++i) writers.push_back(start(*engine, write_some(target)));
  for (std::future<void>& writer : writers) writer.get();
  start(*engine, sync(target)).get();
  return {target->bytes, watch.seconds(), cpu_seconds() - cpu_before};
}

/// One ring thread cannot carry more than this allows.
void measure_engine(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "engine");
  const auto engine = make_engine({});
  const std::uint64_t bytes = context.settings.bytes;
  std::vector<double> rates;
  const auto ours = [&](Pages pages, const std::string& name) {
    return [&, pages, name](int round) {
      const Written written =
          write_blocks(engine, work.path().string(), name + std::to_string(round), bytes,
                       std::make_shared<FreshBlock>(context.settings.seed, pages));
      if (pages == Pages::huge) rates.push_back(written.gb() / written.seconds);
      return written.cpu_seconds / written.gb();
    };
  };
  const auto fio = [&](int round) {
    return run_fio(context.fio.write, work / ("fio." + std::to_string(round)), bytes)
        .cpu_seconds_per_gb;
  };
  const auto cpu = take_turns(context.settings.rounds,
                              {ours(Pages::huge, "huge."), ours(Pages::small, "small."), fio});
  const std::string how =
      "whole process; writes of 16 MiB, 8 under way, from memory advised to be in ";
  report.add(compared(
      "engine_cpu", "s/GB", cpu[0], cpu[2],
      how + "huge pages, " + path_of(*engine) + "; against " + to_string(context.fio.write)));
  report.add(compared("engine_cpu_small_pages", "s/GB", cpu[1], cpu[2], how + "4 KiB pages"));
  report.add({"engine_write", spread_of(rates).median, "GB/s", {}, {}, context.settings.rounds});
}

}  // namespace cairn::bench

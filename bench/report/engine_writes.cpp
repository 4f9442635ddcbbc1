// What the engine costs by itself: memory that is aligned and lent is written, nothing is copied
// and nothing computed. One ring thread cannot carry more than this allows.

#include <cairn/engine/file.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdlib>
#include <future>
#include <memory>
#include <span>

#include "report/context.h"

namespace cairn::bench {
namespace {

using boost::asio::awaitable;
using boost::asio::use_awaitable;

constexpr std::size_t kAlignment = 4096;
constexpr std::size_t kBlockBytes = std::size_t{16} << 20;  // a chunk's
constexpr int kWriters = 8;                                 // blocks under way

struct FreeMemory {
  void operator()(std::byte* memory) const noexcept { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, FreeMemory>;

Memory random_block(std::uint64_t seed) {
  Memory memory(static_cast<std::byte*>(std::aligned_alloc(kAlignment, kBlockBytes)));
  for (std::size_t i = 0; i < kBlockBytes; ++i) {
    seed = seed * 6364136223846793005 + 1442695040888963407;  // Knuth's MMIX
    memory.get()[i] = static_cast<std::byte>(seed >> 56);
  }
  return memory;
}

struct Target {
  engine::File file;
  std::uint64_t bytes = 0;
  std::uint64_t next = 0;  ///< offset that nobody writes yet
  Memory block;
};

awaitable<void> open_target(std::shared_ptr<engine::Engine> engine, std::string folder,
                            std::string name, std::shared_ptr<Target> target) {
  engine::Directory directory =
      co_await engine::Directory::async_open(engine, std::move(folder), use_awaitable);
  target->file = co_await directory.async_open_file(std::move(name), engine::OpenMode::create,
                                                    engine->direct_io(), use_awaitable);
  co_await target->file.async_allocate(target->bytes, use_awaitable);
}

awaitable<void> write_blocks(std::shared_ptr<Target> target) {
  while (target->next < target->bytes) {
    const std::uint64_t offset = target->next;
    target->next += kBlockBytes;
    const std::span<const std::byte> block(target->block.get(), kBlockBytes);
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

void measure_engine(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "engine");
  const auto engine = make_engine({});
  const std::uint64_t bytes = context.settings.bytes / kBlockBytes * kBlockBytes;
  std::vector<double> cpu;
  std::vector<double> rates;
  for (int round = 0; round < context.settings.rounds; ++round) {
    const auto target = std::make_shared<Target>();
    target->bytes = bytes;
    target->block = random_block(context.settings.seed);
    start(*engine,
          open_target(engine, work.path().string(), "file." + std::to_string(round), target))
        .get();
    const double cpu_before = cpu_seconds();
    const Stopwatch watch;
    std::vector<std::future<void>> writers;
    for (int i = 0; i < kWriters; ++i) writers.push_back(start(*engine, write_blocks(target)));
    for (std::future<void>& writer : writers) writer.get();
    start(*engine, sync(target)).get();
    const double gb = static_cast<double>(bytes) / 1e9;
    rates.push_back(gb / watch.seconds());
    cpu.push_back((cpu_seconds() - cpu_before) / gb);
  }
  const Spread spread = spread_of(cpu);
  report.add({"engine_cpu",
              spread.median,
              "s/GB",
              {},
              {},
              context.settings.rounds,
              "whole process; writes of 16 MiB, 8 under way, " + path_of(*engine)});
  report.add({"engine_write", spread_of(rates).median, "GB/s", {}, {}, context.settings.rounds});
}

}  // namespace cairn::bench

#include <cairn/engine/engine.h>
#include <cairn/engine/error.h>
#include <cairn/engine/internal/engine_impl.h>
#include <cairn/engine/internal/fork.h>
#include <cairn/engine/internal/machine.h>
#include <cairn/engine/internal/thread.h>
#include <unistd.h>

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <limits>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace cairn::engine {
namespace {

constexpr std::size_t kStagingDefaultMax = 4ull << 30;
constexpr std::uint64_t kStagingMemoryShare = 4;  // a quarter of the memory
// Of the window, for writing and for reading each: enough to keep a disk busy, and half is common.
constexpr std::size_t kWindowShare = 4;
constexpr std::int64_t kShutDownRoundMs = 60'000;

std::size_t staging_size(std::size_t asked) {
  if (asked > 0) return asked;
  const std::uint64_t share = internal::available_memory() / kStagingMemoryShare;
  return static_cast<std::size_t>(std::min<std::uint64_t>(share, kStagingDefaultMax));
}

void add(std::atomic<std::uint64_t>& counter, std::uint64_t by) noexcept {
  counter.fetch_add(by, std::memory_order_relaxed);
}

std::uint64_t value(const std::atomic<std::uint64_t>& counter) noexcept {
  return counter.load(std::memory_order_relaxed);
}

struct DefaultEngine {
  std::mutex mutex;
  std::weak_ptr<Engine> engine;
};
internal::PerProcess<DefaultEngine> default_engine;

// Cores of the parent, in a child: never ended, and kept here so that they do not count as leaked.
std::atomic<Engine::Impl*> forked_cores{nullptr};

thread_local bool strand_thread = false;

// A close that nobody waits for. The core outlives it: finish() waits for what is under way.
class OwnedClose final : public IoOperation {
 public:
  OwnedClose(Engine::Impl& core, int fd) noexcept
      : IoOperation(IoRequest(IoOp::close)), core_(core) {
    request.fd = fd;
  }
  ~OwnedClose() override = default;
  void complete() noexcept override {
    if (result.refused) ::close(request.fd);
    add(core_.completed, 1);
    delete this;
  }

 private:
  Engine::Impl& core_;
};

}  // namespace

namespace internal {

StrandThread::StrandThread(std::chrono::milliseconds idle) : work_(context_.get_executor()) {
  thread_ = start_thread("cairn-strand", [this, idle] {
    strand_thread = true;
    run(idle);
  });
  id_ = thread_.get_id();
}

StrandThread::~StrandThread() {
  finish();
}

void StrandThread::run(std::chrono::milliseconds idle) {
  while (!context_.stopped()) {
    {
      const BatchScheduling caller_first;
      context_.run_one();
    }
    do {
      context_.poll();
    } while (context_.run_one_for(idle) > 0);
  }
}

void StrandThread::finish() {
  if (!thread_.joinable()) return;
  assert(!is_current());
  work_.reset();
  thread_.join();
}

}  // namespace internal

Engine::Impl::Impl(EngineOptions options)
    : generation(internal::fork_generation()),
      direct_io(options.direct_io),
      clock(options.clock ? std::move(options.clock) : system_clock()),
      staging(staging_size(options.staging_bytes)),
      window(options.io_window_bytes, options.io_window_bytes / kWindowShare),
      cpu(options.cpu_pool ? std::move(options.cpu_pool) : make_tbb_pool(options.cpu_threads)),
      watched(options.io_backend != nullptr),
      backend(options.io_backend ? std::move(options.io_backend) : make_backend(options.backend)) {
  if (options.registered_buffers == RegisteredBuffers::off) return;
  const std::array ranges{staging.memory(), window.memory()};
  backend->register_memory(ranges);
}

void Engine::Impl::finish() noexcept {
  strand.finish();
  while (!backend->shut_down(kShutDownRoundMs)) {
    // What is under way may write into memory that ends with this core: there is no giving up.
  }
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

std::shared_ptr<Engine> Engine::create(EngineOptions options) {
  try {
    return std::shared_ptr<Engine>(new Engine(std::make_unique<Impl>(std::move(options))));
  } catch (const std::system_error& error) {  // of std::thread
    throw boost::system::system_error(from_errno(error.code().value()),
                                      std::string("engine: ") + error.what());
  }
}

std::shared_ptr<Engine> Engine::shared_default() {
  DefaultEngine& slot = default_engine.get();
  const std::lock_guard lock(slot.mutex);
  std::shared_ptr<Engine> engine = slot.engine.lock();
  if (!engine) {
    engine = create();
    slot.engine = engine;
  }
  return engine;
}

Engine::~Engine() {
  if (forked()) {
    Impl* core = impl_.release();
    core->next_forked = forked_cores.exchange(core);
    return;
  }
  // Quarantined tasks need the core until the kernel answers, which may be never; and a thread of
  // the engine's own would wait for itself.
  if (!internal::on_engine_thread() && impl_->quarantine->totals().tasks == 0) {
    impl_->finish();
    return;
  }
  internal::run_on_reaper([core = std::shared_ptr<Impl>(std::move(impl_))] { core->finish(); });
}

boost::asio::any_io_executor Engine::executor() const {
  check_usable();
  return impl_->strand.executor();
}
bool on_any_strand() noexcept {
  return strand_thread;
}
bool Engine::on_strand() const noexcept {
  return impl_->strand.is_current();
}
BufferArena& Engine::staging() noexcept {
  return impl_->staging;
}
BufferArena& Engine::window() noexcept {
  return impl_->window;
}
CpuPool& Engine::cpu() {
  check_usable();
  return *impl_->cpu;
}
Clock& Engine::clock() noexcept {
  return *impl_->clock;
}
std::shared_ptr<Clock> Engine::shared_clock() const noexcept {
  return impl_->clock;
}
DirectIo Engine::direct_io() const noexcept {
  return impl_->direct_io;
}

EngineStats Engine::stats() const {
  check_usable();
  EngineStats stats;
  stats.backend = impl_->backend->info();
  stats.direct_io = impl_->direct_io;
  stats.operations_submitted = value(impl_->submitted);
  stats.operations_completed = value(impl_->completed);
  stats.bytes_read = value(impl_->bytes_read);
  stats.bytes_written = value(impl_->bytes_written);
  stats.files_direct = value(impl_->files_direct);
  stats.files_buffered = value(impl_->files_buffered);
  const Quarantine::Totals quarantined = impl_->quarantine->totals();
  stats.quarantined_tasks = quarantined.tasks;
  stats.quarantined_operations = quarantined.operations;
  stats.quarantined_bytes = quarantined.bytes;
  stats.staging = impl_->staging.stats();
  stats.window = impl_->window.stats();
  stats.cpu_threads = impl_->cpu->concurrency();
  return stats;
}

void Engine::submit(IoOperation* operation) noexcept {
  assert(operation != nullptr);
  if (forked()) {
    operation->result.value = -EOWNERDEAD;
    operation->result.refused = true;
    operation->complete();
    return;
  }
  add(impl_->submitted, 1);
  impl_->backend->submit(operation);
}

void Engine::cancel(IoOperation* operation) noexcept {
  if (!forked()) impl_->backend->cancel(operation);
}

void Engine::close_later(int fd) noexcept {
  assert(fd >= 0);
  auto* const operation = forked() ? nullptr : new (std::nothrow) OwnedClose(*impl_, fd);
  if (operation == nullptr) {
    ::close(fd);
    return;
  }
  submit(operation);
}

void Engine::note_completed(const IoRequest& request, const IoResult& result) noexcept {
  if (forked()) return;
  add(impl_->completed, 1);
  if (result.value <= 0) return;
  const auto moved = static_cast<std::uint64_t>(result.value);
  if (request.op == IoOp::read) add(impl_->bytes_read, moved);
  if (request.op == IoOp::write) add(impl_->bytes_written, moved);
}

bool Engine::may_read_cached() const noexcept {
  return !forked() && !impl_->watched;
}
void Engine::note_read(std::uint64_t bytes) noexcept {
  add(impl_->bytes_read, bytes);
}

void Engine::note_opened(bool direct) noexcept {
  add(direct ? impl_->files_direct : impl_->files_buffered, 1);
}

QuarantineEntry Engine::quarantine(std::shared_ptr<void> held, std::uint64_t operations,
                                   std::uint64_t bytes) {
  check_usable();
  return impl_->quarantine->add(std::move(held), operations, bytes);
}

void Engine::check_usable() const {
  internal::check_not_forked(impl_->generation, "this engine");
}

bool Engine::forked() const noexcept {
  return impl_->generation != internal::fork_generation();
}

}  // namespace cairn::engine

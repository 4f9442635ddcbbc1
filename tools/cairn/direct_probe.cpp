#include "direct_probe.h"

#include <cairn/engine/file.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include "common.h"

namespace cairn::cli {
namespace {

namespace asio = boost::asio;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kProbeBytes = 64u << 10;  // a multiple of every device's alignment

using EnginePtr = std::shared_ptr<engine::Engine>;
using DirectoryPtr = std::shared_ptr<engine::Directory>;

/// Makes the file, writes to it and syncs it.
asio::awaitable<engine::error_code> try_write(EnginePtr engine, DirectoryPtr directory,
                                              std::string name, engine::DirectIo direct,
                                              std::uint32_t* alignment) {
  auto [open_error, file] =
      co_await directory->async_open_file(name, engine::OpenMode::create, direct, kAsTuple);
  if (open_error) co_return open_error;
  *alignment = file.alignment();
  const auto [memory_error, buffer] =
      co_await engine->window().async_acquire(kProbeBytes, kAsTuple);
  if (memory_error) co_return memory_error;
  std::ranges::fill(buffer.span(), std::byte{0});
  const auto [write_error, written] =
      co_await file.async_write_at(0, buffer.span().first(kProbeBytes), kAsTuple);
  static_cast<void>(written);
  if (write_error) co_return write_error;
  const auto [sync_error] = co_await file.async_sync(kAsTuple);
  co_return sync_error;
}

asio::awaitable<DirectProbe> probe(EnginePtr engine, std::string path) {
  auto [error, opened] = co_await engine::Directory::async_open(engine, path, kAsTuple);
  DirectProbe result;
  result.open_error = error;
  if (error) co_return result;
  auto directory = std::make_shared<engine::Directory>(std::move(opened));
  const std::string direct_name = fmt::format(".cairn-doctor-{}-direct", ::getpid());
  const std::string plain_name = fmt::format(".cairn-doctor-{}-plain", ::getpid());

  const engine::error_code direct_error = co_await try_write(
      engine, directory, direct_name, engine::DirectIo::required, &result.alignment);
  result.direct = !direct_error;
  if (direct_error) result.direct_error = direct_error.message();

  std::uint32_t ignored = 0;
  const engine::error_code write_error =
      co_await try_write(engine, directory, plain_name, engine::DirectIo::off, &ignored);
  result.writable = !write_error;
  result.write_error = write_error;

  if (result.writable && !result.direct) {
    // What is left of the refused file has the name.
    static_cast<void>(co_await directory->async_unlink(direct_name, kAsTuple));
    static_cast<void>(
        co_await try_write(engine, directory, direct_name, engine::DirectIo::off, &ignored));
  }
  if (result.writable) {
    const auto [exchange_error] =
        co_await directory->async_exchange(direct_name, *directory, plain_name, kAsTuple);
    result.exchange = !exchange_error;
    if (exchange_error) result.exchange_error = exchange_error.message();
  }
  // One of them may not be there.
  static_cast<void>(co_await directory->async_unlink(direct_name, kAsTuple));
  static_cast<void>(co_await directory->async_unlink(plain_name, kAsTuple));
  co_return result;
}

}  // namespace

DirectProbe probe_directory(const EnginePtr& engine, const std::string& directory) {
  // What fails travels as a value: of an exception, this thread and the engine's would share the
  // object.
  DirectProbe result =
      asio::co_spawn(engine->executor(), probe(engine, directory), asio::use_future).get();
  if (result.open_error) throw io_failure(result.open_error, "open directory", directory);
  return result;
}

}  // namespace cairn::cli

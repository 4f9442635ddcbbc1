#pragma once
// Definitions of the templates of engine/file.h, which includes this at its end.

#include <cairn/engine/file.h>
#include <cairn/engine/impl/plans.h>
#include <fcntl.h>
#include <sys/file.h>

namespace cairn::engine {

template <class Token>
auto async_io(std::shared_ptr<Engine> engine, IoRequest request, Token&& token) {
  return impl::initiate(std::move(engine), impl::RawPlan(std::move(request)), token);
}

template <class Token>
auto File::async_write_at(std::uint64_t offset, std::span<const std::byte> bytes, Token&& token) {
  return impl::initiate(
      fd_.engine(),
      impl::TransferPlan(transfer(IoOp::write, offset, bytes.data(), bytes.size()), alignment_,
                         window_),
      token);
}

template <class Token>
auto File::async_read_at(std::uint64_t offset, std::span<std::byte> bytes, Token&& token) {
  return impl::initiate(fd_.engine(),
                        impl::TransferPlan(transfer(IoOp::read, offset, bytes.data(), bytes.size()),
                                           alignment_, nullptr),
                        token);
}

template <class Token>
auto File::async_allocate(std::uint64_t length, Token&& token) {
  IoRequest made = request(IoOp::allocate);
  made.length = length;
  return impl::initiate(fd_.engine(), impl::AllocatePlan(std::move(made)), token);
}

template <class Token>
auto File::async_truncate(std::uint64_t length, Token&& token) {
  IoRequest made = request(IoOp::truncate);
  made.length = length;
  return impl::initiate(fd_.engine(), impl::StatusPlan(std::move(made)), token);
}

template <class Token>
auto File::async_sync(Token&& token) {
  return impl::initiate(fd_.engine(), impl::SyncPlan(request(IoOp::sync_data), window_), token);
}

template <class Token>
auto File::async_cached(std::uint64_t offset, std::uint64_t length, Token&& token) {
  IoRequest made = request(IoOp::cached);
  made.offset = offset;
  made.length = length;
  return impl::initiate(fd_.engine(), impl::CountPlan(std::move(made)), token);
}

template <class Token>
auto File::async_stat(Token&& token) {
  return impl::initiate(fd_.engine(), impl::StatPlan(request(IoOp::stat)), token);
}

template <class Token>
auto File::async_lock(bool exclusive, Token&& token) {
  IoRequest made = request(IoOp::lock);
  made.flags = exclusive ? LOCK_EX : LOCK_SH;
  return impl::initiate(fd_.engine(), impl::StatusPlan(std::move(made)), token);
}

template <class Token>
auto File::async_unlock(Token&& token) {
  IoRequest made = request(IoOp::lock);
  made.flags = LOCK_UN;
  return impl::initiate(fd_.engine(), impl::StatusPlan(std::move(made)), token);
}

template <class Token>
auto File::async_close(Token&& token) {
  return impl::initiate(fd_.engine(), impl::ClosePlan(fd_.take()), token);
}

template <class Token>
auto Directory::async_open(std::shared_ptr<Engine> engine, std::string path, Token&& token) {
  impl::OpenDirectoryPlan plan(engine, AT_FDCWD, std::move(path), false);
  return impl::initiate(std::move(engine), std::move(plan), token);
}

template <class Token>
auto Directory::async_open_directory(std::string name, Token&& token) {
  impl::OpenDirectoryPlan plan(fd_.engine(), fd_.get(), std::move(name), true);
  return impl::initiate(fd_.engine(), std::move(plan), token);
}

template <class Token>
auto Directory::async_open_file(std::string name, OpenMode mode, DirectIo direct, Token&& token) {
  impl::OpenFilePlan plan(fd_.engine(), fd_.get(), std::move(name), mode, direct);
  return impl::initiate(fd_.engine(), std::move(plan), token);
}

template <class Token>
auto Directory::async_make_directory(std::string name, std::uint32_t mode, Token&& token) {
  IoRequest made = request(IoOp::make_directory, std::move(name));
  made.mode = mode;
  return impl::initiate(fd_.engine(), impl::EntryPlan(std::move(made)), token);
}

template <class Token>
auto Directory::async_remove_directory(std::string name, Token&& token) {
  return impl::initiate(fd_.engine(),
                        impl::EntryPlan(request(IoOp::remove_directory, std::move(name))), token);
}

template <class Token>
auto Directory::async_unlink(std::string name, Token&& token) {
  return impl::initiate(fd_.engine(), impl::EntryPlan(request(IoOp::unlink, std::move(name))),
                        token);
}

template <class Token>
auto Directory::async_rename(std::string name, Directory& to, std::string to_name, Token&& token) {
  impl::RenamePlan plan(pair(IoOp::rename, std::move(name), to, std::move(to_name)));
  return impl::initiate(fd_.engine(), std::move(plan), token);
}

template <class Token>
auto Directory::async_exchange(std::string name, Directory& to, std::string to_name,
                               Token&& token) {
  impl::ExchangePlan plan(pair(IoOp::exchange, std::move(name), to, std::move(to_name)));
  return impl::initiate(fd_.engine(), std::move(plan), token);
}

template <class Token>
auto Directory::async_link(std::string name, Directory& to, std::string to_name, Token&& token) {
  impl::EntryPlan plan(pair(IoOp::link, std::move(name), to, std::move(to_name)));
  return impl::initiate(fd_.engine(), std::move(plan), token);
}

template <class Token>
auto Directory::async_list(Token&& token) {
  return impl::initiate(fd_.engine(), impl::ListPlan(request(IoOp::list, {})), token);
}

template <class Token>
auto Directory::async_stat(std::string name, Token&& token) {
  return impl::initiate(fd_.engine(), impl::EntryStatPlan(request(IoOp::stat, std::move(name))),
                        token);
}

template <class Token>
auto Directory::async_sync(Token&& token) {
  return impl::initiate(fd_.engine(), impl::StatusPlan(request(IoOp::sync_all, {})), token);
}

}  // namespace cairn::engine

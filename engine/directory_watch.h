#pragma once
// Hears of what happens in directories instead of looking again and again: inotify, on the strand.

#include <cairn/engine/clock.h>
#include <cairn/engine/error.h>
#include <cairn/export.h>

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace cairn::engine {

class Engine;

/// A directory to be watched.
struct WatchedDirectory {
  using Wanted = std::function<bool(std::string_view)>;
  WatchedDirectory(int directory, Wanted names) : fd(directory), wanted(std::move(names)) {}
  int fd;         ///< open until watch() has ended
  Wanted wanted;  ///< of the entries that appear: whose names count. Called on the strand
};

/// Entries that appear in directories, under a name of their own or renamed; and that a directory
/// itself goes or gets another name. Entries that go, and what is written into files, are not
/// heard. It keeps the engine; its coroutines run on the engine's strand, one at a time. May be
/// destroyed on any thread, when none of them is under way.
class CAIRN_EXPORT DirectoryWatch {
 public:
  enum class Answer : std::uint8_t {
    as_before,  ///< each was watched already
    anew,       ///< one was not: what appeared in it until now is for the caller to look for
    unable,     ///< one cannot be: look again now and then. error() says why
  };

  /// Takes no descriptor yet.
  explicit DirectoryWatch(std::shared_ptr<Engine> engine);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  /// Watches these directories, and no others any more. Needs one inotify instance, which ENOSYS,
  /// EMFILE and fs.inotify.max_user_instances may refuse, and one watch for each directory
  /// (ENOSPC: max_user_watches). EOPNOTSUPP: a file system that other machines may change.
  [[nodiscard]] boost::asio::awaitable<Answer> watch(std::vector<WatchedDirectory> directories);
  /// Why watch() was unable the last time.
  [[nodiscard]] error_code error() const noexcept;
  /// Returns when something has happened since it last returned, or when the engine's clock reaches
  /// `deadline`; sometimes without a reason. Cancellation: system_error(operation_aborted).
  [[nodiscard]] boost::asio::awaitable<void> wait_until(Clock::Duration deadline);

 private:
  struct State;
  static boost::asio::awaitable<Answer> watch(std::shared_ptr<State> state,
                                              std::vector<WatchedDirectory> directories);
  static boost::asio::awaitable<void> wait_until(std::shared_ptr<State> state,
                                                 Clock::Duration deadline);
  std::shared_ptr<State> state_;
};

}  // namespace cairn::engine

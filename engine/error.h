#pragma once
// Errors of the engine: an error_code, as Asio uses them. System errors keep their errno in Boost's
// system category; what has no errno has a code of its own here. classify() is the one table that
// gives each errno its meaning.

#include <cairn/export.h>

#include <boost/system/error_code.hpp>
#include <string>
#include <string_view>

namespace cairn::engine {

/// As Asio has it.
using error_code = boost::system::error_code;

/// Failures that have no errno.
enum class Errc {
  unaligned_short_transfer = 1,  ///< direct I/O moved a length that is no multiple of the alignment
  misaligned_request,      ///< direct I/O asked for with an unaligned address, offset or length
  unexpected_end_of_file,  ///< the file ended before the bytes asked for
  forked_child,            ///< the engine was made before a fork() and this is the child
  engine_closed,           ///< the engine is shutting down
  request_too_large,       ///< more bytes asked of an arena than it can ever give
  timed_out,               ///< a deadline passed; the operation is in quarantine
  direct_io_unavailable,   ///< direct I/O was required and the file system refuses it
  exchange_unavailable,    ///< two names cannot be exchanged in this file system
  not_a_regular_file,      ///< a FIFO, a directory, a socket or a device where a file should be
};

/// Of Errc.
[[nodiscard]] CAIRN_EXPORT const boost::system::error_category& engine_category() noexcept;
[[nodiscard]] CAIRN_EXPORT error_code make_error_code(Errc code) noexcept;

/// What kind of failure a code is, for programs that must decide what to do.
enum class ErrorKind {
  ok,
  not_found,           ///< no such file or directory
  already_exists,      ///< the name is taken
  permission_denied,   ///< mode bits, ownership, read-only file system, seccomp
  no_space,            ///< disk or quota full
  resource_exhausted,  ///< descriptors, memory, locked memory: a limit of this process or machine
  invalid_argument,    ///< the caller's fault
  not_supported,       ///< the file system or kernel cannot do this
  busy,                ///< held by another process; trying later may work
  io_error,            ///< the device or file system failed
  data_loss,           ///< bytes are missing or wrong
  cancelled,           ///< the caller cancelled
  timed_out,           ///< a deadline passed
  closed,              ///< engine closed, or used in a forked child
  unknown,
};

/// The kind of `code`. Every errno that Linux defines for the calls we make has its own line.
[[nodiscard]] CAIRN_EXPORT ErrorKind classify(const error_code& code) noexcept;
/// "no_space" and so on.
[[nodiscard]] CAIRN_EXPORT std::string_view to_string(ErrorKind kind) noexcept;
/// What a user can do about `code`, one sentence; empty where nothing general can be said.
[[nodiscard]] CAIRN_EXPORT std::string_view remedy(const error_code& code) noexcept;
/// The error_code of an errno value.
[[nodiscard]] CAIRN_EXPORT error_code from_errno(int value) noexcept;

}  // namespace cairn::engine

namespace boost::system {
template <>
struct is_error_code_enum<cairn::engine::Errc> : std::true_type {};
}  // namespace boost::system

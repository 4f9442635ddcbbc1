// How failures of the layers below become cairn::Error.

#include <cairn/codecs/format_error.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/engine_error.h>
#include <cairn/manager/internal/storage.h>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <new>

namespace cairn {

ErrorCode error_code_of(engine::ErrorKind kind) noexcept {
  using engine::ErrorKind;
  switch (kind) {
    case ErrorKind::not_found:
      return ErrorCode::not_found;
    case ErrorKind::already_exists:
      return ErrorCode::already_exists;
    case ErrorKind::permission_denied:
      return ErrorCode::permission_denied;
    case ErrorKind::no_space:
      return ErrorCode::no_space;
    case ErrorKind::resource_exhausted:
      return ErrorCode::resource_exhausted;
    case ErrorKind::invalid_argument:
      return ErrorCode::invalid_argument;
    case ErrorKind::not_supported:
      return ErrorCode::not_supported;
    case ErrorKind::busy:
      return ErrorCode::busy;
    case ErrorKind::data_loss:
      return ErrorCode::data_loss;
    case ErrorKind::cancelled:
      return ErrorCode::cancelled;
    case ErrorKind::timed_out:
      return ErrorCode::timed_out;
    case ErrorKind::closed:
      return ErrorCode::closed;
    case ErrorKind::io_error:
    case ErrorKind::unknown:
      return ErrorCode::io_error;
    case ErrorKind::ok:
      break;
  }
  return ErrorCode::internal;
}

}  // namespace cairn

namespace cairn::internal {
namespace {

/// The same error with the operation put before what is there.
Error within(const Error& error, const std::string& operation) {
  if (operation.empty()) return error;
  ErrorContext context = error.context();
  context.operation = context.operation.empty() ? operation : operation + ": " + context.operation;
  return Error(error.code(), error.reason(), context);
}

Error translate(const std::exception_ptr& error, const std::string& path) {
  ErrorContext context;
  context.path = path;
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return e;
  } catch (const engine::NurseryError& e) {
    const Error first = translate(e.first(), path);
    ErrorContext named = first.context();
    return Error(first.code(),
                 std::to_string(e.failed()) + " of " + std::to_string(e.total()) +
                     " parts failed, first: " + first.reason(),
                 named);
  } catch (const FormatError& e) {
    return format_failure(e, path);
  } catch (const boost::system::system_error& e) {
    if (e.code() == asio::error::operation_aborted) {
      return Error(ErrorCode::cancelled, "cancelled", context);
    }
    return system_failure(e.code(), "", path);
  } catch (const std::invalid_argument& e) {
    return Error(ErrorCode::invalid_argument, e.what(), context);
  } catch (const std::bad_alloc&) {
    context.remedy = "Give the process more memory, or save less at once";
    return Error(ErrorCode::resource_exhausted, "out of memory", context);
  } catch (const std::exception& e) {
    return Error(ErrorCode::internal, e.what(), context);
  } catch (...) {
    return Error(ErrorCode::internal, "an exception that is not a std::exception", context);
  }
}

}  // namespace

Error system_failure(const engine::error_code& code, std::string operation, std::string path,
                     std::optional<std::uint64_t> offset) {
  ErrorContext context;
  context.operation = std::move(operation);
  context.path = std::move(path);
  context.offset = offset;
  context.remedy = std::string(engine::remedy(code));
  return Error(error_code_of(engine::classify(code)), code.message(), context);
}

ErrorCode code_of(const FormatError& error) noexcept {
  switch (error.kind()) {
    case FormatError::Kind::damaged:
      return ErrorCode::data_loss;
    case FormatError::Kind::unsupported:
      return ErrorCode::not_supported;
  }
  return ErrorCode::internal;
}

Error format_failure(const FormatError& error, std::string path,
                     std::optional<std::uint64_t> offset) {
  ErrorContext context;
  context.path = std::move(path);
  context.offset = error.offset() ? offset.value_or(0) + *error.offset() : offset;
  return Error(code_of(error), error.what(), context);
}

void raise_failure(const engine::error_code& code, std::string operation, std::string path,
                   std::optional<std::uint64_t> offset) {
  if (code == asio::error::operation_aborted) throw boost::system::system_error(code);
  throw system_failure(code, std::move(operation), std::move(path), offset);
}

void raise_open_failure(const engine::error_code& code, std::string operation, std::string path) {
  // What openat2 says of a link that leads out of the directory, and open of one as last component.
  const bool link = code == engine::from_errno(EXDEV) || code == engine::from_errno(ELOOP);
  if (!link) raise_failure(code, std::move(operation), std::move(path));
  throw link_error(std::move(operation), std::move(path));
}

Error link_error(std::string operation, std::string path) {
  ErrorContext context;
  context.operation = std::move(operation);
  context.path = std::move(path);
  context.remedy = "Put what the link leads to in its place (cp -L, of a directory cp -rL)";
  return Error(ErrorCode::not_supported,
               "a symbolic link is here or on the way, and links are not followed", context);
}

Error known_error(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return e;
  }
}

ErrorCode code_of(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return e.code();
  } catch (...) {
    return ErrorCode::internal;
  }
}

std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

std::exception_ptr as_error(std::exception_ptr error, const std::string& operation,
                            const std::string& path) {
  return std::make_exception_ptr(within(translate(error, path), operation));
}

}  // namespace cairn::internal

#include <cairn/engine/error.h>

#include <boost/system/generic_category.hpp>
#include <boost/system/system_category.hpp>
#include <cerrno>

namespace cairn::engine {
namespace {

class EngineCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "cairn.engine"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::unaligned_short_transfer:
        return "direct I/O moved a length that is no multiple of the alignment";
      case Errc::misaligned_request:
        return "direct I/O needs aligned addresses, offsets and lengths";
      case Errc::unexpected_end_of_file:
        return "the file ended before the bytes asked for";
      case Errc::forked_child:
        return "the engine was made before a fork() and cannot be used in the child";
      case Errc::engine_closed:
        return "the engine is shutting down";
      case Errc::request_too_large:
        return "more bytes asked of an arena than it can give";
      case Errc::timed_out:
        return "a deadline passed before the operation ended";
      case Errc::direct_io_unavailable:
        return "direct I/O was required and the file system refuses it";
      case Errc::exchange_unavailable:
        return "this file system cannot exchange two names (renameat2 with RENAME_EXCHANGE)";
      case Errc::not_a_regular_file:
        return "not a regular file";
    }
    return "unknown engine error";
  }
};

ErrorKind classify_engine(Errc code) noexcept {
  switch (code) {
    case Errc::unaligned_short_transfer:
      return ErrorKind::io_error;
    case Errc::misaligned_request:
      return ErrorKind::invalid_argument;
    case Errc::unexpected_end_of_file:
      return ErrorKind::data_loss;
    case Errc::forked_child:
      return ErrorKind::closed;
    case Errc::engine_closed:
      return ErrorKind::closed;
    case Errc::request_too_large:
      return ErrorKind::resource_exhausted;
    case Errc::timed_out:
      return ErrorKind::timed_out;
    case Errc::direct_io_unavailable:
    case Errc::exchange_unavailable:
      return ErrorKind::not_supported;
    case Errc::not_a_regular_file:
      return ErrorKind::data_loss;
  }
  return ErrorKind::unknown;
}

// One line per errno that the manual pages, io_uring or the common file systems (ext4, xfs, btrfs,
// nfs, fuse, overlayfs) give for the calls behind IoOp. What is not here cannot come from them.
ErrorKind classify_errno(int value) noexcept {
  switch (value) {
    case 0:
      return ErrorKind::ok;

    case ENOENT:
      return ErrorKind::not_found;
    case ENXIO:
      return ErrorKind::not_found;  // device node without a device
    case ENODEV:
      return ErrorKind::not_found;

    case EEXIST:
      return ErrorKind::already_exists;
    case ENOTEMPTY:
      return ErrorKind::already_exists;  // rmdir, or a rename onto a full directory

    case EACCES:
      return ErrorKind::permission_denied;
    case EPERM:
      return ErrorKind::permission_denied;  // also seccomp, immutable files, no hard links
    case EROFS:
      return ErrorKind::permission_denied;  // ext4 turns read-only after a device error
    case EKEYEXPIRED:
      return ErrorKind::permission_denied;  // nfs: Kerberos credentials ran out

    case ENOSPC:
      return ErrorKind::no_space;
    case EDQUOT:
      return ErrorKind::no_space;
    case EFBIG:
      return ErrorKind::no_space;  // above RLIMIT_FSIZE or the file system's largest file

    case EMFILE:
      return ErrorKind::resource_exhausted;  // this process's descriptors
    case ENFILE:
      return ErrorKind::resource_exhausted;  // the machine's descriptors
    case ENOMEM:
      return ErrorKind::resource_exhausted;
    case ENOBUFS:
      return ErrorKind::resource_exhausted;
    case EMLINK:
      return ErrorKind::resource_exhausted;  // hard links to one file
    case ENOLCK:
      return ErrorKind::resource_exhausted;  // lock table full, or nfs without a lock daemon
    case EOVERFLOW:
      return ErrorKind::resource_exhausted;

    case EINVAL:
      return ErrorKind::invalid_argument;
    case EBADF:
      return ErrorKind::invalid_argument;
    case EFAULT:
      return ErrorKind::invalid_argument;
    case ENAMETOOLONG:
      return ErrorKind::invalid_argument;
    case ENOTDIR:
      return ErrorKind::invalid_argument;
    case EISDIR:
      return ErrorKind::invalid_argument;
    case ELOOP:
      return ErrorKind::invalid_argument;  // a symlink where none is allowed
    case EXDEV:
      return ErrorKind::invalid_argument;  // another file system, or outside the directory
    case ESPIPE:
      return ErrorKind::invalid_argument;
    case E2BIG:
      return ErrorKind::invalid_argument;
    case EILSEQ:
      return ErrorKind::invalid_argument;  // a name that is not valid UTF-8 (casefolding)
    case EPIPE:
      return ErrorKind::invalid_argument;

    case ENOSYS:
      return ErrorKind::not_supported;
    case EOPNOTSUPP:
      return ErrorKind::not_supported;  // ENOTSUP has the same value
    case ENOTTY:
      return ErrorKind::not_supported;

    case EAGAIN:
      return ErrorKind::busy;  // a lock held elsewhere; EWOULDBLOCK has the same value
    case EBUSY:
      return ErrorKind::busy;  // a mount point, or in use
    case ETXTBSY:
      return ErrorKind::busy;
    case EINTR:
      return ErrorKind::busy;  // resubmitted below coroutines; seen only if that ran out
    case EDEADLK:
      return ErrorKind::busy;

    case EIO:
      return ErrorKind::io_error;
    case ENOTCONN:
      return ErrorKind::io_error;  // fuse: the daemon died
    case ECONNABORTED:
      return ErrorKind::io_error;  // likewise
    case EREMOTEIO:
      return ErrorKind::io_error;
    case ESTALE:
      return ErrorKind::io_error;  // nfs: the handle is no longer known
    case ENOLINK:
      return ErrorKind::io_error;  // path to the device lost
    case ENOMEDIUM:
      return ErrorKind::io_error;
    case EUCLEAN:
      return ErrorKind::io_error;  // the file system found itself corrupt
    case ESHUTDOWN:
      return ErrorKind::io_error;  // xfs after it has shut itself down
    case EHOSTDOWN:
      return ErrorKind::io_error;  // network file systems
    case ECONNRESET:
      return ErrorKind::io_error;

    case EBADMSG:
      return ErrorKind::data_loss;  // a checksum of the file system or the link failed
    case ENODATA:
      return ErrorKind::data_loss;  // the device lost the sectors ("critical medium")

    case ECANCELED:
      return ErrorKind::cancelled;  // boost::asio::error::operation_aborted
    case ETIME:
      return ErrorKind::timed_out;
    case ETIMEDOUT:
      return ErrorKind::timed_out;  // nfs soft mounts, block layer time-outs
    case EOWNERDEAD:
      return ErrorKind::closed;  // submitted in a forked child
    default:
      return ErrorKind::unknown;
  }
}

std::string_view remedy_of_errno(int value) noexcept {
  switch (value) {
    case ENOSPC:
      return "Free space on the file system or keep fewer steps.";
    case EDQUOT:
      return "Free space or ask for a larger quota.";
    case EFBIG:
      return "Raise `ulimit -f`, or use a file system that allows larger files.";
    case EMFILE:
      return "Raise the limit of open files (`ulimit -n`).";
    case ENFILE:
      return "Raise the machine's limit of open files (sysctl fs.file-max).";
    case ENOMEM:
      return "Give the process more memory, or raise `ulimit -l` for io_uring.";
    case EACCES:
      return "Check the owner and the mode of the directory.";
    case EPERM:
      return "Check ownership, file attributes (lsattr) and seccomp or container policy.";
    case EROFS:
      return "Remount the file system writable; `dmesg` says why if it became read-only.";
    case EIO:
      return "Look at `dmesg`: the device or the file system reported a failure.";
    case EUCLEAN:
      return "Check the file system (fsck): it found itself corrupt.";
    case ESHUTDOWN:
      return "The file system shut itself down: `dmesg` says why; unmount it and check it.";
    case EBADMSG:
      return "Check the device: stored bytes no longer match their checksum.";
    case ENODATA:
      return "Check the device: it cannot read the sectors back.";
    case ESTALE:
      return "Open the path again: the file server no longer knows the file.";
    case ENOTCONN:
      return "Mount the file system again: its daemon is gone.";
    case ENOLCK:
      return "Make file locks work on this mount (nfs lock daemon): they keep two writers apart.";
    case EXDEV:
      return "Keep both names on one file system and inside the directory.";
    case ELOOP:
      return "Replace the symbolic link by what it points to.";
    case EAGAIN:
      return "Another process holds it: wait for that process or stop it.";
    case EOPNOTSUPP:
    case ENOSYS:
      return "Use a file system and a kernel that offer this call.";
    case EMLINK:
      return "The file has as many hard links as the file system allows; store a copy.";
    case EKEYEXPIRED:
      return "Renew the Kerberos ticket of this user.";
    default:
      return {};
  }
}

std::string_view remedy_of_engine(Errc code) noexcept {
  switch (code) {
    case Errc::unaligned_short_transfer:
      return "Turn direct I/O off for this file system.";
    case Errc::misaligned_request:
      return "Align buffer, offset and length, or open without direct I/O.";
    case Errc::unexpected_end_of_file:
      return "The file is truncated: restore another step.";
    case Errc::forked_child:
      return "Make a new engine in the child process.";
    case Errc::engine_closed:
      return {};
    case Errc::request_too_large:
      return "Raise staging_bytes or io_window_bytes.";
    case Errc::timed_out:
      return "Check that the file system answers; raise the deadline if it is slow.";
    case Errc::direct_io_unavailable:
      return "Set direct_io to automatic or off.";
    case Errc::exchange_unavailable:
      return "Delete what is there first, or use a local file system (ext4, xfs, btrfs).";
    case Errc::not_a_regular_file:
      return "Remove it, or put the file that belongs here in its place.";
  }
  return {};
}

bool is_errno(const error_code& code) noexcept {
  return code.category() == boost::system::system_category() ||
         code.category() == boost::system::generic_category();
}

}  // namespace

const boost::system::error_category& engine_category() noexcept {
  static const EngineCategory category;
  return category;
}

error_code make_error_code(Errc code) noexcept {
  return {static_cast<int>(code), engine_category()};
}

error_code from_errno(int value) noexcept {
  return {value, boost::system::system_category()};
}

ErrorKind classify(const error_code& code) noexcept {
  if (!code) return ErrorKind::ok;
  if (is_errno(code)) return classify_errno(code.value());
  if (code.category() == engine_category()) return classify_engine(static_cast<Errc>(code.value()));
  return ErrorKind::unknown;
}

std::string_view remedy(const error_code& code) noexcept {
  if (!code) return {};
  if (is_errno(code)) return remedy_of_errno(code.value());
  if (code.category() == engine_category())
    return remedy_of_engine(static_cast<Errc>(code.value()));
  return {};
}

std::string_view to_string(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::ok:
      return "ok";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::already_exists:
      return "already_exists";
    case ErrorKind::permission_denied:
      return "permission_denied";
    case ErrorKind::no_space:
      return "no_space";
    case ErrorKind::resource_exhausted:
      return "resource_exhausted";
    case ErrorKind::invalid_argument:
      return "invalid_argument";
    case ErrorKind::not_supported:
      return "not_supported";
    case ErrorKind::busy:
      return "busy";
    case ErrorKind::io_error:
      return "io_error";
    case ErrorKind::data_loss:
      return "data_loss";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::timed_out:
      return "timed_out";
    case ErrorKind::closed:
      return "closed";
    case ErrorKind::unknown:
      return "unknown";
  }
  return "unknown";
}

}  // namespace cairn::engine

#pragma once
// The manager's way to the disk: coroutines over the engine's files and directories whose failures
// are cairn::Error with operation and path. Run on the engine's strand only.

#include <cairn/codecs/format_error.h>
#include <cairn/engine/deadline.h>
#include <cairn/engine/file.h>
#include <cairn/manager/error.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cairn::internal {

namespace asio = boost::asio;
template <class T>
using Task = asio::awaitable<T>;
using EnginePtr = std::shared_ptr<engine::Engine>;

/// The token of every engine call here: an error_code and the value, no exception.
inline constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

/// May be null: nobody watches. Every operation below, however it ends, is a beat of the heart of
/// the folder or file that it is called with.
using HeartPtr = std::shared_ptr<engine::Heartbeat>;

/// Of directories that are made; the umask has the last word.
inline constexpr std::uint32_t kDirectoryMode = 0777;

/// An open directory that remembers its path for messages. What is opened or made in it has its
/// heart and mode.
struct Folder {
  Folder(EnginePtr e, engine::Directory h, std::string p, HeartPtr b = nullptr,
         std::uint32_t m = kDirectoryMode)
      : engine(std::move(e)),
        handle(std::move(h)),
        path(std::move(p)),
        heart(std::move(b)),
        mode(m) {}
  EnginePtr engine;
  engine::Directory handle;
  std::string path;
  HeartPtr heart;
  std::uint32_t mode;  ///< of directories made below it
};
using FolderPtr = std::shared_ptr<Folder>;

/// An open file, likewise.
struct OpenFile {
  OpenFile(engine::File f, std::string p, HeartPtr b = nullptr)
      : file(std::move(f)), path(std::move(p)), heart(std::move(b)) {}
  engine::File file;
  std::string path;
  HeartPtr heart;
};
using FilePtr = std::shared_ptr<OpenFile>;

/// Of a folder or file: it is alive.
template <class Place>
void beat(const Place& place) noexcept {
  if (place->heart) place->heart->beat();
}

/// The Error that stands for a system failure.
[[nodiscard]] Error system_failure(const engine::error_code& code, std::string operation,
                                   std::string path,
                                   std::optional<std::uint64_t> offset = std::nullopt);
/// The Error that stands for bytes that a decoder refused: data_loss, or not_supported where they
/// may be sound. `offset`: where the decoded structure begins in the file, which stands for the
/// field's where that is not known; none: it is all of the file.
[[nodiscard]] ErrorCode code_of(const FormatError& error) noexcept;
[[nodiscard]] Error format_failure(const FormatError& error, std::string path,
                                   std::optional<std::uint64_t> offset = std::nullopt);
/// Throws it; a cancelled operation throws system_error(operation_aborted), which nurseries know
/// from a failure.
[[noreturn]] void raise_failure(const engine::error_code& code, std::string operation,
                                std::string path,
                                std::optional<std::uint64_t> offset = std::nullopt);
/// The same for a file or directory that could not be opened below another: where a symbolic link
/// is in the way, not_supported, because what it leads to may be as good as ever.
[[noreturn]] void raise_open_failure(const engine::error_code& code, std::string operation,
                                     std::string path);
/// That of a symbolic link at `path` or above it.
[[nodiscard]] Error link_error(std::string operation, std::string path);
/// Joins with exactly one slash; an empty side gives the other.
[[nodiscard]] std::string join_path(const std::string& directory, const std::string& name);

Task<FolderPtr> open_folder(EnginePtr engine, std::string path, HeartPtr heart = nullptr);
/// Opens `path`, making it and its missing parents durable first.
Task<FolderPtr> make_folder_path(EnginePtr engine, std::string path,
                                 std::uint32_t mode = kDirectoryMode);
Task<FolderPtr> open_subfolder(FolderPtr parent, std::string name);
Task<FolderPtr> make_subfolder(FolderPtr parent, std::string name);
/// Opens it, making it durable first where it is missing.
Task<FolderPtr> open_or_make_subfolder(FolderPtr parent, std::string name);
Task<std::vector<engine::DirectoryEntry>> list_folder(FolderPtr folder);
/// fsync of the directory.
Task<void> sync_folder(FolderPtr folder);
/// Makes a directory below `folder`, on whose way all others are there.
Task<void> make_directory(FolderPtr folder, std::string name);
struct StatusResult {
  StatusResult() = default;
  engine::error_code error;
  engine::FileStatus status;
};
/// Of an entry below `folder`, not following symlinks.
Task<StatusResult> status_below(FolderPtr folder, std::string name);
/// The same, not following symlinks; none when there is no such entry.
Task<std::optional<engine::FileStatus>> find_status(FolderPtr folder, std::string name);
Task<void> rename_entry(FolderPtr folder, std::string from, std::string to);
Task<void> exchange_entries(FolderPtr folder, std::string a, std::string b);
/// From one directory to another of the same file system; never replaces.
Task<void> move_entry(FolderPtr from, std::string name, FolderPtr to, std::string new_name);
class PauseGate;
/// Removes an entry and all below it, `side_by_side` entries at once (0: a number that suits the
/// engine); missing is fine. Passes `gate`, if any, before each.
Task<void> remove_tree(FolderPtr parent, std::string name, std::size_t side_by_side = 0,
                       std::shared_ptr<PauseGate> gate = nullptr);

Task<FilePtr> open_file(FolderPtr folder, std::string name, engine::OpenMode mode,
                        engine::DirectIo direct);
/// Makes a file with these bytes and syncs it.
Task<void> write_file(FolderPtr folder, std::string name, std::string bytes);
/// Likewise without the sync, for what no reader needs after a power loss.
Task<void> write_unsynced_file(FolderPtr folder, std::string name, std::string bytes);
/// A whole file of at most `most` bytes; none when there is no such file.
Task<std::optional<std::string>> read_file_if_there(FolderPtr folder, std::string name,
                                                    std::uint64_t most);
Task<std::string> read_file(FolderPtr folder, std::string name, std::uint64_t most);
/// All of `bytes`, which stay valid meanwhile.
Task<void> write_at(FilePtr file, std::uint64_t offset, std::span<const std::byte> bytes);
/// Fills `bytes`; an early end of the file is data_loss. With direct I/O everything is aligned.
Task<void> read_at(FilePtr file, std::uint64_t offset, std::span<std::byte> bytes);
/// Like read_at, but returns how many bytes there were before the end of the file.
Task<std::size_t> read_some_at(FilePtr file, std::uint64_t offset, std::span<std::byte> bytes);
Task<void> sync_and_close(FilePtr file);

/// The code of an Error; internal for anything else.
[[nodiscard]] ErrorCode code_of(const std::exception_ptr& error) noexcept;
/// The Error that `error` is; throws an exception of any other type.
[[nodiscard]] Error known_error(const std::exception_ptr& error);
/// what() of an exception.
[[nodiscard]] std::string message_of(const std::exception_ptr& error);
/// What ended a coroutine, as an Error: system_error(operation_aborted) is ErrorCode::cancelled, a
/// FormatError is data_loss with `path`; nested NurseryErrors are unwrapped to "k of n failed,
/// first: ...".
[[nodiscard]] std::exception_ptr as_error(std::exception_ptr error, const std::string& operation,
                                          const std::string& path);

}  // namespace cairn::internal

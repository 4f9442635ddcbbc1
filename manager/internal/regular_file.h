#pragma once
// Opening files that somebody else named: links are followed or not, and what is no file is
// refused.

#include <cairn/manager/internal/storage.h>

#include <string>

namespace cairn::internal {

/// Where a name is looked up.
enum class LookUp : std::uint8_t {
  anywhere,  ///< any path; links lead anywhere
  beneath,   ///< below the folder, and links must not leave it
};

/// What `name` leads to, links followed; never waits, as opening a FIFO would. With a null
/// `folder`, `name` is a path.
Task<engine::FileType> type_of_path(EnginePtr engine, FolderPtr folder, std::string name,
                                    LookUp look_up);

struct RegularFile {
  RegularFile() = default;
  FilePtr file;
  std::uint64_t size = 0;  ///< bytes
};

/// Opens a regular file for reading, with direct I/O as `direct` says. Errors: invalid_argument for
/// anything but a regular file, or a link that leaves the folder; not_found and the rest of the
/// system's.
Task<RegularFile> open_regular_file(EnginePtr engine, FolderPtr folder, std::string name,
                                    LookUp look_up, engine::DirectIo direct);

/// Bytes [offset, offset + size) of a file, whatever alignment its transfers need.
Task<std::string> read_bytes(EnginePtr engine, FilePtr file, std::uint64_t offset,
                             std::size_t size);

}  // namespace cairn::internal

#pragma once
// The data files of a database: one whose size is known before anything is encoded, others that
// grow, and those that are linked from the step before. Used on the strand.

#include <cairn/engine/async_semaphore.h>
#include <cairn/manager/internal/chunk_store.h>
#include <cairn/manager/internal/synced_files.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cairn::internal {

/// A growing file reserves what it is expected to hold at first, because ext4 lets writes end
/// before it reserves more; beyond that,
/// or where there is not as much space, as much ahead as it has already, within these bounds. What
/// is left over is cut off before the sync, and so is what a reservation that failed half way got.
inline constexpr std::uint64_t kReserveBytesMin = 8u << 20;
inline constexpr std::uint64_t kReserveBytesMax = 256u << 20;

/// Where bytes went.
struct FilePlace {
  FilePlace() = default;
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
};

struct DataFileState {
  DataFileState() = default;
  std::string path;         ///< "d/<hex>"
  std::uint64_t bytes = 0;  ///< used
  std::uint32_t age = 0;    ///< steps since it was written
  bool linked = false;
  bool foreign = false;  ///< written by another process
  FileId id;             ///< of one that is linked, or written and closed
};

/// A growing file that is full is made durable and closed as its last write ends: no more of them
/// are open than have writes under way.
class DataFiles {
 public:
  /// `open_bytes`: what growing files hold together at most. `bytes_max`: of one of them, unless it
  /// holds a single larger piece.
  DataFiles(EnginePtr engine, FolderPtr folder, std::uint64_t open_bytes, std::uint64_t bytes_max);
  /// What growing files will hold, as far as can be told; 0 until this is called.
  void expect(std::uint64_t bytes) noexcept { expected_bytes_ = bytes; }

  /// Makes the file of known size and reserves its blocks. It has number 0.
  Task<void> open_fixed(std::uint64_t bytes);
  /// `bytes` of a multiple of kFileAlignment to `offset` of that file.
  Task<void> write_fixed(std::uint64_t offset, std::span<const std::byte> bytes);
  /// The same to the next place of a growing file. The one that ends a full file makes it durable.
  Task<FilePlace> append(FileClass kind, std::span<const std::byte> bytes);
  /// Takes a file that is there already by a link; returns its number.
  std::uint32_t add_linked(std::string path, std::uint64_t bytes, std::uint32_t age, FileId id);
  /// Takes a file that another process of the save has written; returns its number.
  std::uint32_t add_foreign(std::string path, std::uint64_t bytes);
  /// Cuts growing files to what they hold and makes all of them durable.
  Task<void> finish();

  [[nodiscard]] const std::vector<DataFileState>& files() const noexcept { return states_; }
  /// Written, not linked.
  [[nodiscard]] std::uint64_t written_bytes() const noexcept;
  [[nodiscard]] const FolderPtr& folder() const noexcept { return folder_; }

 private:
  /// Of a file that is written.
  struct OpenData {
    OpenData() = default;
    FilePtr file;                ///< none for linked and for closed ones
    std::uint64_t reserved = 0;  ///< bytes that have blocks
    std::size_t writes = 0;      ///< under way, or about to be
  };
  struct Growing {
    Growing() : turn(1) {}
    engine::AsyncSemaphore turn;          ///< one reserves at a time
    std::optional<std::uint32_t> number;  ///< none before the first bytes
  };
  Task<FilePlace> reserve(FileClass kind, std::uint64_t bytes);
  Task<std::uint32_t> make_file();
  /// Blocks up to `end` at least.
  Task<void> grow(std::uint32_t number, std::uint64_t end);
  /// False where there is no space.
  Task<bool> allocate(std::uint32_t number, std::uint64_t bytes);
  /// Gives back the blocks behind the places that were handed out.
  Task<void> cut(std::uint32_t number);
  Task<void> write(FilePtr file, std::uint64_t offset, std::span<const std::byte> bytes);
  /// Durable and closed. Not twice.
  Task<void> close(std::uint32_t number);
  Task<void> close_full();

  EnginePtr engine_;
  FolderPtr folder_;
  std::uint64_t open_bytes_;
  std::uint64_t bytes_max_;
  std::uint64_t expected_bytes_ = 0;
  engine::AsyncSemaphore in_flight_;
  std::vector<DataFileState> states_;
  std::vector<OpenData> open_;  ///< parallel
  std::array<Growing, kFileClasses> growing_;
  std::vector<std::uint32_t> full_;  ///< get no more places, and are not closed yet
};

/// A fresh name for a data file, as TensorStore's own.
[[nodiscard]] std::string data_file_name();

}  // namespace cairn::internal

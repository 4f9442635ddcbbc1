#pragma once
// Carries out a plan: reads extents through the engine's window and gives their pieces to a sink.

#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/chunk_plan.h>
#include <cairn/manager/internal/chunk_sink.h>

#include <cstdint>
#include <memory>

namespace cairn::internal {

/// Where data comes from: files that are in the page cache need no disk, unless that is what is
/// asked about.
enum class ReadFrom : std::uint8_t { cache_or_disk, disk };

class ChunkReader {
 public:
  /// Borrows what `scope` refers to, and the sink. `damage` is called on the strand or while it
  /// waits; where it returns, reading goes on without the chunks that it was told of.
  ChunkReader(const ReadScope& scope, ChunkSink& sink, DamageSink damage,
              ReadFrom from = ReadFrom::cache_or_disk)
      : scope_(scope), sink_(sink), damage_(std::move(damage)), from_(from) {}

  Task<void> run(ReadPlan plan);
  /// Chunks, or inner chunks, that were found good, and their stored bytes.
  [[nodiscard]] std::uint64_t good_chunks() const noexcept { return good_chunks_; }
  [[nodiscard]] std::uint64_t good_bytes() const noexcept { return good_bytes_; }

 private:
  struct DataFile {
    FilePtr file;
    std::uint64_t size = 0;  ///< bytes
    bool cached = false;     ///< all of it, when it was opened
  };
  using DataFilePtr = std::shared_ptr<DataFile>;
  using Inlined = std::vector<ReadPlan::Inlined>;
  /// What came of some pieces; filled on a worker, counted on the strand.
  struct Tally {
    Tally() = default;
    std::vector<Error> damages;
    std::uint64_t good_chunks = 0;
    std::uint64_t bytes = 0;
  };

  static Task<void> read_all(engine::Nursery& nursery, ChunkReader* self, ReadPlan* plan);
  Task<void> read_inlined(const Inlined* inlined, std::size_t begin, std::size_t end);
  /// `file`: none = the extent's own, opened here.
  Task<void> read_extent(ReadExtent extent, DataFilePtr file);
  Task<void> read_pieces(const ReadExtent* extent, FilePtr file, Tally* tally);
  Task<DataFilePtr> open_data_file(std::uint32_t file);
  /// The file of the extent `first` and those behind it; none where it cannot be opened.
  Task<DataFilePtr> open_shared_file(const ReadPlan* plan, std::size_t first);
  /// Sets a whole file's length and range, and drops pieces that cannot be: what is wrong with
  /// them.
  [[nodiscard]] std::vector<Error> settle(ReadExtent& extent, const DataFile& file) const;
  [[nodiscard]] std::uint64_t scratch_of(const ReadExtent& extent) const;
  [[nodiscard]] std::uint64_t scratch_of(const ChunkPiece& piece) const;
  void count(const Tally& tally);

  /// All of the extent's pieces from the page cache to where their elements go, without the window.
  /// False where one of them cannot be read so, or is not sound: then none counts as taken,
  /// whatever was written where they go.
  Task<bool> read_in_place(const ReadExtent* extent, DataFilePtr file, Tally* tally);

  // On workers.
  [[nodiscard]] bool fits_in_place(const ChunkPiece& piece) const;
  [[nodiscard]] bool read_in_place(const ChunkPiece& piece, const engine::File& file) const;
  void check_record(const ChunkPiece& piece, std::span<const std::byte> stored) const;
  /// `offset`: for messages, in the file: of the piece, or of the node that it is in.
  void take(const ChunkPiece& piece, std::span<const std::byte> stored,
            std::span<std::byte> scratch, const std::string& path, std::uint64_t offset,
            Tally& tally);

  // Shards, in chunk_reader_shards.cpp.
  Task<void> read_shard(ReadExtent shard);
  Task<void> read_index(const ReadExtent* shard, FilePtr file, std::vector<ReadExtent>* extents,
                        Tally* tally);
  static Task<void> read_inner(engine::Nursery& nursery, ChunkReader* self,
                               std::vector<ReadExtent>* extents, DataFilePtr file);
  /// On a worker. A shard that lies in a node at `node`; `scratch` has room for any inner chunk.
  void take_shard(const ChunkPiece& whole, std::span<const std::byte> stored,
                  std::span<std::byte> scratch, const std::string& path, std::uint64_t node,
                  Tally& tally);
  /// On a worker. The wanted inner chunks that the shard has; those that it leaves out are taken.
  /// `node`: the offset of the node that has it; none where the pieces' offsets are the file's.
  [[nodiscard]] std::vector<ChunkPiece> inner_pieces(const ChunkPiece& whole,
                                                     const zarr::ShardIndex& cells,
                                                     const std::string& path,
                                                     std::optional<std::uint64_t> node,
                                                     Tally& tally);

  [[nodiscard]] EnginePtr engine() const { return scope_.index.folder()->engine; }

  const ReadScope scope_;
  ChunkSink& sink_;
  DamageSink damage_;
  const ReadFrom from_;
  std::uint64_t good_chunks_ = 0;
  std::uint64_t good_bytes_ = 0;
};

}  // namespace cairn::internal

#pragma once
// Carries out a plan: reads extents through the engine's window and gives their pieces to a sink.

#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/chunk_plan.h>
#include <cairn/manager/internal/chunk_sink.h>

#include <cstdint>
#include <memory>

namespace cairn::internal {

class ChunkReader {
 public:
  /// Borrows index and sink. `damage` is called on the strand or while it waits.
  ChunkReader(const ItemIndex& index, ChunkSink& sink, DamageSink damage)
      : index_(index), sink_(sink), damage_(std::move(damage)) {}

  Task<void> run(ReadPlan plan);
  /// Chunks, or inner chunks, that were found good, and their stored bytes.
  [[nodiscard]] std::uint64_t good_chunks() const noexcept { return good_chunks_; }
  [[nodiscard]] std::uint64_t good_bytes() const noexcept { return good_bytes_; }

 private:
  struct DataFile {
    FilePtr file;
    std::uint64_t size = 0;  ///< bytes
  };
  using DataFilePtr = std::shared_ptr<DataFile>;
  using Inlined = std::vector<ReadPlan::Inlined>;

  static Task<void> read_all(engine::Nursery& nursery, ChunkReader* self, ReadPlan* plan);
  Task<void> read_inlined(const Inlined* inlined, std::size_t begin, std::size_t end);
  /// `file`: none = the extent's own, opened here.
  Task<void> read_extent(ReadExtent extent, DataFilePtr file);
  Task<void> read_shard(ReadExtent shard, DataFilePtr file);
  Task<DataFilePtr> open_data_file(std::uint32_t file);
  /// Sets a whole file's length and range; false where that is damage.
  bool settle(ReadExtent& extent, const DataFile& file);
  [[nodiscard]] std::uint64_t scratch_of(const ReadExtent& extent) const;
  void check_record(const ChunkPiece& piece, std::span<const std::byte> stored) const;
  /// On a worker. What is wrong with the piece; none: nothing.
  [[nodiscard]] std::optional<Error> take(const ChunkPiece& piece,
                                          std::span<const std::byte> stored,
                                          std::span<std::byte> scratch, const std::string& path,
                                          std::optional<std::uint64_t> offset);
  [[nodiscard]] std::vector<ReadExtent> inner_pieces(const ReadExtent& shard,
                                                     const zarr::ShardIndex& cells,
                                                     std::vector<ChunkPiece>& absent) const;

  const ItemIndex& index_;
  ChunkSink& sink_;
  DamageSink damage_;
  std::uint64_t good_chunks_ = 0;
  std::uint64_t good_bytes_ = 0;
};

}  // namespace cairn::internal

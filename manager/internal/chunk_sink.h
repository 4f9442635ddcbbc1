#pragma once
// What becomes of the chunks that are read: elements of a tree, a check, or statistics.

#include <cairn/codecs/statistics.h>
#include <cairn/manager/internal/box_copy.h>
#include <cairn/manager/internal/chunk_plan.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace cairn::internal {

/// Called on workers, for different pieces at once.
class ChunkSink {
 public:
  virtual ~ChunkSink() = default;
  /// Memory that take() needs beside the stored bytes.
  [[nodiscard]] virtual std::size_t scratch_bytes(const PieceView& piece) const = 0;
  /// Where a piece's elements go as they are, so that they may be read there at once; empty where
  /// they go elsewhere, or are encoded.
  [[nodiscard]] virtual std::span<std::byte> run_of(const PieceView&) const { return {}; }
  /// Throws FormatError on bytes that cannot be decoded.
  virtual void take(const PieceView& piece, std::span<const std::byte> stored,
                    std::span<std::byte> scratch) = 0;
  /// An inner chunk that its shard leaves out.
  virtual void take_absent(const PieceView& piece) = 0;
  /// Before anything is taken: this leaf has chunks that are not there.
  virtual void begin_incomplete(const StoredLeaf& leaf) = 0;
};

/// Refuses a tree that no memory could hold, before any is asked for.
class MemoryCheck {
 public:
  explicit MemoryCheck(const ItemIndex& index) : index_(index) {}
  /// Throws Error(resource_exhausted) where the machine has not got the memory for all that was
  /// added.
  void add(const StoredLeaf& leaf, std::uint64_t bytes);

 private:
  const ItemIndex& index_;
  std::uint64_t bytes_ = 0;
};

/// An array for each leaf of `scope`, of the shape that is wanted of it; empty ones for what is no
/// array. Throws Error(resource_exhausted) where the machine has not got the memory that their
/// metadata asks for.
[[nodiscard]] std::vector<Array> allocate_arrays(const ReadScope& scope);

/// Puts elements into memory, cast to what it holds: decoded straight into it where they are one
/// run of it and of its dtype, by way of the window otherwise, chunk by chunk.
class LoadSink final : public ChunkSink {
 public:
  /// `targets`: for each leaf of `scope`, where what is wanted of it goes.
  LoadSink(const ReadScope& scope, std::vector<LoadTarget> targets)
      : leaves_(scope.leaves), targets_(std::move(targets)) {}
  [[nodiscard]] std::size_t scratch_bytes(const PieceView& piece) const override;
  [[nodiscard]] std::span<std::byte> run_of(const PieceView& piece) const override;
  void take(const PieceView& piece, std::span<const std::byte> stored,
            std::span<std::byte> scratch) override;
  void take_absent(const PieceView& piece) override;
  void begin_incomplete(const StoredLeaf& leaf) override;

 private:
  [[nodiscard]] const LoadTarget& target(const StoredLeaf& leaf) const {
    return targets_[static_cast<std::size_t>(&leaf - leaves_.data())];
  }
  std::span<const StoredLeaf> leaves_;
  std::vector<LoadTarget> targets_;
};

/// Checks all that the format lets it check. `own`: Cairn wrote the item, so that what has the
/// checksums that it was written with can be decoded.
class CheckSink final : public ChunkSink {
 public:
  explicit CheckSink(bool own) : own_(own) {}
  [[nodiscard]] std::size_t scratch_bytes(const PieceView& piece) const override;
  void take(const PieceView& piece, std::span<const std::byte> stored,
            std::span<std::byte> scratch) override;
  void take_absent(const PieceView&) override {}
  void begin_incomplete(const StoredLeaf&) override {}

 private:
  bool own_;
};

/// Counts elements; holds none of them.
class StatisticsSink final : public ChunkSink {
 public:
  explicit StatisticsSink(const ItemIndex& index);
  /// By leaf. After the last piece.
  [[nodiscard]] std::vector<Statistics> finish();
  [[nodiscard]] std::size_t scratch_bytes(const PieceView& piece) const override;
  void take(const PieceView& piece, std::span<const std::byte> stored,
            std::span<std::byte> scratch) override;
  void take_absent(const PieceView&) override {}
  void begin_incomplete(const StoredLeaf&) override {}

 private:
  const ItemIndex& index_;
  std::mutex mutex_;
  std::vector<Statistics> statistics_;
};

}  // namespace cairn::internal

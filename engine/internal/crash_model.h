#pragma once
// From a log of mutations to one of the trees that may be found after power was lost. The model is
// described in engine/recording_backend.h.

#include <cairn/engine/internal/tree_image.h>
#include <cairn/engine/io_backend.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cairn::engine::internal {

/// One mutation. Inodes are numbered over the whole log, in the order in which they came to be.
struct LogEntry {
  IoOp op = IoOp::write;
  InodeId inode = kRootInode;  // the file written or synced; the child that an entry names
  InodeId other = kRootInode;  // exchange: the child behind the second name
  Place from;                  // entry operations
  Place to;                    // rename, replace, exchange, link
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::string data;        // write
  std::size_t covers = 0;  // syncs: mutations with a lower index had completed when it began
  std::string text;        // for people
};

[[nodiscard]] bool is_sync(IoOp op) noexcept;

/// One state after the first `prefix` entries of `log`. `image` holds all inodes of the log, with
/// what was durable at its start.
[[nodiscard]] TreeImage crash(TreeImage image, const std::vector<LogEntry>& log, std::size_t prefix,
                              std::uint64_t seed, const std::function<bool(std::size_t)>& ignore);

}  // namespace cairn::engine::internal

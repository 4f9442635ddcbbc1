// What a save says about itself: `_CAIRN` and the item's part of SaveResult.

#include <cairn/manager/internal/tree_saver.h>
#include <cairn/manager/version.h>

#include <cmath>
#include <map>

namespace cairn::internal {
namespace {

/// Raw arrays that nobody asked to encode are not worth a line each.
bool is_noteworthy(const CodecChoice& choice) {
  return choice.encoding != Encoding::raw || choice.reason == CodecReason::no_gain;
}

constexpr double kPermille = 1000;

}  // namespace

std::vector<TreeSaver::LeafTotals> TreeSaver::totals() const {
  std::vector<LeafTotals> totals(layout_.leaves.size());
  for (std::size_t i = 0; i < layout_.inlined.size(); ++i) {
    LeafTotals& leaf = totals[layout_.inlined[i].leaf];
    ++leaf.chunks;
    leaf.stored_bytes += inlined_[i].length;
  }
  for (std::size_t i = 0; i < layout_.placed.size(); ++i) {
    const StoredChunk& stored = content_->placed[i];
    LeafTotals& leaf = totals[layout_.placed[i].leaf];
    ++leaf.chunks;
    leaf.stored_bytes += stored.length;
    leaf.chunks_stored += stored.as_is ? 1 : 0;
  }
  return totals;
}

std::vector<ChunkChecksums> TreeSaver::checksums() const {
  std::vector<ChunkChecksums> arrays(layout_.leaves.size());
  auto put = [&](const ChunkPlace& place, std::uint32_t crc) {
    const ArrayLayout& array = layout_.array_of(place);
    std::vector<std::uint32_t>& sums = arrays[place.leaf].crc32c;
    if (sums.empty()) sums.resize(array.chunks);
    sums[place.chunk] = crc;
  };
  for (std::size_t i = 0; i < layout_.inlined.size(); ++i) {
    put(layout_.inlined[i], inlined_[i].crc32c);
  }
  for (std::size_t i = 0; i < layout_.placed.size(); ++i) {
    put(layout_.placed[i], content_->placed[i].crc32c);
  }
  for (std::size_t leaf = 0; leaf < arrays.size(); ++leaf) {
    arrays[leaf].array = layout_.leaves[leaf].name;
  }
  std::erase_if(arrays, [](const ChunkChecksums& array) { return array.crc32c.empty(); });
  return arrays;
}

CairnRecord TreeSaver::record() const {
  CairnRecord record;
  record.writer_version = std::string(version());
  record.tuples = layout_.tuples;
  record.unsigned_scalars = layout_.unsigned_scalars;
  record.manifest_hash = store_->manifest_hash();
  if (!uses_zarr3(layout_.layout)) record.chunk_checksums = checksums();
  const std::vector<LeafTotals> totals = this->totals();
  for (std::size_t i = 0; i < layout_.leaves.size(); ++i) {
    const PlannedLeaf& leaf = layout_.leaves[i];
    if (!is_noteworthy(leaf.choice)) continue;
    const zarr::ArrayMetadata& metadata = layout_.arrays[leaf.layout].metadata;
    CodecRecord codec;
    codec.array = leaf.name;
    codec.codec = label_of(leaf.choice);
    codec.reason = std::string(text_of(leaf.choice.reason));
    codec.expected_permille =
        static_cast<std::uint32_t>(std::lround(leaf.choice.expected_ratio * kPermille));
    codec.bytes = byte_count(metadata.dtype, metadata.shape);
    codec.stored_bytes = totals[i].stored_bytes;
    codec.chunks = totals[i].chunks;
    codec.chunks_stored = totals[i].chunks_stored;
    record.codecs.push_back(std::move(codec));
  }
  if (links_) record.chunks = traces();
  return record;
}

std::optional<ItemSummary> TreeSaver::summary() const {
  ItemSummary summary;
  summary.item = item_;
  const std::vector<LeafTotals> totals = this->totals();
  std::map<std::pair<std::string, std::string>, CodecSummary> codecs;
  for (std::size_t i = 0; i < layout_.leaves.size(); ++i) {
    const PlannedLeaf& leaf = layout_.leaves[i];
    const zarr::ArrayMetadata& metadata = layout_.arrays[leaf.layout].metadata;
    CodecSummary& codec = codecs[{label_of(leaf.choice), std::string(text_of(leaf.choice.reason))}];
    const std::uint64_t bytes = byte_count(metadata.dtype, metadata.shape);
    ++codec.arrays;
    codec.bytes += bytes;
    codec.stored_bytes += totals[i].stored_bytes;
    codec.chunks += totals[i].chunks;
    codec.chunks_stored += totals[i].chunks_stored;
    // The sum of what is expected to be stored, until all are added.
    codec.expected_ratio += static_cast<double>(bytes) / leaf.choice.expected_ratio;
  }
  for (auto& [kind, codec] : codecs) {
    codec.codec = kind.first;
    codec.reason = kind.second;
    const double expected = codec.expected_ratio - CodecSummary().expected_ratio;
    codec.expected_ratio = expected > 0 ? static_cast<double>(codec.bytes) / expected : 1;
    summary.codecs.push_back(std::move(codec));
  }
  for (const StoredChunk& stored : content_->placed) {
    if (!stored.linked) continue;
    ++summary.chunks_linked;
    summary.bytes_linked += stored.length;
  }
  return summary;
}

}  // namespace cairn::internal

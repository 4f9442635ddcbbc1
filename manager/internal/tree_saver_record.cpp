// What a save says about itself: `_CAIRN` and the item's part of SaveResult.

#include <cairn/manager/internal/codec_totals.h>
#include <cairn/manager/internal/tree_saver.h>
#include <cairn/manager/version.h>

#include <cmath>
#include <span>

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
    leaf.stored_bytes += content_->inlined[i].length;
  }
  for (std::size_t i = 0; i < layout_.placed.size(); ++i) {
    const StoredChunk& stored = content_->placed[i];
    LeafTotals& leaf = totals[layout_.placed[i].leaf];
    ++leaf.chunks;
    leaf.stored_bytes += stored.length;
    const ArrayLayout& array = layout_.array_of(layout_.placed[i]);
    // Linked ones say nothing about the pace of this save.
    const bool as_it_was = !stored.linked && is_left_as_it_was(array, stored.length);
    leaf.chunks_stored += as_it_was ? 1 : 0;
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
    put(layout_.inlined[i], content_->inlined[i].crc32c);
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

std::vector<ArrayMetadataHash> TreeSaver::array_metadata() const {
  std::vector<ContentHash> hashes;
  hashes.reserve(layout_.arrays.size());
  for (const ArrayLayout& array : layout_.arrays)
    hashes.push_back(hash_of(std::as_bytes(std::span(array.text))));
  std::vector<ArrayMetadataHash> arrays(layout_.leaves.size());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    arrays[i].array = layout_.leaves[i].name;
    arrays[i].hash = hashes[layout_.leaves[i].layout];
  }
  return arrays;
}

CodecRecord TreeSaver::codec_record(const PlannedLeaf& leaf, const LeafTotals& sums) const {
  const zarr::ArrayMetadata& metadata = layout_.arrays[leaf.layout].metadata;
  CodecRecord record;
  record.codec = label_of(leaf.choice);
  record.reason = std::string(text_of(leaf.choice.reason));
  record.expected_permille =
      static_cast<std::uint32_t>(std::lround(leaf.choice.expected_ratio * kPermille));
  record.bytes = byte_count(metadata.dtype, metadata.shape);
  record.stored_bytes = sums.stored_bytes;
  record.chunks = sums.chunks;
  record.chunks_stored = sums.chunks_stored;
  return record;
}

CairnRecord TreeSaver::record(const std::vector<LeafTotals>& totals) const {
  CairnRecord record;
  record.writer_version = std::string(version());
  record.tuples = layout_.tuples;
  record.unsigned_scalars = layout_.unsigned_scalars;
  record.manifest_hash = store_->manifest_hash();
  record.metadata_hash = metadata_hash_;
  if (!layout_.strings.empty()) record.strings_hash = content_hash(layout_.strings);
  if (!uses_ocdbt(layout_.layout)) record.array_metadata = array_metadata();
  if (!uses_zarr3(layout_.layout)) record.chunk_checksums = checksums();
  for (std::size_t i = 0; const LeafTotals& sums : totals) {
    const PlannedLeaf& leaf = layout_.leaves[i++];
    if (!is_noteworthy(leaf.choice)) continue;
    record.codecs.push_back(codec_record(leaf, sums));
    record.codecs.back().array = leaf.name;
  }
  if (links_) record.chunks = traces();
  return record;
}

ItemSummary TreeSaver::summarize(const std::vector<LeafTotals>& totals) const {
  ItemSummary summary;
  summary.item = item_;
  CodecTotals codecs;
  for (std::size_t i = 0; const LeafTotals& sums : totals)
    codecs.add(codec_record(layout_.leaves[i++], sums));
  summary.codecs = std::move(codecs).finish();
  for (const StoredChunk& stored : content_->placed) {
    if (!stored.linked) continue;
    ++summary.chunks_linked;
    summary.bytes_linked += stored.length;
  }
  return summary;
}

}  // namespace cairn::internal

// The last part of saving a tree: database, manifest, metadata.

#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/ocdbt.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/marker.h>
#include <cairn/manager/internal/random.h>
#include <cairn/manager/internal/tree_saver.h>
#include <cairn/manager/version.h>

#include <cstring>

namespace cairn::internal {
namespace {

/// A random database identifier.
std::array<std::byte, 16> random_uuid() {
  std::array<std::byte, 16> uuid{};
  const std::string hex = random_hex(uuid.size());
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    uuid[i] = static_cast<std::byte>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  }
  return uuid;
}

/// What the CPU pool makes of a layout.
struct Database {
  Database() = default;
  std::string nodes;
  std::string manifest;
  std::string tree_metadata;
};

constexpr std::uint64_t kValuesFile = 0;
constexpr std::uint64_t kNodesFile = 1;

std::vector<ocdbt::Entry> database_entries(const ItemLayout& layout,
                                           std::vector<std::string>& inline_values) {
  std::vector<ocdbt::Entry> entries;
  entries.reserve(layout.leaves.size() + layout.placed.size() + layout.inlined.size());
  for (const PlannedLeaf& leaf : layout.leaves) {
    entries.emplace_back(metadata_key(leaf.name), layout.arrays[leaf.layout].text);
  }
  for (const ChunkPlace& place : layout.inlined) {
    const PlannedLeaf& leaf = layout.leaves[place.leaf];
    entries.emplace_back(chunk_entry_key(leaf.name, layout.arrays[leaf.layout], place.chunk),
                         std::move(inline_values[place.offset]));
  }
  for (const ChunkPlace& place : layout.placed) {
    const PlannedLeaf& leaf = layout.leaves[place.leaf];
    const ArrayLayout& array = layout.arrays[leaf.layout];
    ocdbt::Reference reference;
    reference.file = kValuesFile;
    reference.offset = place.offset;
    reference.length = array.stored_bytes;
    entries.emplace_back(chunk_entry_key(leaf.name, array, place.chunk), reference);
  }
  return entries;
}

Database build_database(const ItemLayout& layout, std::vector<std::string>& inline_values,
                        const std::string& values_name, const std::string& nodes_name,
                        std::int64_t now_ns) {
  // Without a values file its place in the table is taken by the nodes file: no path may be empty.
  const ocdbt::FileTable files{ocdbt::DataFile("", values_name.empty() ? nodes_name : values_name),
                               ocdbt::DataFile("", nodes_name)};
  ocdbt::Manifest manifest;
  manifest.config.uuid = random_uuid();
  ocdbt::EncodedTree tree = ocdbt::encode_tree(database_entries(layout, inline_values), files,
                                               kNodesFile, 0, manifest.config);
  tree.version.commit_time_ns = static_cast<std::uint64_t>(now_ns);
  // The manifest's table holds only what its root refers to.
  manifest.files = {files[kNodesFile]};
  if (tree.version.root) tree.version.root->file = 0;
  manifest.versions.push_back(tree.version);
  Database database;
  database.nodes = std::move(tree.bytes);
  database.manifest = ocdbt::encode(manifest);
  orbax::TreeMetadata metadata;
  metadata.entries = layout.entries;
  metadata.use_ocdbt = true;
  metadata.use_zarr3 = true;
  metadata.store_array_data_equal_to_fill_value = true;
  database.tree_metadata = orbax::encode(metadata);
  return database;
}

}  // namespace

Task<void> TreeSaver::finish_data() {
  if (data_file_) {
    co_await sync_and_close(data_file_);
    data_file_.reset();
  }
  const std::int64_t now_ns = engine_->clock().now_ns();
  auto build = [this, now_ns] {
    return build_database(layout_, inline_values_, data_name_, nodes_name_, now_ns);
  };
  Database database =
      co_await engine::async_run(engine_->cpu(), std::move(build), asio::use_awaitable);
  state_->stored += layout_.file_bytes + database.nodes.size() + database.manifest.size() +
                    database.tree_metadata.size();
  co_await write_file(data_folder_, nodes_name_.substr(2), std::move(database.nodes));
  manifest_ = std::move(database.manifest);
  tree_metadata_ = std::move(database.tree_metadata);
}

Task<void> TreeSaver::finish_metadata() {
  CairnRecord record;
  record.writer_version = std::string(version());
  record.tuples = layout_.tuples;
  record.unsigned_scalars = layout_.unsigned_scalars;
  record.manifest_hash = content_hash(manifest_);
  std::string record_text = encode(record);
  state_->stored += record_text.size();
  // Side by side, so that the file system can sync them in one transaction of its journal.
  engine::Nursery files(engine_->executor());
  files.spawn(write_file(folder_, "manifest.ocdbt", std::move(manifest_)));
  files.spawn(
      write_file(folder_, std::string(orbax::kTreeMetadataFile), std::move(tree_metadata_)));
  files.spawn(write_file(folder_, std::string(kRecordFile), std::move(record_text)));
  co_await files.join();
  co_await write_file(folder_, std::string(orbax::kCommitMarkerFile), commit_marker_text());
  co_await sync_folder(data_folder_);
  co_await sync_folder(folder_);
}

}  // namespace cairn::internal

// Incremental saves: what is not written because the step before has it.

#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_heat.h>
#include <cairn/manager/internal/tree_saver.h>

#include <algorithm>

namespace cairn::internal {

Task<void> TreeSaver::open_links(FolderPtr root) {
  links_ = std::make_unique<LinkSource>(layout_, item_, *settings_.synced);
  heat_.resize(layout_.placed.size());
  const std::string trouble =
      co_await links_->open(root, settings_.rules, &ocdbt_->files(), settings_.max_link_age);
  if (links_->empty()) ocdbt_->files().expect(layout_.open_bytes);
  if (!trouble.empty() && settings_.warn) {
    settings_.warn("item '" + item_ +
                   "' is written in full, or more of it than need be: " + trouble);
  }
}

std::vector<TreeSaver::Selection> TreeSaver::select(const Extent& extent) {
  std::vector<Selection> selections;
  if (!links_) {
    selections.emplace_back();
    selections.back().bytes = extent.staging_bytes;
    return selections;
  }
  std::array<Selection, kFileClasses> classes;
  std::array<std::size_t, kFileClasses> counts{};
  for (std::size_t i = 0; i < extent.count; ++i) {
    const std::size_t at = extent.first + i;
    const ChunkPlace& place = layout_.placed[at];
    const ContentHash& hash = extents_->hash(at);
    if (const ChunkTrace* before = links_->trace(place)) {
      heat_[at] = next_heat(before->heat, before->hash != hash);
    }
    if (auto stored = links_->find(place, hash)) {
      content_->placed[at] = std::move(*stored);
      continue;
    }
    const FileClass kind = heat_[at] >= kHot ? FileClass::hot : FileClass::cold;
    Selection& selection = classes[static_cast<std::size_t>(kind)];
    selection.kind = kind;
    selection.wanted.resize(extent.count);
    selection.wanted[i] = true;
    selection.bytes += align_up(layout_.array_of(place).stored_bytes, kPackAlignment);
    ++counts[static_cast<std::size_t>(kind)];
  }
  for (std::size_t kind = 0; kind < kFileClasses; ++kind) {
    if (counts[kind] == 0) continue;
    if (counts[kind] == extent.count) {
      // All of them: they can be written as they lie.
      classes[kind].wanted.clear();
      classes[kind].bytes = extent.staging_bytes;
    }
    selections.push_back(std::move(classes[kind]));
  }
  return selections;
}

Task<void> TreeSaver::drop_unused_links() {
  DataFiles& files = ocdbt_->files();
  std::vector<bool> used(files.files().size());
  auto mark = [this, &used] {
    for (const StoredChunk& chunk : content_->placed) {
      if (chunk.linked) used[chunk.file] = true;
    }
  };
  co_await engine::async_run(engine_->cpu(), std::move(mark), asio::use_awaitable);
  for (std::size_t i = 0; i < used.size(); ++i) {
    const DataFileState& state = files.files()[i];
    if (state.linked && !used[i]) co_await remove_tree(files.folder(), state.path.substr(2));
  }
}

void TreeSaver::note_synced() {
  std::set<FileId> files;
  for (const DataFileState& state : ocdbt_->files().files()) files.insert(state.id);
  settings_.synced->set(item_, std::move(files));
}

ChunkTraces TreeSaver::traces() const {
  ChunkTraces traces;
  std::vector<std::uint64_t> uses(ocdbt_->files().files().size());
  for (const StoredChunk& chunk : content_->placed) {
    if (chunk.in_file()) ++uses[chunk.file];
  }
  std::vector<std::uint64_t> number(uses.size());
  for (std::size_t i = 0; i < uses.size(); ++i) {
    if (uses[i] == 0) continue;
    const DataFileState& state = ocdbt_->files().files()[i];
    DataFileRecord file;
    file.path = state.path;
    file.bytes = state.bytes;
    file.age = state.age;
    number[i] = traces.files.size();
    traces.files.push_back(std::move(file));
  }
  std::vector<ArrayTrace> arrays(layout_.leaves.size());
  for (std::size_t i = 0; i < layout_.placed.size(); ++i) {
    const ChunkPlace& place = layout_.placed[i];
    const StoredChunk& stored = content_->placed[i];
    ArrayTrace& array = arrays[place.leaf];
    if (array.chunks.empty()) array.chunks.resize(layout_.array_of(place).chunks);
    ChunkTrace& chunk = array.chunks[place.chunk];
    chunk.hash = extents_->hash(i);
    chunk.heat = heat_[i];
    if (!stored.in_file()) continue;
    chunk.file = number[stored.file];
    chunk.offset = stored.offset;
    chunk.length = stored.length;
  }
  for (std::size_t leaf = 0; leaf < arrays.size(); ++leaf) {
    if (arrays[leaf].chunks.empty()) continue;
    const PlannedLeaf& planned = layout_.leaves[leaf];
    arrays[leaf].array = planned.name;
    arrays[leaf].metadata = hash_of(std::as_bytes(std::span(layout_.arrays[planned.layout].text)));
    traces.arrays.push_back(std::move(arrays[leaf]));
  }
  return traces;
}

}  // namespace cairn::internal

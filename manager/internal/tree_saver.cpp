#include <cairn/codecs/crc32c.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_copy.h>
#include <cairn/manager/internal/chunk_files.h>
#include <cairn/manager/internal/marker.h>
#include <cairn/manager/internal/path_index_file.h>
#include <cairn/manager/internal/pool_loop.h>
#include <cairn/manager/internal/tree_saver.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace cairn::internal {
namespace {

/// Inline chunks that a worker takes at once.
constexpr std::size_t kInlinedPerPart = 4096;
/// Extents that each worker has before it when staging grows: one is copied, one is there when it
/// is done.
constexpr std::size_t kGrowthPerWorker = 2;

/// Before anything is written, rather than when everything is.
void check_custom_metadata(const boost::json::object& custom_metadata) {
  if (custom_metadata.empty()) return;
  orbax::TreeMetadata alone;
  alone.custom_metadata = custom_metadata;
  try {
    static_cast<void>(orbax::encode(alone));
  } catch (const std::invalid_argument& error) {
    throw Error(ErrorCode::invalid_argument, error.what());
  }
}

}  // namespace

TreeSaver::TreeSaver(std::string item, args::TreeSave args, TreeSettings settings,
                     std::shared_ptr<SaveState> state)
    : item_(std::move(item)),
      args_(std::move(args)),
      settings_(std::move(settings)),
      state_(std::move(state)),
      engine_(state_->engine),
      gate_(engine_, settings_.encode_policy, settings_.pace),
      growth_(kGrowthPerWorker * engine_->cpu().concurrency()) {
  settings_.layout = args_.layout.value_or(settings_.layout);
  settings_.codec = args_.codec.value_or(settings_.codec);
  settings_.incremental = settings_.incremental && uses_ocdbt(settings_.layout);
}

std::shared_ptr<ItemSaver> make_tree_saver(std::string item, args::TreeSave args,
                                           TreeSettings settings,
                                           std::shared_ptr<SaveState> state) {
  return std::make_shared<TreeSaver>(std::move(item), std::move(args), std::move(settings),
                                     std::move(state));
}

PlanSettings TreeSaver::plan_settings(double disk_rate) const {
  PlanSettings settings;
  settings.automatic.disk_rate = disk_rate;
  settings.automatic.workers = engine_->cpu().concurrency();
  settings.automatic.clock = &engine_->clock();
  settings.layout = settings_.layout;
  settings.codec = settings_.codec;
  settings.incremental = settings_.incremental;
  settings.strings = settings_.strings;
  settings.shares = shares_;
  return settings;
}

void TreeSaver::plan(double disk_rate) {
  try {
    check_custom_metadata(args_.custom_metadata);
    layout_ = plan_item(args_, plan_settings(disk_rate));
  } catch (const Error& error) {
    ErrorContext context = error.context();
    context.item = item_;
    throw Error(error.code(), error.reason(), context);
  }
  content_ = std::make_unique<ItemContent>(layout_);
  extents_ = std::make_unique<ExtentCapture>(engine_, layout_, settings_.incremental);
  if (uses_ocdbt(layout_.layout)) {
    std::optional<std::uint64_t> file_bytes;
    if (settings_.incremental) file_bytes = settings_.linkable_file_bytes;
    auto store = std::make_unique<OcdbtStore>(state_, *content_, file_bytes, joins());
    ocdbt_ = store.get();
    store_ = std::move(store);
  } else {
    store_ = std::make_unique<ChunkFiles>(state_, *content_);
  }
  uncaptured_ = layout_.extents.size();
  state_->total += layout_.element_bytes;
}

// ---- capture ------------------------------------------------------------------------------------

void TreeSaver::set_inlined(std::size_t index, const std::byte* elements) {
  const ChunkPlace& place = layout_.inlined[index];
  std::byte* const to = content_->inlined_bytes.get() + place.offset;
  InlinedChunk& inlined = content_->inlined[index];
  const std::size_t length = encode_chunk(layout_.array_of(place), elements, to);
  inlined.length = static_cast<std::uint32_t>(length);
  if (!uses_zarr3(layout_.layout)) inlined.crc32c = crc32c(std::span(to, length));
}

TreeSaver::InlinedPart TreeSaver::capture_inlined_views(std::size_t begin, std::size_t end) {
  InlinedPart part;
  std::vector<std::byte> elements(kInlineBytes + kChecksumBytes);
  for (std::size_t i = begin; i < end; ++i) {
    const ChunkPlace& place = layout_.inlined[i];
    part.element_bytes += internal::element_bytes_of(layout_, place);
    if (layout_.node_of(place).is<Leaf>()) {
      part.leaves.push_back(i);
      continue;
    }
    elements.resize(layout_.array_of(place).chunk_bytes + kChecksumBytes);
    extents_->fill_view_chunk(place, elements.data());
    set_inlined(i, elements.data());
  }
  return part;
}

Task<void> TreeSaver::capture_inlined() {
  const CallerMemory::Use use = state_->memory.use();
  const std::size_t count = layout_.inlined.size();
  std::vector<InlinedPart> parts((count + kInlinedPerPart - 1) / kInlinedPerPart);
  std::function<void(std::size_t)> views = [this, count, &parts](std::size_t part) {
    const std::size_t begin = part * kInlinedPerPart;
    parts[part] = capture_inlined_views(begin, std::min(count, begin + kInlinedPerPart));
  };
  co_await loop_on_pool(engine_, parts.size(), std::move(views));
  std::uint64_t bytes = 0;
  for (const InlinedPart& part : parts) {
    bytes += part.element_bytes;
    for (const std::size_t index : part.leaves) {
      const ChunkPlace& place = layout_.inlined[index];
      const std::size_t size = layout_.array_of(place).chunk_bytes;
      std::vector<std::byte> elements(size + kChecksumBytes);
      co_await extents_->fill_leaf_chunk(place, elements.data());
      append_checksum(elements.data(), size);
      set_inlined(index, elements.data());
    }
  }
  state_->staged += bytes;
  state_->encoded += bytes;
  state_->written += bytes;
}

Task<void> TreeSaver::capture(engine::Nursery* nursery) {
  co_await capture_inlined();
  for (std::size_t i = 0; i < layout_.extents.size(); ++i) {
    const Extent& extent = layout_.extents[i];
    if (settings_.capture == Capture::borrow) {
      if (auto memory = borrowable(extent)) {
        nursery->spawn(telling(settings_.scope, borrow_and_write(i, *memory)));
        continue;
      }
    }
    Place place = co_await staging_for(i);
    gate_.expect_capture(extent.staging_bytes);
    nursery->spawn(telling(settings_.scope, transfer(i, std::move(place))));
  }
  if (uncaptured_ != 0) {
    const Future<void> captured(all_captured_);
    co_await captured.result(asio::use_awaitable);
  }
  if (!joins()) nursery->spawn(telling(settings_.scope, encode_early()));
}

/// Touching memory for the first time takes longer than copying into it, so a first save takes none
/// before a worker is free to: by then an extent that has been written may have left some. Later
/// ones take all that they lack at once, or staging would hardly grow, and `staged()` would come at
/// the disk's pace for ever. So do extents of slow codecs, whose first encodings would go before
/// the last copies, and of sources, which are all asked at once.
bool TreeSaver::grows_in_turn(const Extent& extent) const {
  if (layout_.staging_bytes <= settings_.pace->staged_bytes) return false;
  if (extent.encoding == Encoding::chain) return false;
  const engine::BufferArena::Stats now = engine_->staging().stats();
  if (now.in_use_bytes + extent.staging_bytes <= now.committed_bytes) return false;
  return std::ranges::none_of(extents_->places(extent), [this](const ChunkPlace& place) {
    return layout_.node_of(place).is<Leaf>();
  });
}

Task<TreeSaver::Place> TreeSaver::staging_for(std::size_t index) {
  const Extent& extent = layout_.extents[index];
  Place place;
  if (grows_in_turn(extent)) {
    auto [error, growth] = co_await growth_.async_acquire(1, kAsTuple);
    if (error) raise_failure(error, "wait to take more staging memory", "");
    place.growth = std::move(growth);
  }
  auto [error, buffer] = co_await engine_->staging().async_acquire(extent.staging_bytes, kAsTuple);
  if (error) raise_failure(error, "wait for staging memory", "");
  place.staging = std::move(buffer);
  co_return place;
}

void TreeSaver::extent_captured(std::size_t index) {
  state_->staged += layout_.extents[index].element_bytes;
  assert(uncaptured_ > 0);
  if (--uncaptured_ == 0) all_captured_->set(nullptr, impl::Unit());
}

// ---- store --------------------------------------------------------------------------------------

Task<void> TreeSaver::open(FolderPtr root, FolderPtr step) {
  if (joins()) {
    folder_ = co_await open_subfolder(step, item_);
  } else {
    folder_ = co_await make_subfolder(step, item_);
  }
  co_await store_->open(folder_);
  if (settings_.incremental) co_await open_links(root);
  opened_->set(nullptr, impl::Unit());
}

Task<void> TreeSaver::transfer(std::size_t index, Place place) {
  const Extent& extent = layout_.extents[index];
  CallerMemory::Use use = state_->memory.use();
  co_await extents_->fill(index, place.staging.data());
  use.reset();
  place.growth.reset();
  gate_.captured(extent.staging_bytes);
  extent_captured(index);
  const std::uint64_t bytes = extent.element_bytes;
  // What is written as it was copied counts as encoded now.
  if (extent.encoding == Encoding::raw) state_->encoded += bytes;
  const Future<void> opened(opened_);
  co_await opened.result(asio::use_awaitable);
  co_await store_extent(index, std::move(place.staging));
  if (extent.encoding != Encoding::raw) state_->encoded += bytes;
  state_->written += bytes;
}

Task<void> TreeSaver::store_extent(std::size_t index, engine::Buffer staging) {
  const Extent& extent = layout_.extents[index];
  const std::vector<Selection> selections = select(extent);
  for (std::size_t i = 0; i < selections.size(); ++i) {
    const Selection& selection = selections[i];
    bool encode = extent.encoding == Encoding::chain;
    if (is_gated(extent.encoding)) {
      encode = co_await gate_.decide(selection.bytes, extent.encoding);
    }
    if (encode || !selection.wanted.empty()) {
      const bool last = i + 1 == selections.size();
      co_await rewrite_and_store(index, selection, encode, &staging, last);
    } else {
      co_await store_staged(index, selection.kind, staging.span());
    }
  }
}

Task<void> TreeSaver::store_staged(std::size_t index, FileClass kind,
                                   std::span<const std::byte> staging) {
  const Extent& extent = layout_.extents[index];
  PieceList list = pieces_as_staged(layout_, extent, staging.data());
  const std::size_t bytes = list.bytes;
  if (!is_gated(extent.encoding)) gate_.expect_write(bytes);  // else decide() has counted it
  if (extent.fixed) {
    co_await ocdbt_->write_fixed(extent.offset, staging.first(bytes));
    for (const Piece& piece : list.pieces) ocdbt_->note_checksum(piece.place, piece.crc32c);
  } else {
    co_await store_->write(std::move(list), staging.first(bytes), kind);
  }
  gate_.written(bytes);
}

Task<void> TreeSaver::rewrite_and_store(std::size_t index, Selection selection, bool encode,
                                        engine::Buffer* staging, bool last) {
  const Extent& extent = layout_.extents[index];
  auto [error, window] = co_await engine_->window().async_acquire(extent.encoded_bytes, kAsTuple);
  if (error) raise_failure(error, "wait for a buffer to encode into", "");
  std::int64_t worker_ns = 0;
  const std::byte* const from = staging->data();
  const std::span<std::byte> to = window.span();
  auto work = [&] {
    const auto begin = engine_->clock().steady();
    PieceList list = encode ? encode_extent(layout_, extent, selection.wanted, from, to)
                            : copy_as_staged(layout_, extent, selection.wanted, from, to);
    worker_ns = (engine_->clock().steady() - begin).count();
    return list;
  };
  PieceList list = co_await engine::async_run(engine_->cpu(), std::move(work), asio::use_awaitable);
  if (last) staging->reset();
  std::size_t queued = list.bytes;
  if (!is_gated(extent.encoding)) {
    gate_.expect_write(queued);
  } else if (encode) {
    gate_.encoded(selection.bytes, extent.encoding, queued, worker_ns);
  } else {
    queued = selection.bytes;  // as decide() has counted it
  }
  co_await store_->write(std::move(list), window.span(), selection.kind);
  gate_.written(queued);
}

// ---- finish -------------------------------------------------------------------------------------

// Not before the directory is there: a save that waits for another's disk holds no texts.
Task<void> TreeSaver::encode_early() {
  const Future<void> opened(opened_);
  co_await opened.result(asio::use_awaitable);
  co_await encode_texts();
}

Task<void> TreeSaver::encode_texts() {
  engine::Nursery texts(engine_->executor());
  // Where nothing but raw extents is stored, every chunk has its place by now.
  const bool placed = ocdbt_ != nullptr && !shares_ && layout_.open_bytes == 0;
  if (placed) texts.spawn(ocdbt_->build());
  texts.spawn(write_tree_metadata());
  co_await texts.join();
}

Task<void> TreeSaver::write_tree_metadata() {
  std::string text;
  std::optional<std::string> index;
  auto encode = [this, &text, &index] {
    orbax::TreeMetadata metadata;
    metadata.entries = std::move(layout_.entries);
    metadata.use_ocdbt = uses_ocdbt(layout_.layout);
    metadata.use_zarr3 = uses_zarr3(layout_.layout);
    metadata.store_array_data_equal_to_fill_value = true;
    if (!args_.custom_metadata.empty()) metadata.custom_metadata = args_.custom_metadata;
    // Before the text, which is large, is there.
    std::optional<PathIndexWriter> writer;
    if (!shares_) writer = index_paths(layout_, metadata.entries);
    text = orbax::encode(metadata);
    metadata.entries = {};
    metadata_hash_ = content_hash(text);
    if (writer) index = writer->finish(text);
  };
  co_await engine::async_run(engine_->cpu(), std::move(encode), asio::use_awaitable);
  co_await write_texts(std::move(text), std::move(index));
}

// By itself: between a nursery's first child and join() nothing is awaited, as a cancelled wait
// would throw.
Task<void> TreeSaver::write_texts(std::string metadata, std::optional<std::string> index) {
  engine::Nursery files(engine_->executor());
  state_->stored += metadata.size();
  files.spawn(write_file(folder_, std::string(orbax::kTreeMetadataFile), std::move(metadata)));
  if (index && !index->empty()) {
    state_->stored += index->size();
    files.spawn(write_file(folder_, std::string(kPathIndexFile), std::move(*index)));
  }
  co_await files.join();
}

Task<void> TreeSaver::finish_store() {
  engine::Nursery both(engine_->executor());
  both.spawn(store_->finish_data());
  both.spawn(sum_up());
  co_await both.join();
}

Task<void> TreeSaver::sum_up() {
  auto sum = [this] {
    totals_ = totals();
    summary_ = summarize(totals_);
  };
  co_await engine::async_run(engine_->cpu(), std::move(sum), asio::use_awaitable);
}

Task<void> TreeSaver::finish_data() {
  if (links_) co_await drop_unused_links();
  if (shares_) co_await hand_over();
  if (joins()) co_return;
  co_await finish_store();
  if (links_) note_synced();
  std::vector<std::string_view> left_out;
  auto encode_record = [this, &left_out] {
    LimitedRecord limited = encode_within(record(totals_));
    record_ = std::move(limited.bytes);
    left_out = std::move(limited.left_out);
  };
  co_await engine::async_run(engine_->cpu(), std::move(encode_record), asio::use_awaitable);
  for (const std::string_view part : left_out) {
    settings_.warn("item '" + item_ + "' is so large that its _CAIRN is without " +
                   std::string(part));
  }
  state_->stored += record_.size() + layout_.strings.size();
}

Task<void> TreeSaver::finish_metadata() {
  if (joins()) co_return;
  // Side by side, so that the file system can sync them in one transaction of its journal.
  engine::Nursery files(engine_->executor());
  files.spawn(store_->finish_metadata());
  files.spawn(write_file(folder_, std::string(kRecordFile), std::move(record_)));
  if (!layout_.strings.empty()) {
    files.spawn(write_file(folder_, std::string(orbax::kStringsFile), std::move(layout_.strings)));
  }
  co_await files.join();
  co_await write_file(folder_, std::string(orbax::kCommitMarkerFile), commit_marker_text());
  co_await store_->sync_folders();
  co_await sync_folder(folder_);
}

}  // namespace cairn::internal

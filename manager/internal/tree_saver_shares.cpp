// Trees that several processes save together: what they agree on before, and what the primary is
// told of the others' chunks after.

#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/share_plan.h>
#include <cairn/manager/internal/tree_saver.h>
#include <cairn/manager/internal/wire.h>
#include <fmt/format.h>

#include <algorithm>

namespace cairn::internal {
namespace {

void put_chunk(WireWriter& to, const ChunkPlace& place, const StoredChunk& stored) {
  to.number(place.leaf);
  to.number(place.chunk);
  to.number(stored.file);
  to.number(stored.offset);
  to.number(stored.length);
  to.number(stored.crc32c);
  to.number(stored.inlined ? 1 : 0);
  if (stored.inlined) to.bytes(stored.value);
}

}  // namespace

Task<void> TreeSaver::look_at_tree(std::function<void()> look) {
  const CallerMemory::Use use = state_->memory.use();
  auto named = [this, look = std::move(look)] {
    try {
      look();
    } catch (const Error& error) {
      ErrorContext context = error.context();
      context.item = item_;
      throw Error(error.code(), error.reason(), context);
    }
  };
  co_await engine::async_run(engine_->cpu(), std::move(named), asio::use_awaitable);
}

Task<void> TreeSaver::agree(double disk_rate) {
  if (!is_shared()) co_return;
  ProcessGroup& group = settings_.scope->group();
  const std::string name = settings_.scope->name("plan." + settings_.number);
  const PlanSettings settings = plan_settings(disk_rate);
  std::string mine;
  std::function<void()> look = [&] { mine = survey(args_, settings); };
  co_await look_at_tree(look);
  const std::vector<std::string> surveys = co_await group.gather(name, std::move(mine));
  std::string plan;
  if (group.leads()) {
    look = [&] { plan = combine_surveys(args_, settings, surveys, group.processes()); };
    co_await look_at_tree(look);
  }
  const std::string decided = co_await group.broadcast(name + ".decided", std::move(plan));
  const auto& processes = group.processes();
  const auto self = std::ranges::find(processes, group.self()) - processes.begin();
  look = [&] {
    shares_ = std::make_shared<const SharePlan>(
        decode_share_plan(args_, settings, decided, static_cast<std::size_t>(self)));
  };
  co_await look_at_tree(look);
}

std::string TreeSaver::share_text() const {
  WireWriter text;
  text.number(ocdbt_->files().files().size());
  for (const DataFileState& file : ocdbt_->files().files()) {
    text.bytes(file.path);
    text.number(file.bytes);
  }
  text.number(layout_.placed.size() + layout_.inlined.size());
  for (std::size_t i = 0; i < layout_.placed.size(); ++i) {
    put_chunk(text, layout_.placed[i], content_->placed[i]);
  }
  for (std::size_t i = 0; i < layout_.inlined.size(); ++i) {
    StoredChunk stored;
    stored.length = content_->inlined[i].length;
    stored.crc32c = content_->inlined[i].crc32c;
    stored.inlined = true;
    stored.value = content_->inlined_value(i);
    put_chunk(text, layout_.inlined[i], stored);
  }
  return text.take();
}

void TreeSaver::add_share(const std::string& text) {
  WireReader from(text);
  std::vector<std::uint32_t> numbers(from.count());
  for (std::uint32_t& number : numbers) {
    std::string path(from.bytes());
    number = ocdbt_->files().add_foreign(std::move(path), from.number());
  }
  for (std::size_t left = from.count(); left > 0; --left) {
    ChunkPlace place;
    place.leaf = static_cast<std::uint32_t>(from.below(layout_.leaves.size()));
    place.chunk = from.number();
    StoredChunk stored;
    const std::uint64_t file = from.number();
    stored.offset = from.number();
    stored.length = from.number();
    stored.crc32c = static_cast<std::uint32_t>(from.number());
    const std::uint64_t flags = from.number();
    stored.inlined = flags != 0;
    if (stored.inlined) stored.value = from.bytes();
    if (!stored.inlined) stored.file = numbers.at(file);
    layout_.placed.push_back(place);
    content_->placed.push_back(std::move(stored));
  }
  from.end();
}

void TreeSaver::check_complete() const {
  std::vector<std::vector<bool>> seen(layout_.leaves.size());
  std::vector<std::uint64_t> left(layout_.leaves.size());
  for (std::size_t leaf = 0; leaf < seen.size(); ++leaf) {
    left[leaf] = layout_.arrays[layout_.leaves[leaf].layout].chunks;
    seen[leaf].resize(left[leaf]);
  }
  const auto take = [&](const ChunkPlace& place) {
    if (place.chunk >= seen[place.leaf].size() || seen[place.leaf][place.chunk]) {
      throw Error(ErrorCode::internal,
                  fmt::format("chunk {} of '{}' was written twice, or is none", place.chunk,
                              layout_.leaves[place.leaf].name),
                  ErrorContext());
    }
    seen[place.leaf][place.chunk] = true;
    --left[place.leaf];
  };
  for (const ChunkPlace& place : layout_.placed) take(place);
  for (const ChunkPlace& place : layout_.inlined) take(place);
  for (std::size_t leaf = 0; leaf < left.size(); ++leaf) {
    if (left[leaf] == 0) continue;
    ErrorContext context;
    context.item = item_;
    context.key_path = layout_.leaves[leaf].name;
    context.remedy = "Give every part of the array in some process";
    throw Error(ErrorCode::invalid_argument,
                fmt::format("no process has the elements of {} of {} chunks", left[leaf],
                            seen[leaf].size()),
                context);
  }
}

Task<void> TreeSaver::hand_over() {
  const GroupScopePtr scope = settings_.scope;
  ProcessGroup& group = scope->group();
  co_await ocdbt_->finish_files();
  std::string mine;
  if (joins()) {
    // Its entries in the directory are this process's to make durable.
    co_await ocdbt_->sync_folders();
    auto write = [&] { mine = share_text(); };
    co_await engine::async_run(engine_->cpu(), std::move(write), asio::use_awaitable);
  }
  const std::vector<std::string> shares =
      co_await group.gather(scope->name("data." + settings_.number), std::move(mine));
  if (joins()) co_return;
  auto merge = [&] {
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (group.processes()[i] != group.self()) add_share(shares[i]);
    }
    check_complete();
  };
  co_await engine::async_run(engine_->cpu(), std::move(merge), asio::use_awaitable);
}

}  // namespace cairn::internal

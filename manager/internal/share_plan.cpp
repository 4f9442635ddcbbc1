#include <cairn/codecs/crc32c.h>
#include <cairn/manager/error.h>
#include <cairn/manager/internal/part_chunks.h>
#include <cairn/manager/internal/share_plan.h>
#include <cairn/manager/internal/wire.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

namespace cairn::internal {
namespace {

using Boxes = std::vector<IndexRange>;
using Holding = SharePlan::Holding;

/// Below that, chunks are so many that the parts are no sensible division of an array.
constexpr std::size_t kSharedChunkBytesMin = 4096;
constexpr Index kTinyChunksMax = Index{1} << 20;
constexpr auto kSameTree =
    "Save the same tree in every process; leaves may differ in what they hold";

Holding holding_of(const PlannedLeaf& planned) {
  const auto* leaf = std::get_if<Leaf>(&planned.node->value());
  if (leaf == nullptr) return std::nullopt;
  Index covered = 0;
  Boxes boxes;
  for (const LeafPart& part : leaf->parts()) {
    covered += element_count(part.range.shape);
    boxes.push_back(part.range);
  }
  // Parts do not overlap: so many elements are all of them.
  if (covered == element_count(leaf->shape())) return std::nullopt;
  return boxes;
}

/// Of what the leaves are called, and what is between them.
std::uint32_t identity_of(const ItemLayout& layout) {
  WireWriter text;
  for (const orbax::TreeEntry& entry : layout.entries) {
    text.number(static_cast<std::uint64_t>(entry.type));
    text.bytes(dotted_name(entry.path));
  }
  for (const KeyNames& tuple : layout.tuples) {
    text.number(tuple.size());
    for (const std::string& key : tuple) text.bytes(key);
  }
  const std::string bytes = text.take();
  return crc32c(std::as_bytes(std::span(bytes)));
}

std::uint32_t identity_of(const ItemLayout& layout, const PlannedLeaf& leaf) {
  const zarr::ArrayMetadata& metadata = layout.arrays[leaf.layout].metadata;
  WireWriter text;
  text.bytes(leaf.name);
  text.number(static_cast<std::uint64_t>(metadata.dtype));
  for (const Index extent : metadata.shape) text.number(static_cast<std::uint64_t>(extent));
  text.bytes(to_string(leaf.choice.asked));
  const std::string bytes = text.take();
  return crc32c(std::as_bytes(std::span(bytes)));
}

/// 0: all; otherwise the number of boxes and one.
void put_holding(WireWriter& to, const Holding& holding) {
  to.number(holding ? holding->size() + 1 : 0);
  if (!holding) return;
  for (const IndexRange& box : *holding) {
    for (const Index value : box.origin) to.number(static_cast<std::uint64_t>(value));
    for (const Index value : box.shape) to.number(static_cast<std::uint64_t>(value));
  }
}

/// Boxes of an array of `shape`.
Holding get_holding(WireReader& from, const Shape& shape) {
  const std::uint64_t count = from.number();
  if (count == 0) return std::nullopt;
  Boxes boxes(from.checked(count - 1));
  for (IndexRange& box : boxes) {
    box = IndexRange{Shape(shape.size()), Shape(shape.size())};
    for (std::size_t d = 0; d < shape.size(); ++d)
      box.origin[d] = static_cast<Index>(from.at_most(static_cast<std::uint64_t>(shape[d])));
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const Index rest = shape[d] - box.origin[d];
      box.shape[d] = static_cast<Index>(from.at_most(static_cast<std::uint64_t>(rest)));
    }
  }
  return boxes;
}

void put_choice(WireWriter& to, const CodecChoice& choice) {
  to.number(static_cast<std::uint64_t>(choice.encoding));
  to.number(static_cast<std::uint64_t>(choice.reason));
  to.number(std::bit_cast<std::uint32_t>(choice.expected_ratio));
}

void get_choice(WireReader& from, CodecChoice& choice) {
  choice.encoding = static_cast<Encoding>(
      std::min<std::uint64_t>(from.number(), static_cast<std::uint64_t>(Encoding::matches)));
  choice.reason = static_cast<CodecReason>(
      std::min<std::uint64_t>(from.number(), static_cast<std::uint64_t>(CodecReason::not_sampled)));
  choice.expected_ratio = std::bit_cast<float>(static_cast<std::uint32_t>(from.number()));
}

[[noreturn]] void refuse(std::string reason, const std::string& leaf, std::string remedy) {
  ErrorContext context;
  context.key_path = leaf;
  context.remedy = std::move(remedy);
  throw Error(ErrorCode::invalid_argument, std::move(reason), context);
}

ItemLayout look(const args::TreeSave& args, PlanSettings settings, Survey what) {
  settings.survey = what;
  return plan_item(args, settings);
}

bool contains(const IndexRange& box, const IndexRange& inner) {
  for (std::size_t d = 0; d < inner.origin.size(); ++d) {
    const bool inside = inner.origin[d] >= box.origin[d] &&
                        inner.origin[d] + inner.shape[d] <= box.origin[d] + box.shape[d];
    if (!inside) return false;
  }
  return true;
}

Shape shared_chunk(const ItemLayout& layout, const PlannedLeaf& leaf,
                   const std::vector<Holding>& parts) {
  const zarr::ArrayMetadata& metadata = layout.arrays[leaf.layout].metadata;
  Boxes boxes;
  for (const Holding& holding : parts)
    if (holding) boxes.insert(boxes.end(), holding->begin(), holding->end());
  Shape chunk = common_chunk(metadata.dtype, metadata.shape, boxes, kChunkBytes);
  const std::size_t bytes = byte_count(metadata.dtype, chunk);
  if (bytes < kSharedChunkBytesMin &&
      element_count(metadata.shape) / element_count(chunk) > kTinyChunksMax) {
    refuse(fmt::format("the processes' parts have no common division but boxes of {} bytes", bytes),
           leaf.name, "Divide the array evenly");
  }
  return chunk;
}

}  // namespace

bool SharePlan::writes(std::size_t leaf, const IndexRange& chunk) const {
  const std::vector<Holding>& parts = leaves_[leaf].parts;
  const auto has = [&chunk](const Holding& holding) {
    return !holding || std::ranges::any_of(*holding, [&chunk](const IndexRange& box) {
      return contains(box, chunk);
    });
  };
  const auto first = std::ranges::find_if(parts, has);
  return static_cast<std::size_t>(first - parts.begin()) == self_;
}

std::string survey(const args::TreeSave& args, const PlanSettings& settings) {
  const ItemLayout layout = look(args, settings, Survey::shapes);
  WireWriter text;
  text.number(static_cast<std::uint64_t>(settings.layout));
  text.number(layout.leaves.size());
  for (const PlannedLeaf& leaf : layout.leaves) {
    text.number(identity_of(layout, leaf));
    put_holding(text, holding_of(leaf));
  }
  text.number(identity_of(layout));
  return text.take();
}

std::string combine_surveys(const args::TreeSave& args, const PlanSettings& settings,
                            const std::vector<std::string>& surveys,
                            const std::vector<ProcessIndex>& processes) {
  const ItemLayout layout = look(args, settings, Survey::choices);
  const std::size_t count = layout.leaves.size();
  std::vector<std::vector<Holding>> parts(count, std::vector<Holding>(surveys.size()));
  for (std::size_t process = 0; process < surveys.size(); ++process) {
    WireReader from(surveys[process]);
    const std::string who = fmt::format("process {}", processes[process]);
    if (from.number() != static_cast<std::uint64_t>(settings.layout)) {
      refuse(who + " saves it in another layout", "", "Use one layout in every process");
    }
    const std::uint64_t others = from.number();
    if (others != count) {
      refuse(fmt::format("{} saves another tree: {} arrays instead of {}", who, others, count), "",
             kSameTree);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const PlannedLeaf& leaf = layout.leaves[i];
      if (from.number() != identity_of(layout, leaf)) {
        refuse(who + " saves another tree: name, dtype, shape or codec differ here", leaf.name,
               kSameTree);
      }
      parts[i][process] = get_holding(from, layout.arrays[leaf.layout].metadata.shape);
    }
    if (from.number() != identity_of(layout)) {
      refuse(who + " saves another tree: kinds of leaves or containers differ", "", kSameTree);
    }
    from.end();
  }
  WireWriter text;
  text.number(surveys.size());
  for (std::size_t i = 0; i < count; ++i) {
    put_choice(text, layout.leaves[i].choice);
    for (const Holding& holding : parts[i]) put_holding(text, holding);
  }
  return text.take();
}

SharePlan decode_share_plan(const args::TreeSave& args, const PlanSettings& settings,
                            const std::string& text, std::size_t self) {
  const ItemLayout layout = look(args, settings, Survey::shapes);
  WireReader from(text);
  const std::size_t processes = from.count();
  std::vector<SharePlan::LeafShare> leaves;
  leaves.reserve(layout.leaves.size());
  for (const PlannedLeaf& leaf : layout.leaves) {
    SharePlan::LeafShare share;
    share.choice = leaf.choice;
    get_choice(from, share.choice);
    const Shape& shape = layout.arrays[leaf.layout].metadata.shape;
    for (std::size_t i = 0; i < processes; ++i) share.parts.push_back(get_holding(from, shape));
    const bool partial = std::ranges::any_of(
        share.parts, [](const Holding& holding) { return holding.has_value(); });
    if (partial) share.chunk_shape = shared_chunk(layout, leaf, share.parts);
    leaves.push_back(std::move(share));
  }
  from.end();
  return SharePlan(self, std::move(leaves));
}

}  // namespace cairn::internal

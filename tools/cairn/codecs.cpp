#include "codecs.h"

#include <fmt/format.h>

#include <boost/json/object.hpp>

#include "table.h"

namespace cairn::cli {
namespace {

/// Of elements to what is stored; 1 where there is nothing.
double ratio_of(const CodecSummary& codec) {
  if (codec.stored_bytes == 0) return 1;
  return static_cast<double>(codec.bytes) / static_cast<double>(codec.stored_bytes);
}

}  // namespace

boost::json::array codecs_json(const std::vector<CodecSummary>& codecs) {
  boost::json::array out;
  for (const CodecSummary& codec : codecs) {
    boost::json::object entry;
    entry["codec"] = codec.codec;
    entry["reason"] = codec.reason;
    entry["arrays"] = codec.arrays;
    entry["bytes"] = codec.bytes;
    entry["stored_bytes"] = codec.stored_bytes;
    entry["ratio"] = ratio_of(codec);
    entry["expected_ratio"] = codec.expected_ratio;
    entry["chunks"] = codec.chunks;
    entry["chunks_stored"] = codec.chunks_stored;
    out.push_back(std::move(entry));
  }
  return out;
}

std::string codecs_text(const std::vector<CodecSummary>& codecs) {
  Table table({{"CODEC"},
               {"ARRAYS", Align::right},
               {"BYTES", Align::right},
               {"STORED", Align::right},
               {"RATIO", Align::right},
               {"CHUNKS", Align::right},
               {"LEFT AS IS", Align::right},
               {"WHY"}});
  for (const CodecSummary& codec : codecs) {
    table.add({codec.codec, std::to_string(codec.arrays), human_bytes(codec.bytes),
               human_bytes(codec.stored_bytes), fmt::format("{:.3f}", ratio_of(codec)),
               std::to_string(codec.chunks), std::to_string(codec.chunks_stored), codec.reason});
  }
  return table.empty() ? "" : table.text(2);
}

}  // namespace cairn::cli

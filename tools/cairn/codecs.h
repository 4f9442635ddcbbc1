#pragma once
// How arrays were encoded and why, for people and programs.

#include <cairn/manager/save_future.h>

#include <boost/json/array.hpp>
#include <string>
#include <vector>

namespace cairn::cli {

[[nodiscard]] boost::json::array codecs_json(const std::vector<CodecSummary>& codecs);
/// A table, each line behind two spaces; empty where there is nothing to say.
[[nodiscard]] std::string codecs_text(const std::vector<CodecSummary>& codecs);

}  // namespace cairn::cli

#include <cairn/manager/codec.h>
#include <cairn/manager/error.h>

#include <array>
#include <charconv>
#include <optional>

namespace cairn {
namespace {

constexpr int kBloscLevelMax = 9;
constexpr int kZstdLevelMax = 22;
constexpr int kGzipLevelMax = 9;

[[noreturn]] void refuse(std::string operation, std::string reason) {
  ErrorContext context;
  context.operation = std::move(operation);
  throw Error(ErrorCode::invalid_argument, std::move(reason), context);
}

void check_level(std::string_view codec, int level, int least, int most) {
  if (level >= least && level <= most) return;
  refuse("choose codec", std::string(codec) + " has no level " + std::to_string(level) +
                             ", its levels are " + std::to_string(least) + " to " +
                             std::to_string(most));
}

/// All digits of a level; none where it is no number.
std::optional<int> parse_level(std::string_view text) {
  int level = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), level);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return level;
}

}  // namespace

Codec Codec::blosc(int level) {
  check_level("blosc", level, 0, kBloscLevelMax);
  return Codec(Kind::blosc, level);
}

Codec Codec::zstd(int level) {
  check_level("zstd", level, 1, kZstdLevelMax);
  return Codec(Kind::zstd, level);
}

Codec Codec::gzip(int level) {
  check_level("gzip", level, 0, kGzipLevelMax);
  return Codec(Kind::gzip, level);
}

Codec Codec::parse(std::string_view text) {
  if (text == "raw") return raw();
  if (text == "auto") return automatic();
  const auto colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  std::optional<int> level;
  if (colon != std::string_view::npos) level = parse_level(text.substr(colon + 1));
  if (level || colon == std::string_view::npos) {
    if (name == "blosc") return level ? blosc(*level) : blosc();
    if (name == "zstd") return level ? zstd(*level) : zstd();
    if (name == "gzip") return level ? gzip(*level) : gzip();
  }
  refuse("choose codec", "there is no codec '" + std::string(text) +
                             "'; there are raw, auto, blosc, zstd and gzip, the last three with a "
                             "level if wanted (zstd:3)");
}

std::string to_string(Codec codec) {
  const std::string level = "(" + std::to_string(codec.level()) + ")";
  switch (codec.kind()) {
    case Codec::Kind::raw:
      return "raw";
    case Codec::Kind::automatic:
      return "auto";
    case Codec::Kind::blosc:
      return "blosc" + level;
    case Codec::Kind::zstd:
      return "zstd" + level;
    case Codec::Kind::gzip:
      return "gzip" + level;
  }
  return "unknown";
}

std::string_view to_string(Layout layout) noexcept {
  switch (layout) {
    case Layout::ocdbt_zarr3:
      return "ocdbt_zarr3";
    case Layout::ocdbt_zarr2:
      return "ocdbt_zarr2";
    case Layout::zarr3:
      return "zarr3";
    case Layout::zarr2:
      return "zarr2";
  }
  return "unknown";
}

Layout parse_layout(std::string_view name) {
  constexpr std::array kLayouts = {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2, Layout::zarr3,
                                   Layout::zarr2};
  std::string names;
  for (const Layout layout : kLayouts) {
    if (to_string(layout) == name) return layout;
    names += (names.empty() ? "" : ", ") + std::string(to_string(layout));
  }
  refuse("choose layout", "there is no layout '" + std::string(name) + "'; there are " + names);
}

}  // namespace cairn

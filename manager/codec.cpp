#include <cairn/manager/codec.h>
#include <cairn/manager/error.h>

namespace cairn {
namespace {

constexpr int kBloscLevelMax = 9;
constexpr int kZstdLevelMax = 22;
constexpr int kGzipLevelMax = 9;

void check_level(std::string_view codec, int level, int least, int most) {
  if (level >= least && level <= most) return;
  ErrorContext context;
  context.operation = "choose codec";
  throw Error(ErrorCode::invalid_argument,
              std::string(codec) + " has no level " + std::to_string(level) + ", its levels are " +
                  std::to_string(least) + " to " + std::to_string(most),
              context);
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

}  // namespace cairn

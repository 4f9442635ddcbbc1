// choose_chunk_shape().
//
// 1. An array that fits the target is one chunk.
// 2. Leading axes are split first, because then a chunk is one run of memory: axes get extent 1
// until one
//    slice of the next axis fits the target, and that axis is split into balanced parts.
// 3. The last chunk is padded to full size. Where that would cost 1 % or more (an axis of 7 in
// parts of 4), a
//    neighbouring part length is tried, and then longer parts of that axis that divide it exactly,
//    splitting the axes after it.

#include <cairn/codecs/zarr.h>

#include <algorithm>
#include <cassert>
#include <limits>

namespace cairn::zarr {
namespace {

constexpr Index kPaddingDivisor = 100;  // padding below 1/100 of the array
constexpr int kMaxTries = 1000;         // of step 3, which is exponential in the rank at worst
// Parts above this length are balanced to under 1 % by themselves: at most one element in each is
// padding.
constexpr Index kLongPart = 2 * kPaddingDivisor;

Index ceil_divide(Index a, Index b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

bool pads_little(Index extent, Index part) {
  const Index rest = extent % part;
  return rest == 0 || part - rest < ceil_divide(extent, kPaddingDivisor);
}

struct Choice {
  Shape chunk;
  bool pads_little = false;
};

class Chooser {
 public:
  explicit Chooser(std::span<const Index> extents) : extents_(extents), after_(extents.size(), 1) {
    // Elements in one slice of an axis; saturating, as it is only ever compared with the target.
    for (std::size_t i = extents.size(); i-- > 1;) {
      if (__builtin_mul_overflow(after_[i], extents[i], &after_[i - 1])) {
        after_[i - 1] = std::numeric_limits<Index>::max();
      }
    }
  }

  /// A chunk of the axes from `axis` on with `low` to `high` elements (or all there are).
  Choice choose(std::size_t axis, Index low, Index high) {
    if (axis == extents_.size()) return {Shape(), true};
    const Index extent = extents_[axis];
    const Index slice = after_[axis];
    if (slice > high) {
      Choice inner = choose(axis + 1, low, high);
      inner.chunk.insert(inner.chunk.begin(), 1);
      return inner.pads_little ? inner : choose_divisor(axis, 2, low, high, std::move(inner));
    }
    const Index most = high / slice;
    Choice split{Shape(extents_.begin() + static_cast<std::ptrdiff_t>(axis), extents_.end()), true};
    if (most >= extent) return split;
    const Index least = ceil_divide(low, slice);
    split.chunk[0] = choose_part(extent, least, most);
    // Within step 3, where low and high were rounded, there may be no part that is long enough.
    split.pads_little = split.chunk[0] >= least && pads_little(extent, split.chunk[0]);
    if (split.pads_little) return split;
    return choose_divisor(axis, most + 1, low, high, std::move(split));
  }

 private:
  // The part length in [least, most] that balances the parts, or the next shorter one that pads
  // little.
  static Index choose_part(Index extent, Index least, Index most) {
    const Index balanced = ceil_divide(extent, ceil_divide(extent, most));
    assert(balanced >= 1 && balanced <= most);
    if (most > kLongPart && balanced >= least) return balanced;
    Index best = balanced >= least ? balanced : most;
    for (Index part = most; part >= std::max<Index>(least, 1); --part) {
      if (pads_little(extent, part)) return part;
      const auto padding = [&](Index p) { return ceil_divide(extent, p) * p; };
      if (padding(part) < padding(best)) best = part;
    }
    return best;
  }

  // Step 3's last resort: `axis` in exact parts of `from` or more, and the axes after it split too.
  Choice choose_divisor(std::size_t axis, Index from, Index low, Index high, Choice fallback) {
    const Index extent = extents_[axis];
    for (Index part = from; part <= std::min(extent, high) && tries_ < kMaxTries; ++part) {
      ++tries_;
      if (extent % part != 0) continue;
      Choice inner = choose(axis + 1, ceil_divide(low, part), high / part);
      if (!inner.pads_little) continue;
      inner.chunk.insert(inner.chunk.begin(), part);
      return inner;
    }
    return fallback;
  }

  std::span<const Index> extents_;
  std::vector<Index> after_;
  int tries_ = 0;
};

}  // namespace

Shape choose_chunk_shape(DType dtype, std::span<const Index> shape, std::size_t target_bytes) {
  static_cast<void>(element_count(shape));
  Shape extents(shape.begin(), shape.end());
  for (Index& extent : extents) extent = std::max<Index>(extent, 1);
  const std::size_t most = std::max<std::size_t>(target_bytes / size_of(dtype), 1);
  const auto high = static_cast<Index>(
      std::min<std::size_t>(most, static_cast<std::size_t>(std::numeric_limits<Index>::max())));
  Choice choice = Chooser(extents).choose(0, high / 2 + high % 2, high);
  return std::move(choice.chunk);
}

}  // namespace cairn::zarr

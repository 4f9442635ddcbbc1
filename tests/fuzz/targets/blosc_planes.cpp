// The encoders of Blosc frames: whatever the content, the frame keeps to its bound, and libblosc
// and we decode it to the content. An input is the size of an element, and a program of
// generated().

#include <cairn/codecs/blosc.h>
#include <fuzz/blosc_inputs.h>

#include <cmath>

namespace cairn::fuzz {
namespace {

constexpr std::size_t kShortBytes = std::size_t{8} << 10;
constexpr std::size_t kLargeBytes = (std::size_t{512} << 10) + 1000;
constexpr char kLarge = '\xff';

void check_frame(const std::string& frame, const std::string& content) {
  std::string ours(content.size(), '\x55');
  blosc::decode(bytes_of(frame), writable_bytes_of(ours));
  require(ours == content, "our decoder gives the content");
  require(decoded_by_libblosc(frame, content.size()) == content, "libblosc gives the content");
}

void check(std::string_view input) {
  if (input.empty()) return;
  const std::size_t typesize = static_cast<unsigned char>(input[0]) % 20 + 1;
  // More than one block of the encoder takes long, and seldom shows more.
  const bool large = input[0] == kLarge;
  const auto content = generated(input.substr(1), large ? kLargeBytes : kShortBytes);
  const auto bound = blosc::frame_bound(content.size());
  std::string before;
  for (const auto coder :
       {blosc::PlaneCoder::automatic, blosc::PlaneCoder::libzstd, blosc::PlaneCoder::portable,
        blosc::PlaneCoder::avx512, blosc::PlaneCoder::matches}) {
    if (coder == blosc::PlaneCoder::avx512 && !blosc::has_avx512_coder()) continue;
    std::string frame(bound, '\0');
    frame.resize(
        blosc::encode_planes(bytes_of(content), typesize, writable_bytes_of(frame), coder));
    require(frame.size() <= bound, "a frame keeps to its bound");
    if (frame != before) check_frame(frame, content);
    before = std::move(frame);
  }
  const double ratio = blosc::estimate_ratio(bytes_of(content), typesize);
  require(std::isfinite(ratio) && ratio > 0, "an estimate is a number");
  for (const auto piece : blosc::trial_pieces(bytes_of(content), typesize)) {
    require(piece.size() % typesize == 0 && piece.data() >= bytes_of(content).data() &&
                piece.data() + piece.size() <= bytes_of(content).data() + content.size(),
            "pieces lie in the content");
  }
}

Seeds seeds(const TestData&) {
  // One byte, nothing, each kind of step short and over a block's end, and all in a row.
  Seeds found = {"", std::string(1, '\3'), std::string("\0\x08\0\0\1\1x", 7)};
  std::string all(1, '\1');
  for (char op = 0; op < 9; ++op) {
    for (const char length : {'\x04', '\x4a', '\x85'}) {
      const char step[] = {op, static_cast<char>(op * 40 + 3), length, '\x11', op};
      found.push_back(std::string(1, static_cast<char>(op % 4)) + std::string(step, sizeof(step)));
    }
    const char step[] = {op, '\x07', '\x05', '\x21', op};
    all.append(step, sizeof(step));
  }
  found.push_back(all);
  found.push_back(std::string("\xff\x06\x08\xcf\0\1\2\3\xcf\1\1", 11));
  return found;
}

const Registration registration({"blosc_planes", check, nullptr, seeds});

}  // namespace
}  // namespace cairn::fuzz

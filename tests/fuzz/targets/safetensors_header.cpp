// A safetensors file's head: what decodes can be laid out again and reads the same. An input is the
// size of the file, 8 bytes, and then the file as far as it goes; the tensors' bytes are never
// read.

#include <cairn/codecs/safetensors.h>
#include <fuzz/json_inputs.h>

#include <cstring>

namespace cairn::fuzz {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kAlignments[] = {1, 8, 64, 4096};

constexpr std::string_view kWords[] = {
    "__metadata__", "dtype", "shape", "data_offsets", "BOOL",    "U8",     "U16", "I64",
    "F8_E4M3",      "F16",   "BF16",  "F32",          "F64",     "C64",    "F4",  "F6_E2M3",
    "format",       "pt",    "a",     "F8_E8M0",      "F8_E5M2", "F6_E3M2"};

std::uint64_t load_u64(std::string_view bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

std::string u64(std::uint64_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::uint64_t size_of_file(const safetensors::Header& header) {
  return header.data_offset + (header.tensors.empty() ? 0 : header.tensors.back().end);
}

safetensors::Header decode(std::string_view head, std::uint64_t file_bytes) {
  const auto length = safetensors::decode_header_length(head.substr(0, kLengthBytes), file_bytes);
  return safetensors::decode_header(head.substr(kLengthBytes, static_cast<std::size_t>(length)),
                                    file_bytes);
}

void check_layout(const safetensors::Header& header) {
  std::uint64_t at = 0;
  for (const auto& tensor : header.tensors) {
    require(tensor.begin == at && tensor.end >= at, "tensors follow each other without holes");
    const auto memory = (tensor.end - tensor.begin) * safetensors::packing_of(tensor.dtype);
    require(memory == byte_count(tensor.dtype, tensor.shape),
            "a tensor has the bytes of its elements");
    at = tensor.end;
  }
}

void check(std::string_view input) {
  if (input.size() < 2 * kLengthBytes) return;
  const auto file_bytes = load_u64(input);
  const auto head = input.substr(kLengthBytes);
  const auto header = decoded_document(
      head, json_memory(input), [&](std::string_view text) { return decode(text, file_bytes); });
  if (!header) return;
  check_layout(*header);
  require(size_of_file(*header) == file_bytes, "the last tensor ends where the file does");
  for (const std::size_t alignment : kAlignments) {
    auto copy = *header;
    const auto bytes = safetensors::encode_header(copy, alignment);
    require(bytes.size() == copy.data_offset && bytes.size() % alignment == 0,
            "the data begin at a multiple of the alignment");
    const auto again = decode(bytes, size_of_file(copy));
    require(again.tensors == header->tensors && again.metadata == header->metadata,
            "a header reads back as it was");
  }
}

/// The largest number of the text, which is mostly the end of the last tensor.
std::uint64_t largest_number(std::string_view text) {
  std::uint64_t largest = 0;
  std::uint64_t number = 0;
  for (const char c : text) {
    number = c >= '0' && c <= '9' ? number * 10 + static_cast<std::uint64_t>(c - '0') : 0;
    largest = std::max(largest, number);
  }
  return largest;
}

std::string mutate(std::string_view input, Mutation& mutation) {
  if (mutation.one_in(8) || input.size() < 2 * kLengthBytes) return mutation.of_bytes(input);
  const auto json = mutate_json(input.substr(2 * kLengthBytes), kWords, mutation);
  // A changed end moves the end of the file.
  const bool kept = mutation.one_in(4);
  const auto file_bytes =
      kept ? load_u64(input) : kLengthBytes + json.size() + largest_number(json);
  return u64(file_bytes) + u64(json.size()) + json;
}

Seeds seeds(const TestData&) {
  using safetensors::TensorInfo;
  Seeds found;
  const auto add = [&](safetensors::Header header) {
    const auto bytes = safetensors::encode_header(header, 8);
    found.push_back(u64(size_of_file(header)) + bytes);
  };
  safetensors::Header header;
  add(header);
  header.metadata = {{"format", "pt"}, {"\xc3\xa9", "\"quoted\"\n"}};
  add(header);
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!safetensors::safetensors_name(dtype)) continue;
    header.tensors.push_back(TensorInfo{"t" + std::to_string(i), dtype, {2, 3}, 0, 0});
  }
  header.tensors.push_back(TensorInfo{"scalar", DType::float32, {}, 0, 0});
  header.tensors.push_back(TensorInfo{"empty", DType::float32, {0, 5}, 0, 0});
  add(header);
  header.tensors.resize(2);
  header.metadata.clear();
  add(header);
  const std::string optional =
      R"({"__metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  found.push_back(u64(kLengthBytes + optional.size() + 1) + u64(optional.size()) + optional);
  return found;
}

const Registration registration({"safetensors_header", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz

// _CAIRN: what decodes can be written again and reads the same.

#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/crc32c.h>
#include <fuzz/harness.h>

#include <cstring>
#include <tuple>

namespace cairn::fuzz {
namespace {

constexpr std::size_t kChecksumBytes = 4;

auto parts(const CairnRecord& record) {
  return std::tie(record.writer_version, record.tuples, record.unsigned_scalars,
                  record.manifest_hash, record.unknown);
}

void check(std::string_view input) {
  // One byte of a list is a string in memory, in a vector that doubles.
  const auto record =
      decoded(kFreeMemory + 128 * input.size(), [&] { return decode_record(input); });
  if (!record) return;
  const auto again = decode_record(encode(*record));
  require(parts(again) == parts(*record), "a record reads back as it was");
  require(content_hash(input).size() == 32, "a hash has 32 digits");
}

std::string mutate(std::string_view input, Mutation& mutation) {
  if (mutation.one_in(16) || input.size() < kChecksumBytes) return mutation.of_bytes(input);
  auto bytes = mutation.of_bytes(input.substr(0, input.size() - kChecksumBytes));
  const auto crc = crc32c(std::as_bytes(std::span(bytes)));
  return bytes.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
}

Seeds seeds(const TestData&) {
  CairnRecord record;
  Seeds found = {encode(record)};
  record.writer_version = "0.1.0";
  record.tuples = {"a.b", "c", ""};
  found.push_back(encode(record));
  record.unsigned_scalars = {"step"};
  record.manifest_hash = content_hash("manifest");
  found.push_back(encode(record));
  record.unknown = {{"later", "bytes"}, {"still later", ""}};
  found.push_back(encode(record));
  return found;
}

const Registration registration({"cairn_record", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz

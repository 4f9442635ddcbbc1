// Contexts of compressors belong to threads: the one test of the codecs that the thread sanitizer
// runs.

#include <cairn/codecs/zarr.h>
#include <codecs/zarr_arrays.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <thread>
#include <vector>

namespace cairn::zarr {
namespace {

constexpr unsigned kSeed = 20240602;

ArrayMetadata array_of(CodecChain codecs) {
  ArrayMetadata metadata;
  metadata.dtype = DType::int16;
  metadata.shape = metadata.chunk_shape = {40, 64};
  metadata.codecs = std::move(codecs);
  return metadata;
}

Bytestring elements_of(const ArrayMetadata& metadata, std::mt19937& random) {
  Bytestring elements(byte_count(metadata.dtype, metadata.chunk_shape));
  for (std::byte& byte : elements) byte = static_cast<std::byte>(random() % 12);
  return elements;
}

TEST(ChunkThreads, CodeAtOnceWithContextsOfTheirOwn) {
  SCOPED_TRACE(kSeed);
  std::vector<std::thread> threads;
  std::array<bool, 4> equal{};
  for (unsigned t = 0; t < equal.size(); ++t) {
    threads.emplace_back([t, &equal] {
      std::mt19937 random(kSeed + t);
      equal[t] = true;
      for (int level = 1; level < 10; ++level) {
        // Contexts change their settings from one call to the next.
        Blosc blosc;
        blosc.level = level;
        blosc.typesize = 2;
        const CodecChain chains[] = {{Bytes{}, Zstd{level, level % 2 == 0}, Gzip{10 - level}},
                                     {Bytes{}, blosc, Crc32c{}}};
        for (const CodecChain& chain : chains) {
          const ArrayMetadata metadata = array_of(chain);
          const Bytestring elements = elements_of(metadata, random);
          equal[t] = equal[t] && decode(metadata, encode(metadata, elements)) == elements;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(equal, ::testing::Each(true));
}

}  // namespace
}  // namespace cairn::zarr

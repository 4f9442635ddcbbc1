// manifest.ocdbt: what decodes can be written again and reads the same.

#include <cairn/codecs/ocdbt.h>
#include <codecs/ocdbt_samples.h>
#include <fuzz/ocdbt_inputs.h>

namespace cairn::fuzz {
namespace {

void check(std::string_view input) {
  const auto manifest =
      decoded(structure_memory(input), [&] { return ocdbt::decode_manifest(input); });
  if (!manifest) return;
  if (manifest->config.numbered) {
    require(manifest->versions.empty(), "a numbered manifest's first file has no versions");
    return;
  }
  auto again = ocdbt::decode_manifest(ocdbt::encode(*manifest));
  // An empty version refers to a file without a path, which the encoder adds where there is none.
  if (again.files.size() > manifest->files.size()) {
    require(again.files.back() == ocdbt::DataFile(), "the encoder adds the empty path alone");
    again.files.pop_back();
  }
  require(again == *manifest, "a manifest reads back as it was");
}

std::string mutate(std::string_view input, Mutation& mutation) {
  return mutate_envelope(input, ocdbt::kManifestMagic, mutation);
}

Seeds seeds(const TestData& data) {
  auto found = golden_structures(data).manifests;
  auto manifest = ocdbt::testing::sample_manifest();
  found.push_back(ocdbt::encode(manifest));
  manifest.config.compression = ocdbt::Compression::zstd;
  found.push_back(ocdbt::encode(manifest));
  return found;
}

const Registration registration({"ocdbt_manifest", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz

#include <cairn/codecs/format_error.h>
#include <cairn/manager/internal/random.h>
#include <cairn/manager/internal/root_metadata.h>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kRootMetadataBytesMax = 64u << 20;
constexpr std::size_t kSuffixBytes = 8;
/// Where Orbax kept it before: a JSON item.
constexpr std::string_view kLegacyFile = "metadata/metadata";

}  // namespace

Task<void> write_root_metadata(FolderPtr root, boost::json::object custom) {
  const std::string name(orbax::kRootMetadataFile);
  const auto there = co_await find_status(root, name);
  const auto legacy = co_await find_status(root, std::string(kLegacyFile));
  if (there || legacy) co_return;
  orbax::RootMetadata metadata;
  metadata.custom_metadata = std::move(custom);
  const std::string temporary =
      name + std::string(orbax::kTemporaryInfix) + "-" + random_hex(kSuffixBytes);
  co_await write_file(root, temporary, orbax::encode(metadata));
  auto [error] = co_await root->handle.async_rename(temporary, root->handle, name, kAsTuple);
  if (error) {
    co_await remove_tree(root, temporary);
    // Another process was first.
    if (engine::classify(error) == engine::ErrorKind::already_exists) co_return;
    raise_failure(error, "rename to " + name, join_path(root->path, temporary));
  }
  co_await sync_folder(root);
}

Task<std::optional<orbax::RootMetadata>> read_root_metadata(FolderPtr root) {
  std::string name(orbax::kRootMetadataFile);
  auto text = co_await read_file_if_there(root, name, kRootMetadataBytesMax);
  if (!text) {
    name = kLegacyFile;
    text = co_await read_file_if_there(root, name, kRootMetadataBytesMax);
  }
  if (!text) co_return std::nullopt;
  try {
    co_return orbax::decode_root_metadata(*text);
  } catch (const FormatError& error) {
    throw format_failure(error, join_path(root->path, name));
  }
}

}  // namespace cairn::internal

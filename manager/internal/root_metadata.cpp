#include <cairn/codecs/format_error.h>
#include <cairn/manager/internal/random.h>
#include <cairn/manager/internal/root_metadata.h>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kRootMetadataBytesMax = 64u << 20;
constexpr std::size_t kSuffixBytes = 8;
/// Where Orbax kept it before: a JSON item.
constexpr std::string_view kLegacyFile = "metadata/metadata";
/// A writer's clean-up cannot tell a living process's file from a dead one's.
constexpr int kAttemptsMax = 3;

std::string temporary_prefix() {
  std::string prefix(orbax::kRootMetadataFile);
  prefix += orbax::kTemporaryInfix;
  prefix += '-';
  return prefix;
}

/// A new file with the text; leaves nothing where it fails.
Task<void> write_temporary(FolderPtr root, std::string name, std::string text) {
  std::exception_ptr failure;
  try {
    co_await write_file(root, name, std::move(text));
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  try {
    co_await remove_tree(root, name);
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch): the next writer removes it
  }
  std::rethrow_exception(failure);
}

}  // namespace

bool is_root_metadata_leftover(std::string_view name) {
  const std::string prefix = temporary_prefix();
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return name.size() == 2 * kSuffixBytes &&
         name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Task<void> write_root_metadata(FolderPtr root, boost::json::object custom) {
  const std::string name(orbax::kRootMetadataFile);
  const auto there = co_await find_status(root, name);
  const auto legacy = co_await find_status(root, std::string(kLegacyFile));
  if (there || legacy) co_return;
  orbax::RootMetadata metadata;
  metadata.custom_metadata = std::move(custom);
  for (int attempt = 1;; ++attempt) {
    const std::string temporary = temporary_prefix() + random_hex(kSuffixBytes);
    co_await write_temporary(root, temporary, orbax::encode(metadata));
    auto [error] = co_await root->handle.async_rename(temporary, root->handle, name, kAsTuple);
    if (!error) break;
    co_await remove_tree(root, temporary);
    const engine::ErrorKind kind = engine::classify(error);
    // Another process was first.
    if (kind == engine::ErrorKind::already_exists) co_return;
    if (kind == engine::ErrorKind::not_found && attempt < kAttemptsMax) continue;
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

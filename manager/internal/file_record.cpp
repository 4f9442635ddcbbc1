#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/file_record.h>
#include <cairn/manager/internal/item_saver.h>
#include <cairn/manager/version.h>

#include <optional>
#include <span>
#include <vector>

namespace cairn::internal {
namespace {

[[nodiscard]] ContentHash hash_of_text(std::string_view bytes) {
  return hash_of(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

[[nodiscard]] std::string describe(std::uint64_t bytes, const ContentHash& hash) {
  return std::to_string(bytes) + " bytes of XXH3-128 " + to_hex(hash);
}

/// An item whose files were read, for messages.
struct CheckedItem {
  CheckedItem(std::string f, std::string i) : folder(std::move(f)), item(std::move(i)) {}
  std::string folder;
  std::string item;

  [[nodiscard]] Error error(const std::string& file, std::string reason, std::string remedy) const {
    ErrorContext context;
    context.operation = "read";
    context.item = item;
    context.path = join_path(folder, file);
    context.remedy = std::move(remedy);
    return Error(ErrorCode::data_loss, std::move(reason), context);
  }
  [[nodiscard]] Error missing(const FileHash& recorded) const {
    return error(recorded.name,
                 "the file is missing; the item was committed with it, " +
                     describe(recorded.bytes, recorded.hash),
                 "Restore another step; if it was removed on purpose, remove the item's _CAIRN");
  }
  [[nodiscard]] Error unread(const Error& failure) const {
    ErrorContext context = failure.context();
    context.item = item;
    return Error(failure.code(), failure.reason(), context);
  }
  /// Nothing, or what is wrong.
  [[nodiscard]] std::vector<Error> compare(const FileHash& recorded, std::string_view bytes) const {
    const ContentHash found = hash_of_text(bytes);
    if (bytes.size() == recorded.bytes && found == recorded.hash) return {};
    return {error(recorded.name,
                  "the file is not the one that the item was committed with: it has " +
                      describe(bytes.size(), found) + ", recorded are " +
                      describe(recorded.bytes, recorded.hash),
                  "Restore another step; if it was changed on purpose, remove the item's _CAIRN")};
  }
  /// Of the record itself.
  [[nodiscard]] Error unreadable(const FormatError& fault) const {
    const std::string path = join_path(folder, std::string(kRecordFile));
    const Error found = format_failure(fault, path);
    ErrorContext context = found.context();
    context.item = item;
    if (found.code() == ErrorCode::data_loss) {
      context.remedy =
          "Restore another step; if the item's other files are known to be good, remove the file";
    }
    return Error(found.code(), found.reason(), context);
  }
};

struct RecordedFiles {
  RecordedFiles() = default;
  std::vector<FileHash> files;
  std::optional<Error> fault;
};

/// None where there is no record, or it says nothing of files.
Task<std::vector<FileHash>> read_recorded(FolderPtr folder, CheckedItem of, DamageSink damage) {
  const std::optional<std::string> text =
      co_await read_file_if_there(folder, std::string(kRecordFile), kRecordBytesMax);
  if (!text) co_return std::vector<FileHash>();
  auto decode = [&text, &of] {
    RecordedFiles recorded;
    try {
      recorded.files = decode_record(*text).files;
    } catch (const FormatError& fault) {
      recorded.fault = of.unreadable(fault);
    }
    return recorded;
  };
  RecordedFiles recorded =
      co_await engine::async_run(folder->engine->cpu(), std::move(decode), asio::use_awaitable);
  if (recorded.fault) damage(*recorded.fault);
  co_return std::move(recorded.files);
}

}  // namespace

std::string encode_file_record(const ItemFiles& files) {
  CairnRecord record;
  record.writer_version = std::string(version());
  for (const auto& [name, bytes] : files) {  // in ascending order
    FileHash file;
    file.name = name;
    file.bytes = bytes.size();
    file.hash = hash_of_text(bytes);
    record.files.push_back(std::move(file));
  }
  return encode_within(record).bytes;
}

Task<void> check_files(FolderPtr folder, std::string item, const ItemFiles* files,
                       FileChooser expected, DamageSink damage) {
  const CheckedItem of(folder->path, item);
  const std::vector<FileHash> recorded = co_await read_recorded(folder, of, damage);
  if (recorded.empty()) co_return;
  auto compare = [&recorded, &of, files, &expected] {
    std::vector<Error> faults;
    for (const FileHash& file : recorded) {
      if (files->contains(file.name)) {
        for (Error& fault : of.compare(file, files->at(file.name)))
          faults.push_back(std::move(fault));
      } else if (expected && expected(file.name)) {
        faults.push_back(of.missing(file));
      }
    }
    return faults;
  };
  const std::vector<Error> faults =
      co_await engine::async_run(folder->engine->cpu(), std::move(compare), asio::use_awaitable);
  for (const Error& fault : faults) damage(fault);
}

Task<void> verify_recorded_files(FolderPtr folder, std::string item, DamageSink damage) {
  const CheckedItem of(folder->path, item);
  const std::vector<FileHash> recorded = co_await read_recorded(folder, of, damage);
  for (const FileHash& file : recorded) {
    std::optional<std::string> bytes;
    std::optional<Error> unread;
    try {
      bytes = co_await read_file_if_there(folder, file.name, kItemFileBytesMax);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::cancelled) throw;
      unread = of.unread(error);
    }
    if (unread) {
      damage(*unread);  // the other files are looked at all the same
      continue;
    }
    if (!bytes) {
      damage(of.missing(file));
      continue;
    }
    auto compare = [&file, &bytes, &of] { return of.compare(file, *bytes); };
    const std::vector<Error> faults =
        co_await engine::async_run(folder->engine->cpu(), std::move(compare), asio::use_awaitable);
    for (const Error& fault : faults) damage(fault);
  }
}

}  // namespace cairn::internal

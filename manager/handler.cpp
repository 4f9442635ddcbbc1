#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/format_error.h>
#include <cairn/codecs/orbax.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/handler.h>
#include <cairn/manager/internal/file_record.h>
#include <cairn/manager/internal/item_reader.h>
#include <cairn/manager/internal/item_saver.h>

#include <algorithm>
#include <functional>
#include <numeric>

namespace cairn {
namespace internal {
namespace {

using detail::FileHandler;
using FileHandlerPtr = std::shared_ptr<const FileHandler>;

/// What a handler threw, as an Error that names the item. `code`: of exceptions that are no Error.
[[noreturn]] void rethrow_from_handler(std::string_view handler, const std::string& item,
                                       const std::string& folder, ErrorCode code) {
  const std::string whose = "its handler, " + std::string(handler) + ", says: ";
  ErrorContext context;
  context.item = item;
  context.path = folder;
  try {
    throw;
  } catch (const Error& error) {
    ErrorContext found = error.context();
    found.item = item;
    // A handler knows names of files alone.
    if (!found.path.starts_with('/')) found.path = join_path(folder, found.path);
    throw Error(error.code(), error.reason(), found);
  } catch (const FormatError& error) {
    throw format_failure(error, folder);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(code, whose + error.what(), context);
  } catch (...) {
    throw Error(code, whose + "an exception that is not a std::exception", context);
  }
}

/// Reads all files of an item, one after the other: they are few.
class FileReader final : public ItemReader {
 public:
  explicit FileReader(FileHandlerPtr handler) : handler_(std::move(handler)) {}

  Task<std::any> restore(OpenStepPtr step, std::string item,
                         args::ItemRestore args) const override {
    FolderPtr folder = co_await item_folder(step, item);
    const ItemFiles files = co_await read_files(folder, item, throw_damage());
    co_return co_await decode(folder, item, &files, std::move(args));
  }

  Task<ItemMetadata> describe(OpenStepPtr step, std::string item) const override {
    FolderPtr folder = co_await item_folder(step, item);
    const ItemFiles files = co_await read_files(folder, item, throw_damage());
    ItemMetadata metadata;
    metadata.bytes = files.bytes();
    metadata.stored_bytes = files.bytes();
    auto describe = [this, &files, &item, &folder] {
      try {
        return handler_->describe(files);
      } catch (...) {
        rethrow_from_handler(handler_->name(), item, folder->path, ErrorCode::data_loss);
      }
    };
    metadata.description =
        co_await engine::async_run(folder->engine->cpu(), std::move(describe), asio::use_awaitable);
    co_return metadata;
  }

  Task<void> verify(OpenStepPtr step, std::string item, bool, DamageSink damage,
                    VerifyReport*) const override {
    bool sound = true;
    DamageSink note = [&sound, &damage](const Error& fault) {
      sound = false;
      damage(fault);
    };
    FolderPtr folder = co_await item_folder(step, item);
    const ItemFiles files = co_await read_files(folder, item, std::move(note));
    if (!sound) co_return;  // what comes of other bytes says nothing more
    const std::any value = co_await decode(folder, item, &files, args::ItemRestore());
    static_cast<void>(value);
  }

 private:
  Task<std::any> decode(FolderPtr folder, std::string item, const ItemFiles* files,
                        args::ItemRestore args) const {
    auto call = [this, files, &args, &item, &folder] {
      try {
        return handler_->decode_any(*files, args.value());
      } catch (...) {
        rethrow_from_handler(handler_->name(), item, folder->path, ErrorCode::data_loss);
      }
    };
    co_return co_await engine::async_run(folder->engine->cpu(), std::move(call),
                                         asio::use_awaitable);
  }

  Task<ItemFiles> read_files(FolderPtr folder, std::string item, DamageSink damage) const {
    const auto entries = co_await list_folder(folder);
    ItemFiles files;
    for (const engine::DirectoryEntry& entry : entries) {
      if (entry.type == engine::FileType::directory || entry.name == orbax::kCommitMarkerFile ||
          entry.name == kRecordFile || !handler_->needs(entry.name)) {
        continue;
      }
      std::string bytes = co_await read_file(folder, entry.name, kItemFileBytesMax);
      files.set(entry.name, std::move(bytes));
    }
    FileChooser expected = [this](std::string_view name) { return handler_->needs(name); };
    co_await check_files(folder, item, &files, std::move(expected), std::move(damage));
    co_return files;
  }

  FileHandlerPtr handler_;
};

}  // namespace
}  // namespace internal

boost::json::value detail::FileHandler::describe(const ItemFiles&) const {
  return nullptr;
}

bool detail::FileHandler::needs(std::string_view) const {
  return true;
}

std::shared_ptr<internal::ItemSaver> detail::FileHandler::make_saver(
    internal::SaverRequest request) const {
  const auto self = std::static_pointer_cast<const FileHandler>(shared_from_this());
  auto encode = [self, item = request.item, args = std::move(request.args)] {
    try {
      return self->encode_any(args);
    } catch (...) {
      internal::rethrow_from_handler(self->name(), item, "", ErrorCode::invalid_argument);
    }
  };
  return internal::make_file_saver(std::move(request.item), std::string(name()), std::move(encode),
                                   std::move(request.state));
}

std::shared_ptr<const internal::ItemReader> detail::FileHandler::make_reader() const {
  return std::make_shared<internal::FileReader>(
      std::static_pointer_cast<const FileHandler>(shared_from_this()));
}

const std::string& ItemFiles::at(std::string_view name) const {
  const auto found = files_.find(name);
  if (found != files_.end()) return found->second;
  std::string names;
  for (const auto& [other, bytes] : files_) names += (names.empty() ? "" : ", ") + other;
  throw Error(ErrorCode::data_loss, "there is no file '" + std::string(name) +
                                        "'; files: " + (names.empty() ? "none" : names));
}

std::uint64_t ItemFiles::bytes() const noexcept {
  return std::accumulate(
      files_.begin(), files_.end(), std::uint64_t{0},
      [](std::uint64_t sum, const auto& file) { return sum + file.second.size(); });
}

}  // namespace cairn

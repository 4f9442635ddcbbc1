#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/regular_file.h>
#include <cairn/manager/internal/safetensors_input.h>

#include <algorithm>
#include <map>
#include <unordered_map>

namespace cairn::internal {
namespace {

using safetensors::kFileSuffix;
using safetensors::kIndexSuffix;

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kNamesListedMax = 10;
/// What the hub and transformers call them.
constexpr std::string_view kUsualStem = "model";

Error error_at(ErrorCode code, std::string reason, std::string path, std::string remedy = "") {
  ErrorContext context;
  context.path = std::move(path);
  context.remedy = std::move(remedy);
  return Error(code, std::move(reason), context);
}

/// The path does not say which file is meant.
Error invalid(std::string reason, std::string path, std::string remedy = "") {
  return error_at(ErrorCode::invalid_argument, std::move(reason), std::move(path),
                  std::move(remedy));
}

/// Files that are there contradict each other.
Error damaged(std::string reason, std::string path, std::string remedy = "") {
  return error_at(ErrorCode::data_loss, std::move(reason), std::move(path), std::move(remedy));
}

/// "DIR" and "NAME" of "DIR/NAME"; "." where there is no slash.
std::pair<std::string, std::string> split_path(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

Task<SafetensorsInputPtr> open_input(EnginePtr engine, FolderPtr folder, std::string name,
                                     LookUp look_up) {
  RegularFile opened =
      co_await open_regular_file(engine, folder, name, look_up, engine->direct_io());
  auto input = std::make_shared<SafetensorsInput>(engine, opened.file, name);
  input->size = opened.size;
  const std::string path = opened.file->path;
  if (input->size < kLengthBytes) {
    throw safetensors_format_error(
        FormatError("safetensors file", "size", std::to_string(input->size) + " bytes", "8 or more",
                    0),
        path, 0);
  }
  const std::string first = co_await read_bytes(engine, opened.file, 0, kLengthBytes);
  std::uint64_t length = 0;
  try {
    length = safetensors::decode_header_length(first, input->size);
  } catch (const FormatError& error) {
    throw safetensors_format_error(error, path, 0);
  }
  const std::string json = co_await read_bytes(engine, opened.file, kLengthBytes, length);
  // A header may be large: the strand has others to serve.
  auto decode = [&json, size = input->size, &path] {
    try {
      return safetensors::decode_header(json, size);
    } catch (const FormatError& error) {
      throw safetensors_format_error(error, path, kLengthBytes);
    }
  };
  input->header = co_await engine::async_run(engine->cpu(), std::move(decode), asio::use_awaitable);
  co_return input;
}

/// file -> its tensors, by the index.
using Files = std::map<std::string, std::vector<std::string>>;

Task<Files> read_index(EnginePtr engine, FolderPtr folder, std::string name, LookUp look_up) {
  RegularFile opened =
      co_await open_regular_file(engine, folder, name, look_up, engine::DirectIo::off);
  const std::string path = opened.file->path;
  if (opened.size > safetensors::kMaxIndexBytes) {
    throw safetensors_format_error(
        FormatError("safetensors index", "size", std::to_string(opened.size) + " bytes",
                    "at most " + std::to_string(safetensors::kMaxIndexBytes)),
        path, 0);
  }
  const std::string json = co_await read_bytes(engine, opened.file, 0, opened.size);
  auto decode = [&json, &path] {
    Files files;
    try {
      auto index = safetensors::decode_index(json);
      for (auto& [tensor, file] : index.weight_map) files[file].push_back(std::move(tensor));
    } catch (const FormatError& error) {
      throw safetensors_format_error(error, path, 0);
    }
    return files;
  };
  Files files = co_await engine::async_run(engine->cpu(), std::move(decode), asio::use_awaitable);
  if (files.empty()) throw damaged("the index names no tensors", path);
  co_return files;
}

/// What the index says of a file, against what is in it.
void check_shard(const SafetensorsInput& input, const std::vector<std::string>& wanted,
                 const std::string& index_path, const FaultSink& sink) {
  std::vector<std::string_view> names;
  names.reserve(input.header.tensors.size());
  for (const auto& tensor : input.header.tensors) names.emplace_back(tensor.name);
  std::ranges::sort(names);
  for (const std::string& tensor : wanted) {
    if (std::ranges::binary_search(names, std::string_view(tensor))) continue;
    sink(damaged("weight_map puts tensor \"" + tensor + "\" into " + input.file->path +
                     ", whose header does not have it",
                 index_path));
  }
}

void check_no_tensor_twice(const std::vector<SafetensorsInputPtr>& inputs, const FaultSink& sink) {
  std::unordered_map<std::string_view, const SafetensorsInput*> places;
  for (const SafetensorsInputPtr& input : inputs) {
    for (const auto& tensor : input->header.tensors) {
      const auto [place, is_new] = places.emplace(tensor.name, input.get());
      if (is_new) continue;
      sink(damaged("tensor \"" + tensor.name + "\" is in " + place->second->file->path + " as well",
                   input->file->path, "Keep one of them, and have the index name it"));
    }
  }
}

/// Whether an error is about a file, and others may be looked at all the same.
bool concerns_a_file(ErrorCode code) {
  switch (code) {
    case ErrorCode::data_loss:
    case ErrorCode::not_found:
    case ErrorCode::io_error:
    case ErrorCode::invalid_argument:
    case ErrorCode::not_supported:
    case ErrorCode::permission_denied:
      return true;
    default:
      return false;
  }
}

void give(const std::exception_ptr& failure, const FaultSink& sink) {
  const Error error = known_error(failure);
  if (!concerns_a_file(error.code())) throw error;
  sink(error);
}

Task<void> open_into(EnginePtr engine, FolderPtr folder, std::string name, LookUp look_up,
                     std::vector<SafetensorsInputPtr>* inputs, FaultSink sink) {
  std::exception_ptr failure;
  try {
    inputs->push_back(co_await open_input(engine, folder, name, look_up));
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) give(failure, sink);
}

Task<std::vector<SafetensorsInputPtr>> open_shards(EnginePtr engine, SafetensorsPlace place,
                                                   LookUp look_up, FaultSink sink) {
  const std::string index_path = join_path(place.folder->path, place.name);
  std::vector<SafetensorsInputPtr> inputs;
  Files files;
  std::exception_ptr failure;
  try {
    files = co_await read_index(engine, place.folder, place.name, LookUp::anywhere);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) give(failure, sink);
  for (const auto& [name, tensors] : files)
    co_await open_into(engine, place.folder, name, look_up, &inputs, sink);
  auto check = [&files, &inputs, &index_path, &sink] {
    for (const SafetensorsInputPtr& input : inputs)
      check_shard(*input, files.at(input->name), index_path, sink);
    check_no_tensor_twice(inputs, sink);
  };
  co_await engine::async_run(engine->cpu(), std::move(check), asio::use_awaitable);
  co_return inputs;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamesListedMax); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  return names.size() > kNamesListedMax ? text + ", ..." : text;
}

/// Which file of a directory is meant: the rules of manager/safetensors.h.
std::string pick_file(const std::vector<engine::DirectoryEntry>& entries, const std::string& path) {
  std::vector<std::string> indexes;
  std::vector<std::string> files;
  std::vector<std::string> shards;
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.name.ends_with(kIndexSuffix)) indexes.push_back(entry.name);
    if (!entry.name.ends_with(kFileSuffix)) continue;
    // What stays of a checkpoint without its index is not the whole of it.
    const auto shard = safetensors::parse_shard_name(entry.name);
    (shard && shard->count != 1 ? shards : files).push_back(entry.name);
  }
  std::ranges::sort(indexes);
  std::ranges::sort(files);
  const std::string usual_file = std::string(kUsualStem) + std::string(kFileSuffix);
  if (std::ranges::binary_search(files, usual_file)) return usual_file;
  const std::string usual_index = std::string(kUsualStem) + std::string(kIndexSuffix);
  if (std::ranges::binary_search(indexes, usual_index)) return usual_index;
  const auto& names = indexes.empty() ? files : indexes;
  if (names.size() == 1) return names[0];
  if (names.empty() && !shards.empty()) {
    throw invalid("the directory has no index for shards such as " + shards[0], path,
                  "Name a shard to read that alone");
  }
  if (names.empty()) throw invalid("the directory has no safetensors file and no index", path);
  throw invalid("the directory has several: " + listed(names), path, "Name one of them");
}

}  // namespace

bool tells_of_damage(const Error& error) noexcept {
  switch (error.code()) {
    case ErrorCode::data_loss:
    case ErrorCode::not_found:
    case ErrorCode::io_error:
      return true;
    default:
      return false;
  }
}

Error safetensors_format_error(const FormatError& error, const std::string& path,
                               std::uint64_t base) {
  ErrorContext context;
  context.path = path;
  context.offset = base + error.offset().value_or(0);
  const FormatError placed(error.structure(), error.field(), error.found(), error.allowed());
  return Error(code_of(error), placed.what(), context);
}

Task<SafetensorsPlace> find_safetensors(EnginePtr engine, std::string path) {
  SafetensorsPlace place;
  if (co_await type_of_path(engine, nullptr, path, LookUp::anywhere) ==
      engine::FileType::directory) {
    place.folder = co_await open_folder(engine, path);
    place.name = pick_file(co_await list_folder(place.folder), path);
  } else {
    auto [parent, last] = split_path(path);
    place.folder = co_await open_folder(engine, parent);
    place.name = last;
  }
  co_return place;
}

Task<std::vector<SafetensorsInputPtr>> open_safetensors_place(EnginePtr engine,
                                                              SafetensorsPlace place,
                                                              bool follow_links, FaultSink sink) {
  if (!sink) sink = [](const Error& error) { throw error; };
  const LookUp look_up = follow_links ? LookUp::anywhere : LookUp::beneath;
  if (place.is_index())
    co_return co_await open_shards(engine, std::move(place), look_up, std::move(sink));
  std::vector<SafetensorsInputPtr> inputs;
  // A link to the one file that was asked for leads where its user wants it to.
  co_await open_into(engine, place.folder, place.name, LookUp::anywhere, &inputs, std::move(sink));
  co_return inputs;
}

Task<std::vector<SafetensorsInputPtr>> open_safetensors_files(EnginePtr engine, std::string path,
                                                              bool follow_links) {
  SafetensorsPlace place = co_await find_safetensors(engine, std::move(path));
  co_return co_await open_safetensors_place(engine, std::move(place), follow_links);
}

}  // namespace cairn::internal

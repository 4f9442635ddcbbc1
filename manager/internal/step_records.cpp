#include <cairn/codecs/format_error.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/file_record.h>
#include <cairn/manager/internal/step_records.h>

#include <memory>

namespace cairn::internal {
namespace {

/// Steps that are read at once: each has a few small operations.
constexpr std::size_t kReadAtOnce = 64;
constexpr std::uint64_t kMetricsBytesMax = 64u << 20;
constexpr std::string_view kMetrics = "metrics";  ///< the item, and the file in it

struct Reading {
  std::vector<ListedStep> steps;
  std::vector<StepRecord> records;
  std::vector<char> there;
  WarnStep warn;
};
using ReadingPtr = std::shared_ptr<Reading>;

/// Orbax keeps metrics in a file of their own, and since 0.11 in the step's metadata too.
Task<boost::json::object> read_metrics_file(FolderPtr root, std::string step_name) {
  const std::string item(kMetrics);
  const std::string directory = join_path(step_name, item);
  auto text = co_await read_file_if_there(root, join_path(directory, item), kMetricsBytesMax);
  if (!text) co_return boost::json::object();
  ItemFiles files;
  files.set(item, std::move(*text));
  FolderPtr folder = co_await open_subfolder(root, directory);
  FileChooser none_else;
  co_await check_files(folder, item, &files, std::move(none_else), throw_damage());
  boost::json::value value = orbax::parse_json(files.at(item), "metrics");
  if (!value.is_object()) {
    throw FormatError("metrics", "document", "another JSON value", "an object");
  }
  co_return std::move(value.as_object());
}

Task<void> read_record(FolderPtr root, std::string name, StepRecord* record) {
  const auto text = co_await read_file_if_there(
      root, join_path(name, std::string(orbax::kStepMetadataFile)), kStepMetadataBytesMax);
  orbax::StepMetadata metadata;
  if (text) metadata = orbax::decode_step_metadata(*text);
  if (metadata.metrics.empty()) metadata.metrics = co_await read_metrics_file(root, name);
  if (!metadata.metrics.empty()) record->info.metrics = std::move(metadata.metrics);
  if (metadata.commit_timestamp_ns) {
    record->info.time_ns = *metadata.commit_timestamp_ns;
    co_return;
  }
  const auto status = co_await find_status(root, name);
  if (status) record->info.time_ns = status->modified_ns;
}

Task<void> read_one(FolderPtr root, ReadingPtr reading, std::size_t i) {
  StepRecord& record = reading->records[i];
  const std::string name = reading->steps[i].name;
  std::string trouble;
  try {
    co_await read_record(root, name, &record);
    co_return;
  } catch (const FormatError& error) {
    trouble = error.what();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled) throw;
    trouble = error.what();
  }
  const auto status = co_await find_status(root, name);
  if (!status) {
    reading->there[i] = 0;
    co_return;
  }
  record.info.time_ns = status->modified_ns;
  record.info.metrics.reset();
  record.info.damaged = true;
  reading->warn(record.info.step,
                "the step's metadata cannot be read, the step is kept: " + trouble);
}

}  // namespace

std::vector<StepRecord> unread_records(const std::vector<ListedStep>& steps) {
  std::vector<StepRecord> records;
  records.reserve(steps.size());
  for (const ListedStep& step : steps) {
    records.emplace_back(step.step);
    records.back().unread = true;
  }
  return records;
}

Task<std::vector<StepRecord>> read_step_records(FolderPtr root, std::vector<ListedStep> steps,
                                                WarnStep warn) {
  auto reading = std::make_shared<Reading>();
  reading->records = unread_records(steps);
  for (StepRecord& record : reading->records) record.unread = false;
  reading->steps = std::move(steps);
  reading->there.assign(reading->steps.size(), 1);
  reading->warn = std::move(warn);
  engine::Nursery nursery(root->engine->executor());
  for (std::size_t i = 0; i < reading->steps.size(); ++i) {
    nursery.spawn(read_one(root, reading, i));
    const bool well = co_await nursery.wait_below(kReadAtOnce);
    if (!well) break;
  }
  co_await nursery.join();
  std::vector<StepRecord> there;
  there.reserve(reading->records.size());
  for (std::size_t i = 0; i < reading->records.size(); ++i) {
    if (reading->there[i] != 0) there.push_back(std::move(reading->records[i]));
  }
  co_return there;
}

}  // namespace cairn::internal

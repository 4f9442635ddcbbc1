#include "trainer/spdlog_logger.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <string>

namespace trainer {
namespace {

spdlog::level::level_enum level_of(cairn::LogLevel level) {
  switch (level) {
    case cairn::LogLevel::info:
      return spdlog::level::info;
    case cairn::LogLevel::warning:
      return spdlog::level::warn;
    case cairn::LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

void SpdlogLogger::log(const cairn::LogRecord& record) {
  const auto level = level_of(record.level);
  if (!sink_->should_log(level)) return;
  if (record.step) {
    sink_->log(level, "{} of step {}: {}", record.event, *record.step, record.message);
  } else {
    sink_->log(level, "{}: {}", record.event, record.message);
  }
}

std::shared_ptr<cairn::Logger> log_to_stderr(const std::string& level) {
  auto sink = std::make_shared<spdlog::logger>("trainer",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>());
  sink->set_pattern("%n: %v");
  sink->set_level(spdlog::level::from_str(level));
  return std::make_shared<SpdlogLogger>(std::move(sink));
}

}  // namespace trainer

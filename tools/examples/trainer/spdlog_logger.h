#pragma once
// The library is silent by itself: this gives its records to spdlog.

#include <cairn/manager/logger.h>
#include <spdlog/logger.h>

#include <memory>
#include <string>
#include <utility>

namespace trainer {

/// What is below the spdlog logger's level costs nothing but the call.
class SpdlogLogger final : public cairn::Logger {
 public:
  explicit SpdlogLogger(std::shared_ptr<spdlog::logger> sink) : sink_(std::move(sink)) {}
  void log(const cairn::LogRecord& record) override;

 private:
  std::shared_ptr<spdlog::logger> sink_;
};

/// A logger to standard error, without colours or times: lines begin with "trainer: ". `level` is
/// one of spdlog's names: info shows each save and restore, warning what costs no step.
[[nodiscard]] std::shared_ptr<cairn::Logger> log_to_stderr(const std::string& level);

}  // namespace trainer

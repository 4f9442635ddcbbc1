#pragma once
// Makes an operation of one save fail, whatever else goes on.

#include <cairn/engine/io_backend.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "model/settings.h"

namespace cairn::model {

inline constexpr std::string_view kTemporary = ".orbax-checkpoint-tmp";

enum class FaultState { armed, happened, disarmed };
using FaultStatePtr = std::shared_ptr<std::atomic<FaultState>>;

inline bool is_commit(const engine::IoRequest& request, const std::string& name) {
  return (request.op == engine::IoOp::rename || request.op == engine::IoOp::exchange) &&
         request.path2 == name;
}

/// When an operation of the save under this name fails, if it is to.
class FaultOfSave {
 public:
  FaultOfSave(Fault fault, std::string name, std::int64_t nth, FaultStatePtr state)
      : fault_(fault), name_(std::move(name)), left_(nth), state_(std::move(state)) {}

  bool operator()(const engine::IoRequest& request) {
    if (*state_ != FaultState::armed || !is_it(request)) return false;
    *state_ = FaultState::happened;
    return true;
  }

 private:
  bool is_it(const engine::IoRequest& request) {
    const bool makes = request.op == engine::IoOp::make_directory;
    begun_ = begun_ || (makes && request.path == name_ + std::string(kTemporary));
    if (!begun_) return false;
    if (fault_ == Fault::commit) return is_commit(request, name_);
    if (fault_ == Fault::last_sync) {
      if (renamed_) return request.op == engine::IoOp::sync_all;
      renamed_ = is_commit(request, name_);
      return false;
    }
    const bool counts = makes || request.op == engine::IoOp::write ||
                        request.op == engine::IoOp::sync_data ||
                        request.op == engine::IoOp::sync_all;
    if (is_commit(request, name_)) *state_ = FaultState::disarmed;
    return counts && left_-- == 0;
  }

  Fault fault_;
  std::string name_;
  std::int64_t left_;
  FaultStatePtr state_;
  bool begun_ = false;
  bool renamed_ = false;
};

}  // namespace cairn::model

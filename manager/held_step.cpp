#include <cairn/manager/held_step.h>
#include <cairn/manager/internal/step_hold.h>

namespace cairn {

Step HeldStep::step() const noexcept {
  return hold_->step;
}
const std::string& HeldStep::path() const noexcept {
  return hold_->folder->path;
}
bool HeldStep::locked() const noexcept {
  return hold_->lock != nullptr;
}

}  // namespace cairn

#include <cairn/manager/version.h>
#include <cairn/version.h>

namespace cairn {

std::string_view version() noexcept {
  return CAIRN_VERSION_STRING;
}

}  // namespace cairn

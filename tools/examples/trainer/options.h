#pragma once
// What the command line says.

#include "trainer/state.h"

#include <cairn/manager/options.h>

#include <cstdint>
#include <optional>
#include <string>

namespace trainer {

enum class Resume : std::uint8_t {
  automatic,  ///< from the latest step where there is one
  required,   ///< no step is an error
  never,      ///< a step that is there is an error
};

struct Options {
  std::string data = "/usr/share/common-licenses";
  std::string root;
  std::string log;                    ///< empty = none
  std::string final_state;            ///< empty = none
  std::string announce;               ///< empty = none; gets a line as each save begins and ends
  std::string log_level = "warning";  ///< of the library's records; a name of spdlog's
  std::int64_t steps = 300;
  std::int64_t save_every = 20;
  std::optional<std::int64_t> max_to_keep = 3;
  Resume resume = Resume::automatic;
  cairn::Capture capture = cairn::Capture::copy;
  std::size_t sample_length = 0;
  RunConfig config;
};

}  // namespace trainer

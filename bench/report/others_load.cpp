#include "report/others_load.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "report/measure.h"

namespace cairn::bench {

OthersLoad::OthersLoad() = default;

OthersLoad::Times OthersLoad::now() {
  // "cpu user nice system idle iowait irq softirq steal ...", see proc_stat(5); what follows is
  // counted in user and nice already.
  constexpr int kFields = 8;
  constexpr int kIdle = 3;
  constexpr int kWaitsForDisk = 4;
  constexpr int kSteal = 7;
  Times times;
  std::ifstream file("/proc/stat");
  std::string word;
  file >> word;
  for (int field = 0; field < kFields; ++field) {
    double ticks = 0;
    file >> ticks;
    times.all += ticks;
    if (field != kIdle && field != kWaitsForDisk) times.busy += ticks;
    if (field == kSteal) times.stolen = ticks;
  }
  const auto ticks_per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  times.all /= ticks_per_second;
  times.busy /= ticks_per_second;
  times.stolen /= ticks_per_second;
  times.own = cpu_seconds();
  return times;
}

double OthersLoad::share() const {
  const Times end = now();
  const double all = end.all - begin_.all;
  if (all <= 0) return 0;
  return std::max((end.busy - begin_.busy) - (end.own - begin_.own), 0.0) / all;
}

std::optional<double> OthersLoad::stolen() const {
  const Times end = now();
  if (end.stolen <= 0) return std::nullopt;
  const double busy = end.busy - begin_.busy;
  return busy <= 0 ? 0 : std::max(end.stolen - begin_.stolen, 0.0) / busy;
}

}  // namespace cairn::bench

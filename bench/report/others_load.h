#pragma once
// How busy a machine is with what is not measured.

#include <optional>

namespace cairn::bench {

/// From its making on.
class OthersLoad {
 public:
  OthersLoad();
  /// The share (0 to 1) of all cores' time that neither idled nor was this process's; what a host
  /// takes from a virtual machine is in it. 0 where the kernel does not tell.
  [[nodiscard]] double share() const;
  /// The share (0 to 1) of the time in which cores had something to run that the host of a virtual
  /// machine gave to others. None where it has never told of any.
  [[nodiscard]] std::optional<double> stolen() const;

 private:
  struct Times {
    double all = 0;     ///< seconds of all cores
    double busy = 0;    ///< of these, not idle
    double own = 0;     ///< of these, this process's
    double stolen = 0;  ///< of the busy ones, the host's
  };
  [[nodiscard]] static Times now();

  Times begin_ = now();
};

}  // namespace cairn::bench

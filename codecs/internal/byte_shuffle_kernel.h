#pragma once
// One algorithm for every instruction set; included by a file compiled for it, which defines `Set`
// first: a register and two primitives on it. Everything here has internal linkage and nothing of
// the standard library is used, so that no function compiled for a newer processor can stand in for
// one of the same name elsewhere.
//
// An element of 2^k bytes is taken apart in k steps. A step parts the even bytes of two registers
// from the odd ones; what remains is the same problem twice, for elements half as long. The results
// stay in place: neighbours first, then registers 2 apart, 4 apart, ...; in the end register j is
// plane j. The way back is the same, backwards, so that each set needs `part` and `join` only.

#include <cairn/codecs/internal/byte_shuffle.h>

namespace cairn::blosc::internal {
namespace {

constexpr std::size_t kRegisterBytes = sizeof(Set::Register);

template <std::size_t Typesize>
std::size_t shuffle_registers(const std::byte* from, std::size_t elements,
                              std::byte* const* planes) {
  std::size_t done = 0;
  for (; elements - done >= kRegisterBytes; done += kRegisterBytes) {
    Set::Register parts[Typesize];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < Typesize; ++i) {
      parts[i] = Set::load(from + done * Typesize + i * kRegisterBytes);
    }
#pragma GCC unroll 4
    for (std::size_t apart = 1; apart < Typesize; apart *= 2) {
#pragma GCC unroll 16
      for (std::size_t i = 0; i < Typesize; ++i) {
        if ((i & apart) == 0) Set::part(parts[i], parts[i + apart]);
      }
    }
#pragma GCC unroll 16
    for (std::size_t i = 0; i < Typesize; ++i) Set::store(planes[i] + done, parts[i]);
  }
  return done;
}

template <std::size_t Typesize>
std::size_t unshuffle_registers(const std::byte* const* planes, std::size_t elements,
                                std::byte* to) {
  std::size_t done = 0;
  for (; elements - done >= kRegisterBytes; done += kRegisterBytes) {
    Set::Register parts[Typesize];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < Typesize; ++i) parts[i] = Set::load(planes[i] + done);
#pragma GCC unroll 4
    for (std::size_t apart = Typesize / 2; apart > 0; apart /= 2) {
#pragma GCC unroll 16
      for (std::size_t i = 0; i < Typesize; ++i) {
        if ((i & apart) == 0) Set::join(parts[i], parts[i + apart]);
      }
    }
#pragma GCC unroll 16
    for (std::size_t i = 0; i < Typesize; ++i) {
      Set::store(to + done * Typesize + i * kRegisterBytes, parts[i]);
    }
  }
  return done;
}

ShuffleKernels make_kernels() {
  return {{shuffle_registers<2>, shuffle_registers<4>, shuffle_registers<8>, shuffle_registers<16>},
          {unshuffle_registers<2>, unshuffle_registers<4>, unshuffle_registers<8>,
           unshuffle_registers<16>}};
}

}  // namespace
}  // namespace cairn::blosc::internal

#include "report/goals.h"

#include <algorithm>

namespace cairn::bench {
namespace {

using enum Judged;
using enum Good;

constexpr Goal kGoals[] = {
    {"save_raw", "save, uncompressed, to durable", "best fio write (io_uring, direct, end_fsync)",
     ratio, at_least, 0.97, 0.90},
    {"save_raw_threads", "the same on the thread backend", "best fio write (psync, direct)", ratio,
     at_least, 0.97, 0.90},
    {"save_bf16_auto", "save, bf16 weights, auto codec", "best fio write (io_uring)", ratio,
     at_least, 1.3, 1.15},
    {"save_returns", "save() returns, 100,000 leaves, p99", "", value, at_most, 1, 5},
    {"staged_copy", "staged(), copied, staging >= state, later saves",
     "one memcpy on the same threads", ratio, at_least, 0.85, 0.75},
    {"staged_half", "staged(), state = 2 x staging", "best fio write (io_uring)", ratio, at_least,
     0.95, 0.85},
    {"restart", "new process: every tensor usable, allocated, verified", "best fio read", ratio,
     at_least, 0.8, 0.6},
    {"restore_cold", "restore, cold, verified, into memory in use", "best fio read", ratio,
     at_least, 0.95, 0.85},
    {"restore_cold_bf16", "the same, bf16 compressed", "best fio read", ratio, at_least, 1.2, 1.0},
    {"restore_warm", "restore, warm, verified, into memory in use",
     "one memcpy on the same threads", ratio, at_least, 0.5, 0.35},
    {"crc32c", "crc32c of every byte", "the same save without", value, at_most, 3, 5},
    {"trainer_mean", "trainer's step during a save, mean", "no save", value, at_most, 3, 8},
    {"trainer_p99", "trainer's step during a save, p99", "no save", value, at_most, 10, 30},
    {"memory", "memory above idle + staging + window + 2 KiB a leaf", "the state", value, at_most,
     5, 10},
    {"save_cpu", "CPU seconds per GB, uncompressed", "", value, at_most, 0.12, 0.2},
    {"peer_torch_save", "2 GB to durable", "torch.save + fsync", ratio, at_least, 4, 3},
    {"peer_torch_dcp", "2 GB to durable", "torch DCP", ratio, at_least, 4, 3},
    {"peer_safetensors", "2 GB to durable", "safetensors + fsync", ratio, at_least, 4, 3},
    {"peer_orbax", "2 GB to durable", "Orbax", ratio, at_least, 4, 3},
    {"tiny_save", "100,000 tiny tensors to durable", "one plain durable write", ratio, at_most, 2,
     4},
    {"tiny_save_orbax", "100,000 tiny tensors to durable", "Orbax", ratio, at_least, 20, 10},
    {"tiny_restore_orbax", "100,000 tiny tensors back", "Orbax", ratio, at_least, 20, 10},
    {"leaf_cost", "cost per leaf", "", value, at_most, 5, 10},
    {"list_steps", "names of 10,000 steps, warm", "", value, at_most, 10, 50},
    {"one_leaf", "one leaf of 1,000,000, warm", "", value, at_most, 20, 100},
    {"engine_cpu", "CPU seconds per GB of the engine alone", "", value, at_most, 0.02, 0.04},
    {"codec_bf16_ratio", "bf16 normal weights: content / stored", "", value, at_least, 1.485, 1.48},
    {"codec_bf16_encode", "the same: encoding, one core", "", value, at_least, 2.0, 1.5},
    {"codec_bf16_decode", "the same: decoding, one core", "", value, at_least, 2.5, 2.0},
};

}  // namespace

std::span<const Goal> goals() {
  return kGoals;
}

const Goal* find_goal(std::string_view name) {
  const auto found = std::ranges::find(kGoals, name, &Goal::name);
  return found == std::end(kGoals) ? nullptr : &*found;
}

}  // namespace cairn::bench

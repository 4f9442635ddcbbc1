#pragma once
// What the processes of a job say to the hub, where they meet, and what it answers. How the bytes
// travel is the link's business: a socket, or a point-to-point message of MPI.

#include <cairn/manager/coordination.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cairn::internal {

/// Bytes that several messages may share; null is empty.
using Payload = std::shared_ptr<std::string>;

/// A message that is none of these, or breaks a limit.
class BadMessage : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What all participants of an operation must call alike.
struct CollectiveForm {
  impl::CollectiveKind kind = impl::CollectiveKind::barrier;
  ProcessIndex root = 0;
  Agreement agreement = Agreement::maximum;
  std::vector<ProcessIndex> processes;  ///< ascending, without repetition; empty = all
  friend bool operator==(const CollectiveForm&, const CollectiveForm&) = default;
};

// ---- to the hub ---------------------------------------------------------------------------------

/// The first message of a link: who is there.
struct Hello {
  std::uint32_t version = 0;
  ProcessIndex index = 0;
  ProcessIndex count = 0;
};
/// This process has come to an operation. `sequence` tells it from others of the same name.
struct Arrive {
  std::uint64_t sequence = 0;
  std::string name;
  CollectiveForm form;
  std::int64_t proposal = 0;
  Payload contribution;
};
/// It does not wait any more: unless the operation has completed, it fails for all. With sequence
/// 0: it has not even come.
struct Withdraw {
  std::uint64_t sequence = 0;
  std::string name;
  ErrorCode code = ErrorCode::internal;
  std::string text;  ///< goes on after "process 1 of 2 "
};
struct Fail {
  std::string scope;
  ErrorCode code = ErrorCode::internal;
  std::string text;
};
struct Announce {
  std::string name;
};
/// The process ends its coordinator.
struct Leave {};
using ToHub = std::variant<Arrive, Withdraw, Fail, Announce, Leave>;

// ---- from the hub -------------------------------------------------------------------------------

/// The operation has completed.
struct Done {
  std::uint64_t sequence = 0;
  std::int64_t agreed = 0;
  std::vector<Payload> parts;
};
struct Failed {
  std::uint64_t sequence = 0;
  ErrorCode code = ErrorCode::internal;
  std::string text;
};
struct Announced {
  std::string name;
};
/// The last message: the hub ends, or does not want this process.
struct Gone {
  ErrorCode code = ErrorCode::internal;
  std::string text;
};
using FromHub = std::variant<Done, Failed, Announced, Gone>;

// ---- bytes --------------------------------------------------------------------------------------

inline constexpr std::uint32_t kCoordinationVersion = 1;
inline constexpr std::size_t kTextBytesMax = 4096;
/// Of a frame, without the four bytes of its length: the payloads and what is around them.
inline constexpr std::size_t kHelloBytes = 8 + 3 * 4;
inline constexpr std::size_t kFrameOverheadMax = (1u << 20) + 8ul * Coordinator::kProcessesMax;
inline constexpr std::size_t kToHubBytesMax =
    Coordinator::kContributionBytesMax + kFrameOverheadMax;
inline constexpr std::size_t kFromHubBytesMax = Coordinator::kGatheredBytesMax + kFrameOverheadMax;
static_assert(kFromHubBytesMax <= UINT32_MAX && kToHubBytesMax <= kFromHubBytesMax);

/// A message as bytes: u32 length of the rest, the rest, of it the payloads last. Little-endian.
struct Frame {
  std::string head;  ///< all but the payloads
  std::vector<Payload> payloads;
};
[[nodiscard]] Frame frame_of(const Hello& message);
[[nodiscard]] Frame frame_of(const ToHub& message);
[[nodiscard]] Frame frame_of(const FromHub& message);
/// `body` is a frame without its length. Throw BadMessage.
[[nodiscard]] Hello decode_hello(std::string_view body);
[[nodiscard]] ToHub decode_to_hub(std::string_view body);
[[nodiscard]] FromHub decode_from_hub(std::string_view body);

/// Cuts what is too long for a message's text.
[[nodiscard]] std::string bounded_text(std::string text);

}  // namespace cairn::internal

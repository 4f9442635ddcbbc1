#pragma once
// What save() returns.

#include <cairn/export.h>
#include <cairn/manager/future.h>
#include <cairn/manager/step.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cairn {

/// What became of a save that did not fail.
enum class SaveOutcome : std::uint8_t {
  saved,
  skipped_by_policy,   ///< should_save(step) was false
  skipped_older_step,  ///< a step of this number or a later one is there already
  skipped_read_only,   ///< ManagerOptions::read_only
};
[[nodiscard]] CAIRN_EXPORT std::string_view to_string(SaveOutcome outcome) noexcept;

/// The arrays of an item that were encoded alike, and why.
struct CodecSummary {
  CodecSummary() = default;
  std::string codec;   ///< "raw", "blosc planes", "zstd(3)", ...
  std::string reason;  ///< "as asked", or why auto chose it
  std::uint64_t arrays = 0;
  std::uint64_t bytes = 0;         ///< of elements
  std::uint64_t stored_bytes = 0;  ///< of their chunks, linked ones included
  std::uint64_t chunks = 0;        ///< likewise
  /// Left as they were, because the disk was waiting or nothing was gained; linked ones not.
  std::uint64_t chunks_stored = 0;
  double expected_ratio = 1;  ///< bytes / stored_bytes by the samples; 1 where none was taken
};

/// What became of one item's arrays.
struct ItemSummary {
  ItemSummary() = default;
  std::string item;
  std::vector<CodecSummary> codecs;
  std::uint64_t chunks_linked = 0;  ///< shared with the step before
  std::uint64_t bytes_linked = 0;   ///< of these chunks
};

/// What a save did. True where something was saved.
struct SaveResult {
  SaveResult() = default;
  SaveOutcome outcome = SaveOutcome::saved;
  Step step = 0;
  std::uint64_t bytes = 0;         ///< of array elements, before any codec
  std::uint64_t stored_bytes = 0;  ///< written: of all files of the step but linked ones
  std::uint64_t bytes_linked = 0;  ///< of chunks that are shared with the step before
  std::vector<ItemSummary> items;  ///< trees, in the order of their names' saving
  std::int64_t stage_ns = 0;       ///< from save() until the arrays were the caller's again
  std::int64_t commit_ns = 0;      ///< from save() until the step was durable
  bool streamed =
      false;  ///< the state was larger than staging: staged() came at the speed of the disk
  std::string warning;  ///< empty, or what went wrong without losing the step
  explicit operator bool() const noexcept { return outcome == SaveOutcome::saved; }
};

/// Bytes of array elements at each point; each grows to `total`, `written` by whole chunks. There
/// is no callback: ask again.
struct SaveProgress {
  std::uint64_t total = 0;  ///< 0 until the save has been planned
  std::uint64_t staged = 0;
  std::uint64_t encoded = 0;  ///< checksummed, and encoded where a codec is used
  std::uint64_t written = 0;  ///< handed to the kernel; durable with committed()
};

namespace impl {
/// Several may wait for one save.
template <>
struct DeliverByCopy<SaveResult> : std::true_type {};
}  // namespace impl

namespace internal {
class SaveState;
}

/// A save under way. A cheap handle; copies stand for the same save. Thread-safe. Dropping it
/// neither cancels nor blocks the save; an error that nobody saw here is reported by
/// wait_until_finished(), check_for_errors() or close().
class CAIRN_EXPORT SaveFuture {
 public:
  /// Completes with void(std::exception_ptr) when the arrays given to save() may be overwritten and
  /// freed: they are captured, the save was skipped, or it failed (then with its error). It may
  /// wait for earlier saves, and for other writers: see ManagerOptions::max_pending and
  /// lock_timeout. After a missed deadline that may be later than committed(), which fails at once:
  /// copies under way are finished first, a Source has to answer, and the kernel has to let go of
  /// borrowed arrays.
  template <class Token = boost::asio::use_awaitable_t<>>
  auto staged(Token&& token = Token()) const {
    return Future<void>(staged_).result(std::forward<Token>(token));
  }
  /// Completes with void(std::exception_ptr, SaveResult) when the step is durable, skipped or
  /// failed.
  template <class Token = boost::asio::use_awaitable_t<>>
  auto committed(Token&& token = Token()) const {
    return Future<SaveResult>(committed_).result(std::forward<Token>(token));
  }
  /// Blocks until staged().
  void wait_staged() const { Future<void>(staged_).get(); }
  /// Blocks until committed(); throws Error when the save failed.
  [[nodiscard]] SaveResult get() const { return Future<SaveResult>(committed_).get(); }
  /// True when committed() would not wait.
  [[nodiscard]] bool ready() const { return committed_->ready(); }

  /// How far it is, at this moment.
  [[nodiscard]] SaveProgress progress() const;
  /// Asks the save to stop: it removes what it wrote and fails with ErrorCode::cancelled. Once the
  /// commit's rename has been issued this does nothing, and the future says what really happened.
  /// Throws closed in a child forked since, as waiting there does.
  void cancel() const;

  /// Used by the manager.
  SaveFuture(std::shared_ptr<internal::SaveState> state,
             std::shared_ptr<impl::SharedState<void>> staged,
             std::shared_ptr<impl::SharedState<SaveResult>> committed) noexcept;

 private:
  std::shared_ptr<internal::SaveState> state_;
  std::shared_ptr<impl::SharedState<void>> staged_;
  std::shared_ptr<impl::SharedState<SaveResult>> committed_;
};

}  // namespace cairn

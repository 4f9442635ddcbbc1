#pragma once
// What the directories of steps are called. Pure text: nothing here looks at a disk.

#include <cairn/export.h>
#include <cairn/manager/step.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn {

/// The longest name of a step, in bytes. File systems allow 255; the rest is for what saves under
/// way and steps being deleted append.
inline constexpr std::size_t kStepNameBytesMax = 200;

/// A rule that gives a step its directory's name and knows it again (Orbax: NameFormat). A format
/// of one's own overrides format_step() and parse_step(); what callers see are the members
/// above them, which hold whatever those return: a name is one entry of the root, is never that of
/// a temporary directory, and reads back as its step. Immutable, for any thread.
class CAIRN_EXPORT StepNameFormat {
 public:
  virtual ~StepNameFormat() = default;

  /// The name under which a step is saved. Throws Error(invalid_argument): step < 0, or a format
  /// that breaks the rules above.
  [[nodiscard]] std::string name(Step step) const;
  /// The step that a name is of; none where it is another's. Temporary directories are no steps.
  [[nodiscard]] std::optional<Step> parse(std::string_view name) const;
  /// The step that a temporary directory was to become or had been: by what stands before
  /// ".orbax-checkpoint-tmp".
  [[nodiscard]] std::optional<Step> parse_temporary(std::string_view name) const;
  /// All names under which a step may lie, in the order in which to look for them, each once.
  /// Throws as name() does.
  [[nodiscard]] std::vector<std::string> candidates(Step step) const;

 protected:
  StepNameFormat() = default;
  StepNameFormat(const StepNameFormat&) = default;
  StepNameFormat& operator=(const StepNameFormat&) = default;

 private:
  /// May throw Error for a step that has no name in this format.
  [[nodiscard]] virtual std::string format_step(Step step) const = 0;
  [[nodiscard]] virtual std::optional<Step> parse_step(std::string_view name) const = 0;
  /// For formats that read more names than they write; by default the one of format_step().
  [[nodiscard]] virtual std::vector<std::string> format_candidates(Step step) const;
};
/// As options and other formats hold it.
using StepNameFormatPtr = std::shared_ptr<const StepNameFormat>;

/// `prefix`_number, or the number alone, zero-padded to `fixed_length` digits. Read back are the
/// exact prefix and then, without a length, a number without leading zeros; with one, exactly so
/// many digits if the first is 0, so many or more if not. (Orbax: standard_name_format.)
/// Throws Error(invalid_argument): a prefix that is empty, begins with '.', or holds '/', control
/// characters or ".orbax-checkpoint-tmp"; fixed_length < 1; names above kStepNameBytesMax.
[[nodiscard]] CAIRN_EXPORT StepNameFormatPtr
standard_name_format(std::optional<std::string> prefix = std::nullopt,
                     std::optional<int> fixed_length = std::nullopt);

/// Writes names as `write` does and reads those of any of `read`, the first that takes one; those
/// of `write` are read as well, first unless it is among `read`. A format that has no name for a
/// step adds no candidate. (Orbax: composite_name_format, which refuses a `write` that is not among
/// `read`.) Throws Error(invalid_argument) on null.
[[nodiscard]] CAIRN_EXPORT StepNameFormatPtr
composite_name_format(StepNameFormatPtr write, std::vector<StepNameFormatPtr> read);

/// For whoever looks at a root and does not know the options of its manager: reads names of every
/// standard format, as step_from_checkpoint_name() does, and writes the number alone.
[[nodiscard]] CAIRN_EXPORT StepNameFormatPtr any_standard_name_format();

/// The step in a name of any standard format: digits, with or without zeros before them, alone or
/// after a prefix and '_'; of a temporary directory that of the name it is for (Orbax:
/// step_from_checkpoint_name, which in temporary names lets anything stand before the digits).
/// Throws Error(invalid_argument) on anything else.
[[nodiscard]] CAIRN_EXPORT Step step_from_checkpoint_name(std::string_view name);

}  // namespace cairn

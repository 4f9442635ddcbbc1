// Very many small arrays against one plain write of as many bytes.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "report/context.h"
#include "report/saving.h"

namespace cairn::bench {
namespace {

void check(bool ok, const char* what) {
  if (!ok) throw std::system_error(errno, std::generic_category(), what);
}

/// Writes the bytes to a new file as a careful program does, until they are durable; in seconds.
double write_plainly(const WorkDirectory& work, const std::string& name,
                     const std::vector<std::byte>& bytes) {
  const Stopwatch watch;
  const int file = ::open((work / name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  check(file >= 0, "open");
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(file, bytes.data() + done, bytes.size() - done);
    check(count > 0, "write");
    done += static_cast<std::size_t>(count);
  }
  check(::fdatasync(file) == 0, "fdatasync");
  ::close(file);
  const int folder = ::open(work.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(folder >= 0 && ::fsync(folder) == 0, "fsync");
  ::close(folder);
  return watch.seconds();
}

}  // namespace

void measure_tiny(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "tiny");
  const Workload state = make_workload("tiny", 0, context.settings.seed);
  std::vector<std::byte> bytes;
  for (const NamedArray& named : state.arrays) {
    const auto part = named.array.bytes();
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  Saver saver(work / "root", make_engine({}), Codec::raw(), state);
  saver.warm_up();
  const auto figures =
      take_turns(context.settings.rounds,
                 {[&](int round) {
                    return 1e3 * write_plainly(work, "plain." + std::to_string(round), bytes);
                  },
                  [&](int) { return 1e3 * saver.save().durable_s; }});
  report.add(compared("tiny_save", "ms", figures[1], figures[0],
                      std::to_string(bytes.size() / 1000'000) + " MB in " +
                          std::to_string(state.arrays.size()) + " leaves; ratio of times"));
}

}  // namespace cairn::bench

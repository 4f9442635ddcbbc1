#include "safetensors_file.h"

#include <cairn/codecs/format_error.h>
#include <cairn/engine/file.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cassert>
#include <cerrno>

#include "common.h"

namespace cairn::cli {
namespace {

constexpr std::size_t kLengthBytes = 8;

/// Shared by the sources of all tensors.
struct InputFile {
  InputFile(std::shared_ptr<engine::Engine> e, engine::File f, std::string p)
      : engine(std::move(e)), file(std::move(f)), path(std::move(p)) {}
  std::shared_ptr<engine::Engine> engine;
  engine::File file;
  std::string path;
};
using InputPtr = std::shared_ptr<InputFile>;

/// Where a range of a dense array lies: equally long runs of bytes.
struct Runs {
  Runs(const IndexRange& range, const Shape& shape, DType dtype) : range_(range) {
    std::vector<Index> strides = c_strides(dtype, shape);
    run_bytes_ = size_of(dtype);
    outer_ = shape.size();
    // The innermost axes up to the first one that is cut make one run.
    while (outer_ > 0) {
      --outer_;
      run_bytes_ *= static_cast<std::uint64_t>(range.shape[outer_]);
      if (range.shape[outer_] != shape[outer_]) break;
    }
    strides_ = std::move(strides);
    index_.assign(outer_, 0);
  }
  [[nodiscard]] std::uint64_t run_bytes() const noexcept { return run_bytes_; }
  /// Bytes from the array's start to the current run.
  [[nodiscard]] std::uint64_t offset() const {
    Index bytes = 0;
    for (std::size_t d = 0; d < strides_.size(); ++d) {
      bytes += (range_.origin[d] + (d < outer_ ? index_[d] : 0)) * strides_[d];
    }
    return static_cast<std::uint64_t>(bytes);
  }
  /// On to the next run, in C order.
  void advance() {
    for (std::size_t d = outer_; d-- > 0;) {
      if (++index_[d] < range_.shape[d]) return;
      index_[d] = 0;
    }
  }

 private:
  IndexRange range_;
  std::vector<Index> strides_;
  Shape index_;
  std::size_t outer_ = 0;
  std::uint64_t run_bytes_ = 0;
};

namespace asio = boost::asio;

asio::awaitable<void> read_runs(InputPtr input, std::uint64_t begin, Runs runs,
                                std::span<std::byte> to) {
  constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
  while (!to.empty()) {
    const std::uint64_t offset = begin + runs.offset();
    const std::span<std::byte> run = to.first(runs.run_bytes());
    const auto [error, count] = co_await input->file.async_read_at(offset, run, kAsTuple);
    if (error) throw io_failure(error, "read", input->path);
    if (count < run.size()) {
      throw make_error(ErrorCode::io_error,
                       fmt::format("the file ended at byte {}: it was shortened while it was read",
                                   offset + count),
                       input->path);
    }
    to = to.subspan(run.size());
    runs.advance();
  }
}

class TensorSource final : public Source {
 public:
  TensorSource(InputPtr input, std::uint64_t begin, DType dtype, Shape shape)
      : input_(std::move(input)), begin_(begin), dtype_(dtype), shape_(std::move(shape)) {}

  void read(const IndexRange& range, std::span<std::byte> to,
            std::function<void(std::exception_ptr)> done) override {
    assert(to.size() == byte_count(dtype_, range.shape));
    asio::co_spawn(input_->engine->executor(),
                   read_runs(input_, begin_, Runs(range, shape_, dtype_), to), std::move(done));
  }

 private:
  InputPtr input_;
  std::uint64_t begin_;  ///< bytes from the start of the file
  DType dtype_;
  Shape shape_;
};

/// Exactly `size` bytes of the start of the file, behind `offset`.
std::string read_start(int fd, std::uint64_t offset, std::size_t size, const std::string& path) {
  std::string bytes(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const ssize_t count =
        ::pread(fd, bytes.data() + have, size - have, static_cast<off_t>(offset + have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw system_error(errno, "read", path);
    if (count == 0) {
      throw make_error(ErrorCode::io_error, "the file was shortened while it was read", path);
    }
    have += static_cast<std::size_t>(count);
  }
  return bytes;
}

std::uint64_t regular_file_size(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw system_error(errno, "look at", path);
  if (!S_ISREG(status.st_mode)) {
    throw make_error(ErrorCode::invalid_argument, "not a regular file", path);
  }
  return static_cast<std::uint64_t>(status.st_size);
}

safetensors::Header read_header(int fd, const std::string& path) {
  const std::uint64_t size = regular_file_size(fd, path);
  try {
    if (size < kLengthBytes) {
      throw FormatError("safetensors file", "size", fmt::format("{} bytes", size), "8 or more");
    }
    const std::uint64_t length =
        safetensors::decode_header_length(read_start(fd, 0, kLengthBytes, path), size);
    return safetensors::decode_header(read_start(fd, kLengthBytes, length, path), size);
  } catch (const FormatError& error) {
    throw make_error(ErrorCode::invalid_argument, error.what(), path);
  }
}

}  // namespace

SafetensorsFile open_safetensors(const std::shared_ptr<engine::Engine>& engine,
                                 const std::string& path) {
  // Without O_NONBLOCK, opening a FIFO would wait for its writer.
  engine::Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) throw system_error(errno, "open", path);
  SafetensorsFile result;
  result.header = read_header(fd.get(), path);
  auto input =
      std::make_shared<InputFile>(engine, engine::File(engine, std::move(fd), false, 1), path);
  Dict dict;
  for (const safetensors::TensorInfo& tensor : result.header.tensors) {
    result.element_bytes += tensor.end - tensor.begin;
    auto source = std::make_shared<TensorSource>(input, result.header.data_offset + tensor.begin,
                                                 tensor.dtype, tensor.shape);
    dict[tensor.name] = Tree(Leaf(tensor.dtype, tensor.shape, std::move(source)));
  }
  result.tree = Tree(std::move(dict));
  return result;
}

}  // namespace cairn::cli

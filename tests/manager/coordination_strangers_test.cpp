// Who connects to a local job's socket without belonging to it, or without keeping to the rules.

#include <cairn/manager/internal/coordination_message.h>
#include <cairn/manager/internal/local_hub.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "support/coordination.h"

namespace cairn {
namespace {

using namespace internal;
using test::barrier;
using test::failure_of;
using test::run_forked;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// A socket without a coordinator: what it sends is up to the test.
class Stranger {
 public:
  explicit Stranger(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const ::sockaddr*>(&address), sizeof(address)),
              0);
  }
  ~Stranger() { ::close(socket_); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  void send(std::string_view bytes) {
    EXPECT_EQ(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void send(const Frame& frame) {
    send(frame.head);
    for (const Payload& payload : frame.payloads) send(*payload);
  }
  void hello(ProcessIndex index, ProcessIndex count, std::uint32_t version = kCoordinationVersion) {
    Hello message;
    message.version = version;
    message.index = index;
    message.count = count;
    send(frame_of(message));
  }
  /// All that comes until the other side closes.
  std::string read_all() {
    std::string all;
    std::array<char, 4096> piece{};
    for (;;) {
      const ssize_t got = ::recv(socket_, piece.data(), piece.size(), 0);
      if (got <= 0) return all;
      all.append(piece.data(), static_cast<std::size_t>(got));
    }
  }
  /// The text of the one message that comes before the other side closes.
  std::string refusal() {
    const std::string all = read_all();
    if (all.size() < 4) return "nothing";
    return std::get<Gone>(decode_from_hub(std::string_view(all).substr(4))).text;
  }

 private:
  int socket_;
};

/// One process, 0 of two, in which the test is the other.
void with_process_0(const std::function<void(Coordinator&, const std::string& path)>& body) {
  test::TempDirectory directory;
  const std::string path = directory / "socket";
  const auto ends = run_forked(1, [&](unsigned) {
    LocalCoordination options;
    options.count = 2;
    options.path = path;
    const auto c = local_coordinator(options);
    body(*c, path);
  });
  EXPECT_EQ(ends, std::vector<int>(1));
}

std::shared_ptr<Coordinator> process_1(const std::string& path, ProcessIndex count = 2) {
  LocalCoordination options;
  options.index = 1;
  options.count = count;
  options.path = path;
  return local_coordinator(options);
}

void expect_meeting(Coordinator& zero, const std::string& path) {
  const auto one = process_1(path);
  auto meeting = barrier(*one, "b");
  barrier(zero, "b").get();
  meeting.get();
}

TEST(CoordinationStrangers, WhoSaysHelloWronglyIsRefusedAndTheJobGoesOn) {
  with_process_0([](Coordinator& c, const std::string& path) {
    Stranger http(path);
    http.send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_EQ(http.read_all(), "");
    Stranger garbage(path);
    garbage.send(std::string_view("\x14\0\0\0not our magic number", 24));
    EXPECT_THAT(garbage.refusal(), HasSubstr("not the first bytes of Cairn's coordination"));
    Stranger quiet(path);
    Stranger other_release(path);
    other_release.hello(1, 2, 99);
    EXPECT_THAT(other_release.refusal(), AllOf(HasSubstr("version 99"), HasSubstr("one release")));
    for (const auto& [index, count] : {std::pair{1u, 3u}, std::pair{2u, 2u}, std::pair{0u, 2u}}) {
      Stranger misplaced(path);
      misplaced.hello(index, count);
      EXPECT_THAT(misplaced.refusal(), HasSubstr("process 0 is one of 2"));
    }
    expect_meeting(c, path);
  });
}

TEST(CoordinationStrangers, AProcessOfAnotherJobLearnsWhyItIsRefused) {
  with_process_0([](Coordinator& c, const std::string& path) {
    {
      const auto misplaced = process_1(path, 3);
      const auto failure = failure_of(barrier(*misplaced, "b"));
      EXPECT_EQ(failure.code, ErrorCode::invalid_argument);
      EXPECT_THAT(failure.text, HasSubstr("this is not process 1 of 3: process 0 is one of 2"));
    }
    expect_meeting(c, path);
    const auto again = process_1(path);
    const auto failure = failure_of(barrier(*again, "b"));
    EXPECT_EQ(failure.code, ErrorCode::already_exists);
    EXPECT_THAT(failure.text, HasSubstr("process 1 of 2 has connected already"));
  });
}

TEST(CoordinationStrangers, SilentConnectionsDoNotKeepTheJobOut) {
  with_process_0([](Coordinator& c, const std::string& path) {
    std::vector<std::unique_ptr<Stranger>> silent;
    for (std::size_t i = 0; i <= kStrangersMax; ++i) {
      silent.push_back(std::make_unique<Stranger>(path));
    }
    // One too many: the oldest had to go.
    EXPECT_EQ(silent.front()->read_all(), "");
    expect_meeting(c, path);
  });
}

TEST(CoordinationStrangers, AProcessThatSendsNonsenseIsCutOffByName) {
  const std::string_view kNoSuchType("\x01\0\0\0\x7f", 5);
  const std::string_view kTooLong("\xff\xff\xff\xff", 4);
  Arrive not_for_it;
  not_for_it.sequence = 1;
  not_for_it.name = "b";
  not_for_it.form.processes = {0};
  Arrive unordered = not_for_it;
  unordered.form.processes = {1, 0};
  const std::pair<std::string, std::string> cases[] = {
      {std::string(kNoSuchType), "type is 127"},
      {std::string(kTooLong), "a message of 4294967295 bytes"},
      {frame_of(ToHub(not_for_it)).head, "'b' is not for this process"},
      {frame_of(ToHub(unordered)).head, "impossible participants"},
      {frame_of(ToHub(Arrive())).head, "a name is empty"}};
  for (const auto& [bytes, text] : cases) {
    with_process_0([&bytes = bytes, &text = text](Coordinator& c, const std::string& path) {
      Stranger one(path);
      one.hello(1, 2);
      auto meeting = barrier(c, "b");
      one.send(bytes);
      const auto failure = failure_of(std::move(meeting));
      EXPECT_EQ(failure.code, ErrorCode::io_error);
      EXPECT_THAT(failure.text, AllOf(HasSubstr("process 1 of 2 is cut off"), HasSubstr(text)));
      one.read_all();
    });
  }
}

TEST(CoordinationStrangers, AProcessThatDoesNotReadDoesNotHoldUpTheEnd) {
  test::TempDirectory directory;
  const std::string path = directory / "socket";
  const auto ends = run_forked(1, [&](unsigned) {
    LocalCoordination options;
    options.count = 2;
    options.path = path;
    options.linger = std::chrono::milliseconds(0);
    auto c = local_coordinator(options);
    Stranger deaf(path);
    deaf.hello(1, 2);
    Arrive arrive;
    arrive.sequence = 1;
    arrive.name = "b";
    arrive.form.kind = impl::CollectiveKind::broadcast;
    deaf.send(frame_of(ToHub(arrive)));
    // More than a socket holds.
    test::broadcast(*c, "b", std::string(32u << 20, 'x'), 0).get();
    c.reset();
  });
  EXPECT_EQ(ends, std::vector<int>(1));
}

TEST(CoordinationStrangers, TheSocketFileIsPrivateReplacedWhenLeftAndRemovedAtTheEnd) {
  test::TempDirectory directory;
  const std::string path = directory / "socket";
  std::ofstream(path) << "left by somebody";
  const auto ends = run_forked(1, [&](unsigned) {
    LocalCoordination options;
    options.count = 2;
    options.path = path;
    auto c = local_coordinator(options);
    struct ::stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_TRUE(S_ISSOCK(status.st_mode));
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    try {
      static_cast<void>(local_coordinator(options));
      ADD_FAILURE() << "two process 0";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::busy);
      EXPECT_THAT(error.what(), AllOf(HasSubstr(path), HasSubstr("another process listens")));
    }
    expect_meeting(*c, path);
    c.reset();
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  });
  EXPECT_EQ(ends, std::vector<int>(1));
}

ErrorCode code_of_making(const LocalCoordination& options) {
  try {
    static_cast<void>(local_coordinator(options));
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "it was made";
  return ErrorCode::internal;
}

TEST(CoordinationStrangers, PlacesThatCannotBeAreRefused) {
  LocalCoordination options;
  options.count = 0;
  EXPECT_EQ(code_of_making(options), ErrorCode::invalid_argument);
  options.count = 2;
  EXPECT_EQ(code_of_making(options), ErrorCode::invalid_argument) << "no path";
  options.path = std::string(92, 'p');
  EXPECT_EQ(code_of_making(options), ErrorCode::invalid_argument);
  options.path = "/nonexistent/socket";
  EXPECT_EQ(code_of_making(options), ErrorCode::not_found);
  options.index = 2;
  EXPECT_EQ(code_of_making(options), ErrorCode::invalid_argument);
  EXPECT_THROW(LocalGroup(0), Error);
  LocalGroup group(2);
  EXPECT_THROW(static_cast<void>(group.join(2)), Error);
}

}  // namespace
}  // namespace cairn

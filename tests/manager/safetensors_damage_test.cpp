// Files that are not what they should be: one error that names the file and what is wrong with it.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "manager/safetensors_samples.h"

namespace cairn::test {
namespace {

using ::testing::HasSubstr;

class DamagedSafetensors : public SafetensorsTest {
 protected:
  /// Whole or lazily, it is the same error.
  void refuses(const std::string& name, ErrorCode code, const std::string& why,
               const SafetensorsReadOptions& options = {}) {
    for (const bool lazily : {false, true}) {
      try {
        static_cast<void>(lazily ? open_safetensors(engine_, at(name), options).get()
                                 : read_safetensors(engine_, at(name), options).get());
        ADD_FAILURE() << "no error: " << why;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), code) << error.what();
        EXPECT_THAT(error.what(), HasSubstr(why));
        EXPECT_THAT(error.what(), HasSubstr(root()));
      }
    }
  }
  void refuses_bytes(const std::string& bytes, const std::string& why,
                     ErrorCode code = ErrorCode::data_loss) {
    put("bad", bytes);
    refuses("bad", code, why);
  }
  static std::string one(const std::string& name) {
    return safetensors_bytes({{name, Array(DType::int8, {1})}});
  }
  std::shared_ptr<engine::Engine> engine_ = new_engine();
};
CAIRN_ON_EVERY_BACKEND(DamagedSafetensors);

TEST_P(DamagedSafetensors, NamesFileOffsetFieldFoundAndAllowed) {
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  refuses_bytes("", "bad at byte 0: safetensors file: size: found 0 bytes; allowed: 8 or more");
  refuses_bytes("1234", "found 4 bytes");
  refuses_bytes(std::string(8, '\xff'),
                "bad at byte 0: safetensors file: header length: found "
                "18446744073709551615; allowed: at most 100000000");
  refuses_bytes(std::string("\0\0\0\0\0\0\0\x80", 8), "found 9223372036854775808");
  refuses_bytes(raw_safetensors(good, 7),
                "bad at byte 55: safetensors header: tensor \"a\": data_offsets");
  refuses_bytes(raw_safetensors(good, 9), "data section: found 9 bytes; allowed: 8");
  refuses_bytes(raw_safetensors("{]", 0), "bad at byte 9: safetensors header: JSON: found");
  refuses_bytes(raw_safetensors("{\"\xff\":1}", 0), "JSON in UTF-8");
  refuses_bytes(raw_safetensors("", 0), "found no bytes; allowed: '{' first");
  for (const std::string type : {"F6_E2M3", "F6_E3M2"}) {
    refuses_bytes(
        raw_safetensors(R"({"a":{"dtype":")" + type + R"(","shape":[8],"data_offsets":[0,6]}})", 6),
        "found " + type + ", whose six bits Cairn has no type for", ErrorCode::not_supported);
  }
  refuses_bytes(raw_safetensors(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2),
                "tensor \"a\": shape: found [3]; allowed: an even number of elements");
  refuses_bytes(raw_safetensors(R"({"a":{"dtype":"F4","shape":[8],"data_offsets":[0,8]}})", 8),
                "found [0, 8]; allowed: 4 bytes, by dtype and shape");
  refuses_bytes(raw_safetensors(R"({"a":{"dtype":"F128","shape":[1],"data_offsets":[0,16]}})", 16),
                "found \"F128\"; allowed: BOOL, ", ErrorCode::not_supported);
}

TEST_P(DamagedSafetensors, EveryTruncationIsRefused) {
  const std::string good = safetensors_bytes(
      {{"w", Array(DType::float16, {2, 2})}, {"s", Array(DType::boolean, {})}}, 1, {{"k", "v"}});
  for (std::size_t size = 0; size < good.size(); ++size) {
    refuses_bytes(good.substr(0, size), "bad at byte ");
  }
}

TEST_P(DamagedSafetensors, ALargeClaimInASmallFileTakesNoMemory) {
  put("bad", std::string("\x01\xe1\xf5\x05\0\0\0\0", 8));  // 100,000,001
  std::filesystem::resize_file(at("bad"), 200'000'000);    // sparse
  refuses("bad", ErrorCode::data_loss, "found 100000001; allowed: at most 100000000");
  refuses_bytes(std::string("\x00\xe1\xf5\x05\0\0\0\0{}", 10), "at most 2, where the file ends");
  refuses_bytes(raw_safetensors(R"({"a":{"dtype":"U8","shape":[9223372036854775807],)"
                                R"("data_offsets":[0,9223372036854775807]}})",
                                8),
                "where the file ends");
  refuses_bytes(raw_safetensors(R"({"a":{"dtype":"F4","shape":[9223372036854775806],)"
                                R"("data_offsets":[0,4611686018427387903]}})",
                                8),
                "where the file ends");
}

TEST_P(DamagedSafetensors, RefusesWhatIsNoFileWithoutWaiting) {
  refuses("missing", ErrorCode::not_found, "No such file or directory");
  ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
  refuses("fifo", ErrorCode::invalid_argument, "fifo: not a regular file");
  put("plain", one("a"));
  refuses("plain/a", ErrorCode::invalid_argument, "Not a directory");
  std::filesystem::create_directory(at("none"));
  refuses("none", ErrorCode::invalid_argument, "no safetensors file and no index");
  std::filesystem::create_directory(at("none/model.safetensors"));
  refuses("none", ErrorCode::invalid_argument, "none/model.safetensors: not a regular file");
  std::filesystem::create_directory(at("many"));
  put("many/b.safetensors", one("b"));
  put("many/a.safetensors", one("a"));
  refuses("many", ErrorCode::invalid_argument, "several: a.safetensors, b.safetensors");
  std::filesystem::create_directory(at("rest"));
  put("rest/m-00001-of-00002.safetensors", one("a"));
  refuses("rest", ErrorCode::invalid_argument, "no index for shards such as m-00001-of-00002");
}

TEST_P(DamagedSafetensors, RefusesIndexesThatContradictTheirFiles) {
  put("1.safetensors", one("a"));
  put("2.safetensors", one("b"));
  const auto refuses_index = [&](const std::string& json, const std::string& why,
                                 ErrorCode code = ErrorCode::data_loss) {
    put("x.safetensors.index.json", json);
    refuses("x.safetensors.index.json", code, why);
    refuses("", code, why);
  };
  refuses_index(R"({"weight_map":{"a":"3.safetensors"}})", "3.safetensors: No such file",
                ErrorCode::not_found);
  refuses_index(R"({"weight_map":{"a":"1.safetensors","z":"2.safetensors"}})",
                "weight_map puts tensor \"z\" into " + at("") + "2.safetensors");
  refuses_index(R"({"weight_map":{"a":"1.safetensors","a":"2.safetensors"}})", "the tensor twice");
  refuses_index(R"({"weight_map":{"a":"../1.safetensors"}})", "found \"../1.safetensors\"");
  refuses_index(R"({"weight_map":{"a":"/1.safetensors"}})", "found \"/1.safetensors\"");
  refuses_index(R"({"weight_map":{}})", "the index names no tensors");
  refuses_index("{", "x.safetensors.index.json at byte ");
  refuses_index("", "x.safetensors.index.json at byte 0");
  put("2.safetensors",
      safetensors_bytes({{"a", Array(DType::int8, {1})}, {"b", Array(DType::int8, {1})}}));
  refuses_index(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})",
                "2.safetensors: tensor \"a\" is in " + at("") + "1.safetensors as well");
  put("2.safetensors", one("b").substr(0, 20));
  refuses_index(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})",
                "2.safetensors at byte 0: safetensors file: header length");
}

TEST_P(DamagedSafetensors, RefusesSelectionsOfWhatIsNotThere) {
  put("a", safetensors_bytes({{"w", Array(DType::int8, {2, 3})}, {"v", Array(DType::int8, {})}}));
  const auto refuses_selection = [&](SafetensorsSelection selection, const std::string& why,
                                     ErrorCode code = ErrorCode::invalid_argument) {
    SafetensorsReadOptions options;
    options.tensors = {std::move(selection)};
    refuses("a", code, why, options);
  };
  refuses_selection("x", "there is no tensor \"x\"; tensors: w, v", ErrorCode::not_found);
  constexpr Index kMost = std::numeric_limits<Index>::max();
  for (const IndexRange& range :
       {IndexRange{{0}, {2}}, IndexRange{{0, 0}, {2, 4}}, IndexRange{{-1, 0}, {1, 1}},
        IndexRange{{2, 0}, {1, 1}}, IndexRange{{0, 0}, {-1, 1}}, IndexRange{{kMost, 0}, {kMost, 1}},
        IndexRange{{1, 0}, {kMost, 1}}}) {
    refuses_selection({"w", range}, "does not lie within shape [2, 3]");
  }
  SafetensorsReadOptions twice;
  twice.tensors = {"w", "v", "w"};
  refuses("a", ErrorCode::invalid_argument, "key path w: ", twice);
}

TEST_P(DamagedSafetensors, AFailedReadNamesTheFile) {
  put("a", safetensors_bytes({{"w", Array(DType::uint8, {9 << 20})}}));
  auto faults = std::make_shared<engine::FaultPlan>();
  EngineSettings settings;
  settings.faults = faults;
  const auto engine = new_engine(settings);
  const auto data = [](const engine::IoRequest& request) {
    return request.op == engine::IoOp::read && request.offset >= 4 << 20;
  };
  faults->fail(data, 1, EIO);
  try {
    static_cast<void>(read_safetensors(engine, at("a")).get());
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io_error);
    EXPECT_EQ(error.context().path, at("a"));
  }
}

TEST_P(DamagedSafetensors, AFileThatBecameShorterIsDataLoss) {
  put("a", safetensors_bytes({{"w", Array(DType::uint8, {3 << 20})}}));
  SafetensorsContent content = open_safetensors(engine_, at("a")).get();
  std::filesystem::resize_file(at("a"), 1 << 20);
  ManagerOptions options;
  options.engine = engine_;
  CheckpointManager manager(at("steps"), std::move(options));
  try {
    static_cast<void>(manager.save(0, std::move(content.tree)).get());
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::data_loss);
    EXPECT_THAT(error.what(), HasSubstr("shortened while it was read"));
  }
}

}  // namespace
}  // namespace cairn::test

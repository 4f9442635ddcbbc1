#include "trainer/corpus.h"

#include "temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <stdexcept>

namespace trainer {
namespace {
namespace fs = std::filesystem;

std::string text_of(const Corpus& corpus) {
  std::string text;
  for (const std::uint8_t symbol : corpus.symbols) text.push_back(corpus.vocabulary[symbol]);
  return text;
}

std::string message_of(const fs::path& folder, std::size_t min_bytes) {
  try {
    (void)load_corpus(folder, min_bytes);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Corpus, TakesFilesInOrderOfTheirNames) {
  const TemporaryFolder folder;
  folder.write("b", "second");
  folder.write("a", "first ");
  fs::create_directory(folder.path() / "c");
  const Corpus corpus = load_corpus(folder.path(), 1);
  EXPECT_EQ(text_of(corpus), "first second");
  EXPECT_EQ(corpus.file_count, 2u);
}

TEST(Corpus, CountsALinkedFileOnce) {
  const TemporaryFolder folder;
  folder.write("GPL-3", "text");
  fs::create_symlink("GPL-3", folder.path() / "GPL");
  fs::create_symlink("nowhere", folder.path() / "dangling");
  EXPECT_EQ(text_of(load_corpus(folder.path(), 1)), "text");
}

TEST(Corpus, VocabularyIsTheSortedBytesPresent) {
  const Corpus corpus = make_corpus("banana\xff");
  EXPECT_EQ(corpus.vocabulary, "abn\xff");
  EXPECT_EQ(text_of(corpus), "banana\xff");
}

TEST(Corpus, ChecksumTellsTextsApart) {
  EXPECT_NE(make_corpus("abc").checksum, make_corpus("abd").checksum);
}

TEST(Corpus, MissingFolderIsNamed) {
  EXPECT_THAT(message_of("/nonexistent/texts", 1), testing::HasSubstr("/nonexistent/texts"));
}

TEST(Corpus, TooLittleTextNamesFolderAndSizes) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of(folder.path(), 34),
              testing::AllOf(testing::HasSubstr(folder.path().string()),
                             testing::HasSubstr("0 bytes"), testing::HasSubstr("34 bytes")));
}

TEST(DataCursor, VisitsEveryPositionOnceInEachEpoch) {
  for (const std::uint64_t count : {1u, 2u, 30u, 97u}) {
    Rng rng(count);
    DataCursor cursor;
    for (std::uint64_t epoch = 1; epoch <= 3; ++epoch) {
      std::set<std::uint64_t> seen;
      for (std::uint64_t i = 0; i < count; ++i) seen.insert(cursor.next(count, rng));
      EXPECT_EQ(seen.size(), count) << "epoch " << epoch;
      EXPECT_EQ(*seen.rbegin(), count - 1);
      EXPECT_EQ(cursor.epoch, epoch);
    }
  }
}

TEST(DataCursor, EpochsDifferInOrder) {
  Rng rng(1);
  DataCursor cursor;
  std::vector<std::uint64_t> first;
  std::vector<std::uint64_t> second;
  for (int i = 0; i < 50; ++i) first.push_back(cursor.next(50, rng));
  for (int i = 0; i < 50; ++i) second.push_back(cursor.next(50, rng));
  EXPECT_NE(first, second);
}

TEST(Rng, GoesOnFromASavedState) {
  Rng rng(3);
  for (int i = 0; i < 10; ++i) rng.next();
  Rng copy(rng.state());
  for (int i = 0; i < 100; ++i) ASSERT_EQ(rng.next(), copy.next());
}

TEST(Rng, SymmetricStaysInRangeAndCentred) {
  Rng rng(4);
  double sum = 0;
  constexpr int kDraws = 10'000;
  for (int i = 0; i < kDraws; ++i) {
    const float value = rng.symmetric();
    ASSERT_GE(value, -1.0F);
    ASSERT_LT(value, 1.0F);
    sum += static_cast<double>(value);
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.02);
}

}  // namespace
}  // namespace trainer

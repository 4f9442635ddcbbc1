// An item of a type of your own: the vocabulary of a tokenizer beside the weights of a model.
//   own_item DIRECTORY

#include <cairn/cairn.h>

#include <cstdio>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using Vocabulary = std::vector<std::string>;

// What save() is given for such an item, and restore(). They are taken by value.
struct VocabularySave {
  Vocabulary words;
};
struct VocabularyRestore {
  std::size_t words_max = 1'000'000;
};

class VocabularyHandler final
    : public cairn::Handler<VocabularySave, VocabularyRestore, Vocabulary> {
 public:
  // A step's metadata names it, so that a later release of this program finds it again.
  [[nodiscard]] std::string_view name() const override { return "own_item.VocabularyHandler"; }

  // On a worker thread: the item's files. They become durable with the step.
  [[nodiscard]] cairn::ItemFiles encode(const VocabularySave& args) const override {
    std::string text;
    for (const std::string& word : args.words) {
      if (word.find('\n') != std::string::npos) throw std::invalid_argument("a word has two lines");
      text += word + "\n";
    }
    return {{"words.txt", text}};
  }

  // And back. What it throws reaches whoever restores, with the item's name.
  [[nodiscard]] Vocabulary decode(const cairn::ItemFiles& files,
                                  const VocabularyRestore& args) const override {
    std::istringstream in(files.at("words.txt"));
    Vocabulary words;
    for (std::string word; words.size() < args.words_max && std::getline(in, word);)
      words.push_back(word);
    return words;
  }

  // For item_metadata(); may be left out.
  [[nodiscard]] boost::json::value describe(const cairn::ItemFiles& files) const override {
    return {{"bytes", files.bytes()}};
  }
};

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: own_item DIRECTORY\n"), 2;
  try {
    cairn::ManagerOptions options;
    options.handlers.add(std::make_shared<VocabularyHandler>());
    cairn::CheckpointManager manager(argv[1], options);

    cairn::args::Composite items;
    items.add("params", cairn::Dict{{"w", cairn::Array(cairn::DType::float32, {16})}});
    items.add("vocabulary", VocabularySave{{"stone", "pile", "trail"}});
    const cairn::SaveResult saved = manager.save(1, std::move(items)).get();

    cairn::Restored restored = manager.restore(1).get();
    for (const std::string& word : restored.get<Vocabulary>("vocabulary"))
      std::printf("%s\n", word.c_str());
    return saved ? 0 : 1;
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "own_item: %s\n", error.what()), 1;
  }
}

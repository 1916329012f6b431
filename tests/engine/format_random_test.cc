// Randomly damaged models: whatever the bytes, reading ends with a graph or
// with an error in one line. Run it with BQENGINE_SANITIZE=address,undefined to
// get the most out of it.
#include <gtest/gtest.h>

#include <random>

#include "bqengine/model.h"
#include "format_test_util.h"

namespace bqengine {
namespace {

class Damage {
 public:
  explicit Damage(uint32_t seed) : random_(seed) {}

  // One to three of: a bit, a byte, a cut, a piece taken out or doubled, a
  // number made large.
  void Apply(std::string* bytes) {
    for (size_t i = 0, count = 1 + Below(3); i < count && !bytes->empty();
         ++i) {
      const size_t at = Below(bytes->size());
      const size_t length = 1 + Below(std::min<size_t>(bytes->size() - at, 40));
      switch (Below(6)) {
        case 0:
          (*bytes)[at] = static_cast<char>((*bytes)[at] ^ (1 << Below(8)));
          break;
        case 1:
          (*bytes)[at] = static_cast<char>(Below(256));
          break;
        case 2:
          bytes->resize(at);
          break;
        case 3:
          bytes->erase(at, length);
          break;
        case 4:
          bytes->insert(at, bytes->substr(at, length));
          break;
        case 5:
          GrowNumber(bytes, at);
          break;
      }
    }
  }

  size_t Below(size_t bound) { return random_() % bound; }

 private:
  // The first number behind `at`.
  void GrowNumber(std::string* bytes, size_t at) {
    const size_t digit = bytes->find_first_of("0123456789", at);
    if (digit == std::string::npos) return;
    constexpr const char* kDigits[] = {
        "9", "-", "99999999", "4294967296", "9223372036854775807", "0.", "e30"};
    bytes->insert(digit, kDigits[Below(std::size(kDigits))]);
  }

  std::mt19937 random_;
};

struct Outcome {
  int good = 0;
  int bad = 0;
};

// `damage_json` and `damage_weights` say which file is damaged.
Outcome ReadDamaged(const std::string& json, const std::string& weights,
                    bool damage_json, bool damage_weights, uint32_t seed,
                    int rounds) {
  ScratchFolder folder;
  const std::string path = folder.File("model.json");
  Outcome outcome;
  Damage damage(seed);
  for (int round = 0; round < rounds; ++round) {
    std::string damaged_json = json, damaged_weights = weights;
    if (damage_json) damage.Apply(&damaged_json);
    if (damage_weights) damage.Apply(&damaged_weights);
    WriteBytes(path, damaged_json);
    WriteBytes(folder.File("model.safetensors"), damaged_weights);
    const auto graph = ReadGraph(path);
    if (graph.ok()) {
      ++outcome.good;
      continue;
    }
    ++outcome.bad;
    const std::string& message = graph.status().message();
    if (!message.starts_with(folder.File("")) ||
        message.find('\n') != std::string::npos || message.size() > 2000) {
      ADD_FAILURE() << "seed " << seed << ", round " << round << ": "
                    << message;
    }
  }
  return outcome;
}

class RandomDamage : public testing::Test {
 protected:
  void SetUp() override {
    ScratchFolder folder;
    ASSERT_TRUE(WriteGraph(SampleGraph(), folder.File("model.json")).ok());
    json_ = ReadBytes(folder.File("model.json"));
    weights_ = ReadBytes(folder.File("model.safetensors"));
    // Otherwise the hash finds nearly all damage before anything else can.
    const size_t begin = json_.find("\"weights_hash\"");
    json_.erase(begin, json_.find('\n', begin) - begin);
  }
  std::string json_, weights_;
};

TEST_F(RandomDamage, OfTheJson) {
  const Outcome outcome = ReadDamaged(json_, weights_, true, false, 1, 3000);
  EXPECT_GT(outcome.good, 10);  // a letter of a label, a digit of a float
  EXPECT_GT(outcome.bad, 2000);
}

TEST_F(RandomDamage, OfTheWeights) {
  const Outcome outcome = ReadDamaged(json_, weights_, false, true, 2, 3000);
  EXPECT_GT(outcome.good, 10);  // a bit of a weight
  EXPECT_GT(outcome.bad, 1000);
}

TEST_F(RandomDamage, OfBoth) {
  const Outcome outcome = ReadDamaged(json_, weights_, true, true, 3, 1000);
  EXPECT_GT(outcome.bad, 900);
}

TEST_F(RandomDamage, EveryTruncation) {
  ScratchFolder folder;
  const std::string path = folder.File("model.json");
  WriteBytes(folder.File("model.safetensors"), weights_);
  const size_t last = json_.rfind('}');
  for (size_t size = 0; size <= last; ++size) {
    WriteBytes(path, json_.substr(0, size));
    EXPECT_EQ(ReadGraph(path).status().code(), StatusCode::kInvalidModel)
        << size;
  }
  WriteBytes(path, json_);
  for (size_t size = 0; size < weights_.size(); ++size) {
    WriteBytes(folder.File("model.safetensors"), weights_.substr(0, size));
    EXPECT_EQ(ReadGraph(path).status().code(), StatusCode::kInvalidModel)
        << size;
  }
}

}  // namespace
}  // namespace bqengine

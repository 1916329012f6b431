// Which output of a network stands for which class of a data set.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/class_numbers.h"

namespace bqengine::tools {
namespace {

using Names = std::vector<std::string>;

// One picture of each class, in order.
Dataset Folders(const Names& names) {
  Dataset data;
  data.class_names = names;
  data.classes = static_cast<int64_t>(names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    data.labels.push_back(static_cast<uint16_t>(i));
  }
  return data;
}

void ExpectNumbers(const Names& names, const Names& network_labels,
                   int64_t outputs, const std::vector<uint16_t>& numbers,
                   const Names& names_of_outputs) {
  Dataset data = Folders(names);
  const Status status = NumberClasses("x", network_labels, outputs, &data);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(data.labels, numbers);
  EXPECT_EQ(data.class_names, names_of_outputs);
  EXPECT_EQ(data.classes, outputs);
}

void ExpectError(Dataset data, const Names& network_labels, int64_t outputs,
                 const std::string& what) {
  const Status status =
      NumberClasses("folder:x", network_labels, outputs, &data);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(status.message().starts_with("folder:x: ")) << status.message();
  EXPECT_NE(status.message().find(what), std::string::npos)
      << status.message() << "\n  should contain: " << what;
}

TEST(ClassNumbers, LabelsOfTheNetworkDecide) {
  const Names labels = {"red", "green", "blue"};
  ExpectNumbers({"blue", "green", "red"}, labels, 3, {2, 1, 0}, labels);
  ExpectNumbers({"blue"}, labels, 3, {2}, labels);
  // Numbers, too, are names then.
  ExpectNumbers({"0", "1"}, {"1", "0"}, 2, {1, 0}, {"1", "0"});
  ExpectNumbers({"a?b"}, {"a\nb", "c"}, 2, {0}, {"a?b", "c"});
  ExpectError(Folders({"blue", "cat"}), labels, 3,
              "class 'cat' is not among the network's labels (red, green, "
              "blue)");
  ExpectError(Folders({"0", "1", "2"}), labels, 3, "class '0' is not among");
  ExpectError(Folders({"crane"}), {"crane", "tench", "crane"}, 3,
              "class 'crane' is the label of outputs 0 and 2");
  ExpectError(Folders({"x"}), {"a", "b", "c", "d", "e", "f", "g"}, 7,
              "(a, b, c, d, e and 2 more)");
  // Labels of another number name no outputs.
  ExpectNumbers({"blue", "red"}, labels, 2, {0, 1}, {"blue", "red"});
}

// As byte order has it: 0, 1, 10, 2.
TEST(ClassNumbers, NumbersAreTheirValues) {
  Names expected;
  for (int i = 0; i < 11; ++i) expected.push_back(std::to_string(i));
  ExpectNumbers({"0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"}, {},
                11, {0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9}, expected);
  // Some are missing.
  ExpectNumbers({"1", "10", "7"}, {}, 11, {1, 10, 7}, expected);
  expected[7] = "007";
  ExpectNumbers({"007", "10"}, {}, 11, {7, 10}, expected);
  ExpectError(Folders({"1", "2"}), {}, 2,
              "folder '2' is class 2, but the network has 2 outputs; numbers "
              "of folders start at 0 and end at 1");
  ExpectError(Folders({"18446744073709551617", "2"}), {}, 10,
              "folder '18446744073709551617' is class");
  ExpectError(Folders({"07", "7"}), {}, 10,
              "folders '07' and '7' are one class");
}

TEST(ClassNumbers, OtherNamesMustBeAsManyAsOutputs) {
  const Names names = {"0", "1", "ten"};
  ExpectNumbers(names, {}, 3, {0, 1, 2}, names);
  for (const int64_t outputs : {2, 4}) {
    ExpectError(Folders(names), {}, outputs,
                "has 3 classes (0, 1, ten), but the network has " +
                    std::to_string(outputs) + " outputs and no labels");
  }
  ExpectError(Folders(names), {}, 65536, "the network has 65536 outputs");
}

TEST(ClassNumbers, SetsWithoutNamesMustHaveAsManyAsOutputs) {
  Dataset data;
  data.labels = {3, 0, 9};
  data.classes = 10;
  EXPECT_TRUE(NumberClasses("x", {}, 10, &data).ok());
  EXPECT_EQ(data.labels, (std::vector<uint16_t>{3, 0, 9}));
  for (const int64_t outputs : {1, 9, 11, 1000}) {
    ExpectError(data, {}, outputs,
                "has 10 classes (labels 0 to 9), but the network has " +
                    std::to_string(outputs) + " outputs");
  }
  // A part of MNIST: for a network of its own, or for one of all digits.
  data.classes = 2;
  for (const int64_t outputs : {2, 10}) {
    EXPECT_TRUE(NumberClasses("x", {}, outputs, &data).ok()) << outputs;
  }
  ExpectError(data, {}, 3, "has 2 classes");
}

}  // namespace
}  // namespace bqengine::tools

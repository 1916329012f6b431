// Broken model files: each must give an error that says in one line which file,
// which place in it and, where there is one, which node. Every case damages a
// model that is otherwise right.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <ostream>

#include "bqengine/model.h"
#include "format_test_util.h"

namespace bqengine {
namespace {

constexpr char kJson[] = "model.json";
constexpr char kWeights[] = "model.safetensors";

// The bytes of a model's two files.
struct Files {
  std::string json, weights;
};

void Replace(std::string* text, const std::string& from,
             const std::string& to) {
  const size_t at = text->find(from);
  ASSERT_NE(at, std::string::npos) << from << " is not in the model";
  ASSERT_EQ(text->find(from, at + 1), std::string::npos) << from << " twice";
  text->replace(at, from.size(), to);
}

uint64_t HeaderBytes(const std::string& weights) {
  uint64_t bytes;
  std::memcpy(&bytes, weights.data(), sizeof(bytes));
  return bytes;
}

void SetHeaderBytes(std::string* weights, uint64_t bytes) {
  std::memcpy(weights->data(), &bytes, sizeof(bytes));
}

void ReplaceInHeader(std::string* weights, const std::string& from,
                     const std::string& to) {
  Replace(weights, from, to);
  SetHeaderBytes(weights, HeaderBytes(*weights) + to.size() - from.size());
}

// Of a tensor in the file that WriteGraph makes of SampleGraph.
size_t DataOf(const Files& files, const std::string& name) {
  const size_t entry = files.weights.find("\"" + name + "\"");
  const std::string key = "\"data_offsets\":[";
  const size_t offset = files.weights.find(key, entry) + key.size();
  return 8 + HeaderBytes(files.weights) +
         std::stoul(files.weights.substr(offset));
}

struct Case {
  const char* name;
  void (*damage)(Files*);
  std::vector<const char*> expected;  // all must stand in the message
};

// How GoogleTest shows a case.
void PrintTo(const Case& test_case, std::ostream* out) {
  *out << test_case.name;
}

// Replaces one text in the JSON.
#define BQE_REPLACE(from, to) [](Files* f) { Replace(&f->json, from, to); }
// The same in the header of the weights file.
#define BQE_HEADER(from, to) \
  [](Files* f) { ReplaceInHeader(&f->weights, from, to); }

const Case kSyntax[] = {
    {"TruncatedInANode",
     [](Files* f) { f->json.resize(f->json.find("\"strides\"")); },
     {kJson, "node 'conv1' (/nodes/1/attributes)", "line 52",
      "unexpected end of input"}},
    {"TruncatedAtTheEnd",
     [](Files* f) { f->json.resize(f->json.size() - 2); },
     {kJson, ": /: ", "unexpected end of input"}},
    {"Empty", [](Files* f) { f->json.clear(); }, {kJson, "is empty"}},
    {"NotJson",
     [](Files* f) { f->json = "hello"; },
     {kJson, "invalid literal"}},
    {"Binary",
     [](Files* f) { f->json = f->weights; },
     {kJson, "binary file", "bq-convert"}},
    {"Onnx",  // IR version 8, producer "pytorch", a graph
     [](Files* f) { f->json = "\x08\x08\x12\x07pytorch:\xA3\x06"; },
     {kJson, "binary file", "bq-convert"}},
    {"ControlCharacterInAnObject",
     [](Files* f) { f->json.insert(1, "\x01"); },
     {kJson, ": /: ", "line 1, column 2"}},
    {"ByteOrderMark",
     [](Files* f) { f->json.insert(0, "\xEF\xBB\xBF"); },
     {kJson, ": /: ", "byte order mark"}},
    {"NulInTheMiddle",
     [](Files* f) { f->json[f->json.find("\"labels\"")] = '\0'; },
     {kJson, "NUL", "not JSON"}},
    {"TrailingText",
     [](Files* f) { f->json += "{}"; },
     {kJson, "end of input"}},
    {"TrailingTextBehindNul",
     [](Files* f) { f->json += std::string("\0{}", 3); },
     {kJson, "NUL"}},
    {"NotUtf8",
     BQE_REPLACE("h\xC3\xBChner", "h\xC3hner"),
     {kJson, "/labels/1", "UTF-8"}},
    {"Comment", BQE_REPLACE("\"labels\"", "/* x */ \"labels\""), {kJson, "/"}},
    {"DuplicateKey",
     BQE_REPLACE("\"labels\"", "\"name\""),
     {kJson, ": /name: ", "twice"}},
    {"DuplicateConstant",
     BQE_REPLACE("\"fc2.mul\": {", "\"conv1.bound\": {"),
     {kJson, "/constants/conv1.bound", "twice"}},
    {"DuplicateAttribute",
     BQE_REPLACE("\"strides\": [1, 1]",
                 "\"strides\": [1, 1], \"strides\": [2, 2]"),
     {kJson, "node 'conv1' (/nodes/1/attributes/strides)", "twice"}},
    {"TooDeep",
     [](Files* f) {
       Replace(&f->json, "-6.5",
               std::string(100000, '[') + std::string(100000, ']'));
     },
     {kJson, "/nodes/5/attributes/min/0/0", "nested deeper"}},
    {"RootIsAnArray",
     [](Files* f) { f->json = "[" + f->json + "]"; },
     {kJson, ": /: ", "must be an object"}},
    {"HugeFile",
     [](Files* f) { f->json.append(17 << 20, ' '); },
     {kJson, "bytes, more than"}},
};

const Case kStructure[] = {
    {"OtherFormat",
     BQE_REPLACE("bqengine-model", "something"),
     {kJson, "/format", "'something'"}},
    {"LaterVersion",
     BQE_REPLACE("\"version\": 1", "\"version\": 2, \"new\": 0"),
     {kJson, "/version", "version 2 is unknown"}},
    {"VersionAsText",
     BQE_REPLACE("\"version\": 1", "\"version\": \"1\""),
     {kJson, "/version", "must be an integer, not a string"}},
    {"NoNodes",
     [](Files* f) {
       f->json.resize(f->json.find(",\n  \"nodes\""));
       f->json += "}";
     },
     {kJson, "'nodes' is missing"}},
    {"TooManyNodes",
     [](Files* f) {
       const std::string node =
           R"({ "name": "a", "op": "Relu", "inputs": [], "outputs": [] },)";
       std::string nodes = "\"nodes\": [";
       for (int i = 0; i < 65536 - 5; ++i) nodes += node;  // and 6 more
       Replace(&f->json, "\"nodes\": [", nodes);
     },
     {kJson, ": /nodes: ", "65537 nodes", "65536"}},
    {"UnknownKey",
     BQE_REPLACE("\"labels\"", "\"classes\""),
     {kJson, "/classes", "no such key"}},
    {"UnknownKeyOfInput",
     BQE_REPLACE("\"layout\": \"NCHW\"", "\"order\": \"NCHW\""),
     {kJson, "/inputs/0/order"}},
    {"UnknownKeyOfNode",
     BQE_REPLACE("\"op\": \"Flatten\"", "\"op\": \"Flatten\", \"note\": \"\""),
     {kJson, "node 'flat' (/nodes/2/note)"}},
    {"TrainingOfAWholeModel",
     BQE_REPLACE("\"op\": \"Flatten\"",
                 "\"op\": \"Flatten\", \"training\": { \"a\": 1 }"),
     {kJson, "node 'flat' (/nodes/2/training)", "only an architecture"}},
    {"TrainingIsAnArray",
     BQE_REPLACE("\"op\": \"Flatten\"",
                 "\"op\": \"Flatten\", \"training\": []"),
     {kJson, "node 'flat' (/nodes/2/training)", "must be an object"}},
    {"TrainingOfABoolean",
     BQE_REPLACE("\"op\": \"Flatten\"",
                 "\"op\": \"Flatten\", \"training\": { \"a\": true }"),
     {kJson, "node 'flat' (/nodes/2/training/a)", "a boolean"}},
    {"TrainingWithoutAName",
     BQE_REPLACE("\"op\": \"Flatten\"",
                 "\"op\": \"Flatten\", \"training\": { \"\": 1 }"),
     {kJson, "node 'flat' (/nodes/2/training/)", "name is empty"}},
    {"UnknownKeyOfConstant",
     BQE_REPLACE("\"data\": [0.1]", "\"values\": [0.1]"),
     {kJson, "node 'fc2' (/constants/fc2.mul/values)"}},
    {"NodesAsObject",
     [](Files* f) {
       f->json.resize(f->json.find("\"nodes\": ["));
       f->json += "\"nodes\": {} }";
     },
     {kJson, "/nodes", "must be an array, not an object"}},
    {"NodeWithoutOp",
     BQE_REPLACE("\"op\": \"Flatten\",", ""),
     {kJson, "node 'flat' (/nodes/2)", "'op' is missing"}},
    {"NodeNameIsANumber",
     BQE_REPLACE("\"name\": \"flat\"", "\"name\": 7"),
     {kJson, "/nodes/2/name", "must be a string, not an integer"}},
    {"NodeNameIsEmpty",
     BQE_REPLACE("\"name\": \"flat\"", "\"name\": \"\""),
     {kJson, "/nodes/2/name", "is empty"}},
    {"NodeNameWithLineBreak",
     BQE_REPLACE("\"name\": \"flat\"", "\"name\": \"fl\\nat\""),
     {kJson, "/nodes/2/name", "control character"}},
    {"NodeNameTooLong",
     [](Files* f) {
       Replace(&f->json, "\"name\": \"flat\"",
               "\"name\": \"" + std::string(100000, 'x') + "\"");
     },
     {kJson, "/nodes/2/name", "100000 bytes"}},
    {"InputNameIsNull",
     BQE_REPLACE("\"inputs\": [\"vector\"]", "\"inputs\": [null]"),
     {kJson, "node 'fc1' (/nodes/3/inputs/0)", "not null"}},
    {"UnknownLayout",
     BQE_REPLACE("NCHW", "NWHC"),
     {kJson, "/inputs/0/layout", "'NWHC'"}},
    {"ConstantOfIntegers",
     BQE_REPLACE("\"type\": \"unipolar\"", "\"type\": \"uint8\""),
     {kJson, "/constants/", "/type",
      "'uint8' is not float32, bipolar or "
      "unipolar"}},
    {"PreprocessOfIntegers",
     BQE_REPLACE("\"type\": \"float32\",\n      \"shape\": [\"batch\"",
                 "\"type\": \"uint8\",\n      \"shape\": [\"batch\""),
     {kJson, "/inputs/0/preprocess", "only a float32 input", "uint8"}},
    {"UnknownType",
     BQE_REPLACE("\"type\": \"unipolar\"", "\"type\": \"int4\""),
     {kJson, "node 'fc1' (/constants/fc1.weight/type)", "'int4'"}},
    {"BatchMissing",
     BQE_REPLACE("[\"batch\", 6, 6, 3]", "[1, 6, 6, 3]"),
     {kJson, "/inputs/0/shape/0", "batch"}},
    {"BatchInAConstant",
     BQE_REPLACE("[1, 20, 3, 3, 3]", "[\"batch\", 20, 3, 3, 3]"),
     {kJson, "/constants/conv1.weight/shape/0", "must be an integer"}},
    {"PreprocessStdIsZero",
     BQE_REPLACE("\"std\": [0.25]", "\"std\": [0]"),
     {kJson, "/inputs/0/preprocess/std", "zero"}},
    {"PreprocessMeanOfOtherLength",
     BQE_REPLACE("[0.5, 0.4, 0.3]", "[0.5, 0.4]"),
     {kJson, "/inputs/0/preprocess/mean"}},
    {"PreprocessScaleIsInfinite",
     BQE_REPLACE("0.003921569", "\"inf\""),
     {kJson, "/inputs/0/preprocess/scale", "finite"}},
    {"TooManyDimensions",
     BQE_REPLACE("[\"batch\", 6, 6, 3]", "[\"batch\", 1, 1, 1, 1, 1, 6, 6, 3]"),
     {kJson, "/inputs/0/shape", "not 9"}},
};

const Case kNumbers[] = {
    {"ShapeOverflows",
     BQE_REPLACE("[1, 20, 3, 3, 3]", "[4294967296, 4294967296, 3, 3, 3]"),
     {kJson, "node 'conv1' (/constants/conv1.weight/shape)", "2^63"}},
    {"BytesOverflow",
     BQE_REPLACE("\"shape\": [20]", "\"shape\": [9223372036854775807]"),
     {kJson, "node 'conv1' (/constants/conv1.bound/shape)", "2^63"}},
    {"InputOverflows",
     BQE_REPLACE("[\"batch\", 6, 6, 3]",
                 "[\"batch\", 4611686018427387904, 6, 3]"),
     {kJson, "/inputs/0/shape", "2^63"}},
    {"HugeInlineCount",
     BQE_REPLACE("\"shape\": [1], \"data\"",
                 "\"shape\": [2305843009213693951], \"data\""),
     {kJson, "node 'fc2' (/constants/fc2.mul/data)", "has 1 values"}},
    {"IntegerTooLarge",
     BQE_REPLACE("\"strides\": [1, 1]",
                 "\"strides\": [1, 99999999999999999999]"),
     {kJson, "node 'conv1' (/nodes/1/attributes/strides/1)", "too large"}},
    {"UnsignedTooLarge",
     BQE_REPLACE("\"strides\": [1, 1]",
                 "\"strides\": [1, 9223372036854775808]"),
     {kJson, "node 'conv1' (/nodes/1/attributes/strides/1)", "too large"}},
    {"FloatTooLarge",
     BQE_REPLACE("\"data\": [0.1]", "\"data\": [1e39]"),
     {kJson, "/constants/fc2.mul/data/0", "1e39"}},
    {"DoubleTooLarge",
     BQE_REPLACE("\"data\": [0.1]", "\"data\": [1e999]"),
     {kJson, "/constants/fc2.mul/data/0", "1e999"}},
    {"DimensionZero",
     BQE_REPLACE("[1, 2, 320]", "[1, 0, 320]"),
     {kJson, "node 'fc1' (/constants/fc1.weight/shape/1)", "at least 1"}},
    {"DimensionNegative",
     BQE_REPLACE("[1, 2, 320]", "[1, 2, -320]"),
     {kJson, "node 'fc1' (/constants/fc1.weight/shape/2)", "at least 1"}},
    {"DimensionWithFraction",
     BQE_REPLACE("[1, 2, 320]", "[1, 2, 320.0]"),
     {kJson, "/constants/fc1.weight/shape/2", "must be an integer"}},
    {"NoDimensions",
     BQE_REPLACE("[1, 2, 320]", "[]"),
     {kJson, "/constants/fc1.weight/shape", "not 0"}},
    {"NanInline",
     BQE_REPLACE("[\"-inf\", 0.25]", "[\"nan\", 0.25]"),
     {kJson, "node 'fc1' (/constants/fc1.bound/data/0)", "'nan'"}},
    {"NanLiteral",
     BQE_REPLACE("[\"-inf\", 0.25]", "[NaN, 0.25]"),
     {kJson, "/constants/fc1.bound/data/0", "invalid literal"}},
    {"TooManyValues",
     BQE_REPLACE("[\"-inf\", 0.25]", "[\"-inf\", 0.25, 1]"),
     {kJson, "node 'fc1' (/constants/fc1.bound/data)", "has 3 values"}},
    {"BitOfAnotherEncoding",
     BQE_REPLACE("[1, -1, -1, 1]", "[1, -1, 0, 1]"),
     {kJson, "node 'fc2' (/constants/fc2.weight/data/2)", "bipolar"}},
    {"NestedData",
     BQE_REPLACE("[1, -1, -1, 1]", "[[1, -1], [-1, 1]]"),
     {kJson, "node 'fc2' (/constants/fc2.weight/data)", "has 2 values"}},
};

const Case kGraph[] = {
    {"UnknownOp",
     BQE_REPLACE("\"Flatten\"", "\"Flutten\""),
     {kJson, "node 'flat' (/nodes/2/op)", "'Flutten'"}},
    {"UnknownAttribute",
     BQE_REPLACE("\"strides\"", "\"stride\""),
     {kJson, "node 'conv1' (/nodes/1/attributes/stride)"}},
    {"AttributeOfOtherType",
     BQE_REPLACE("\"strides\": [1, 1]", "\"strides\": 1"),
     {kJson, "node 'conv1' (/nodes/1/attributes/strides)"}},
    {"AttributeIsABoolean",
     BQE_REPLACE("\"min\": -6.5", "\"min\": true"),
     {kJson, "node 'clip' (/nodes/5/attributes/min)", "a boolean"}},
    {"AttributeListWithText",
     BQE_REPLACE("\"strides\": [1, 1]", "\"strides\": [1, \"1\"]"),
     {kJson, "node 'conv1' (/nodes/1/attributes/strides/1)"}},
    {"AttributeMissing",
     BQE_REPLACE("\"kernel_shape\": [3, 3],", ""),
     {kJson, "node 'conv1' (/nodes/1/attributes)", "kernel_shape"}},
    {"StrideZero",
     BQE_REPLACE("\"strides\": [1, 1]", "\"strides\": [0, 1]"),
     {kJson, "node 'conv1' (/nodes/1/attributes/strides)"}},
    {"KernelLargerThanPicture",
     BQE_REPLACE("[\"batch\", 6, 6, 3]", "[\"batch\", 2, 6, 3]"),
     {kJson, "node 'conv1' (/nodes/1"}},
    {"KernelUnlikeWeight",
     BQE_REPLACE("\"kernel_shape\": [3, 3]", "\"kernel_shape\": [3, 2]"),
     {kJson, "node 'conv1' (/nodes/1"}},
    {"UnknownRole",
     BQE_REPLACE("\"mul\": \"fc2.mul\"", "\"factor\": \"fc2.mul\""),
     {kJson, "node 'fc2' (/nodes/4/constants/factor)"}},
    {"UnknownConstant",
     BQE_REPLACE("\"mul\": \"fc2.mul\"", "\"mul\": \"fc2.mul2\""),
     {kJson, "node 'fc2' (/nodes/4/constants/mul)", "fc2.mul2"}},
    {"WeightOfOtherType",
     BQE_REPLACE("\"weight\": \"fc2.weight\"", "\"weight\": \"fc2.mul\""),
     {kJson, "node 'fc2' (/nodes/4/constants/weight)"}},
    {"Cycle",
     BQE_REPLACE("\"inputs\": [\"bits\"]", "\"inputs\": [\"hidden\"]"),
     {kJson, "node 'conv1' (/nodes/1", "cycle"}},
    {"SelfLoop",
     BQE_REPLACE("\"inputs\": [\"vector\"]", "\"inputs\": [\"hidden\"]"),
     {kJson, "node 'fc1' (/nodes/3", "cycle"}},
    {"DuplicateNode",
     BQE_REPLACE("\"name\": \"fc2\"", "\"name\": \"fc1\""),
     {kJson, "node 'fc1' (/nodes/4/name)"}},
    {"DuplicateTensor",
     BQE_REPLACE("\"outputs\": [\"hidden\"]", "\"outputs\": [\"vector\"]"),
     {kJson, "node 'fc1' (/nodes/3/outputs/0)", "twice"}},
    {"UndefinedTensor",
     BQE_REPLACE("\"inputs\": [\"vector\"]", "\"inputs\": [\"victor\"]"),
     {kJson, "node 'fc1' (/nodes/3/inputs/0)", "victor"}},
    {"UndefinedOutput",
     BQE_REPLACE("{ \"name\": \"logits\"", "{ \"name\": \"logit\""),
     {kJson, "/outputs/0", "logit"}},
    {"NoInputs",
     BQE_REPLACE("\"inputs\": [\"bits\"]", "\"inputs\": []"),
     {kJson, "node 'conv1' (/nodes/1/inputs)"}},
};

const Case kPair[] = {
    {"WeightsInAnotherFolder",
     BQE_REPLACE("\"model.safetensors\"", "\"../model.safetensors\""),
     {kJson, "/weights", "same folder"}},
    {"WeightsAreTheParent",
     BQE_REPLACE("\"model.safetensors\"", "\"..\""),
     {kJson, "/weights", "same folder"}},
    {"WeightsOfAnotherModel",
     BQE_REPLACE("\"weights\": \"model.safetensors\",",
                 "\"weights\": \"model.safetensors\",\n"
                 "\"weights_hash\": \"fnv1a64:0123456789abcdef\","),
     {kJson, "/weights_hash", "model.safetensors is not the file"}},
    {"HashWithoutWeights",
     BQE_REPLACE("\"weights\": \"model.safetensors\"",
                 "\"weights_hash\": \"fnv1a64:0123456789abcdef\""),
     {kJson, "/weights_hash", "without"}},
    {"TensorMissing",
     BQE_HEADER("\"conv1.bound\"", "\"conv2.bound\""),
     {kJson, "node 'conv1' (/constants/conv1.bound)",
      "not in model.safetensors"}},
    {"TensorExtra",
     [](Files* f) {
       Replace(&f->json, "\"conv1.bound\": { \"type\": \"float32\",",
               "\"conv1.bound\": { \"type\": \"float32\", \"data\": [0], ");
       Replace(&f->json, "\"shape\": [20]", "\"shape\": [1]");
     },
     {kJson, "/constants/conv1.bound/data", "and in model.safetensors"}},
    {"TensorUnknown",
     BQE_REPLACE("\"conv1.bound\": { \"type\": \"float32\", \"shape\": [20] },",
                 ""),
     {kJson, "/weights", "'conv1.bound'", "not among the constants"}},
    {"TensorOfOtherShape",
     BQE_REPLACE("\"shape\": [20]", "\"shape\": [21]"),
     {kJson, "node 'conv1' (/constants/conv1.bound/shape)", "stored as 21",
      "is 20"}},
    {"TensorOfOtherType",
     BQE_REPLACE("\"type\": \"unipolar\"", "\"type\": \"float32\""),
     {kJson, "node 'fc1' (/constants/fc1.weight/type)", "F32", "is U64"}},
    {"NanThreshold",
     [](Files* f) {
       const float nan = std::nanf("");
       std::memcpy(f->weights.data() + DataOf(*f, "conv1.bound") + 12, &nan, 4);
     },
     {kJson, "node 'conv1' (/constants/conv1.bound)", "value 3 is NaN",
      kWeights}},
    {"PaddingBits",
     [](Files* f) { f->weights[DataOf(*f, "conv1.weight") + 15] = 1; },
     {kJson, "node 'conv1' (/constants/conv1.weight)",
      "row 1 has bits beyond its end", kWeights}},
};

const Case kSafetensors[] = {
    {"Empty", [](Files* f) { f->weights.clear(); }, {kWeights, "is empty"}},
    {"ShorterThanItsLength",
     [](Files* f) { f->weights.resize(5); },
     {kWeights, ": /: ", "5 bytes"}},
    {"TruncatedInTheHeader",
     [](Files* f) { f->weights.resize(100); },
     {kWeights, ": /: ", "has only 92 more bytes"}},
    {"TruncatedInTheData",
     [](Files* f) { f->weights.resize(f->weights.size() - 1); },
     {kWeights, "/conv1.bound/data_offsets", "is not within"}},
    {"HeaderLengthIsHuge",
     [](Files* f) { SetHeaderBytes(&f->weights, ~uint64_t{0}); },
     {kWeights, ": /: ", "18446744073709551615 bytes"}},
    {"HeaderLengthIsLargerThanAllowed",
     [](Files* f) {
       SetHeaderBytes(&f->weights, 17 << 20);
       f->weights.resize((17 << 20) + 8, ' ');
     },
     {kWeights, ": /: ", "more than the allowed"}},
    {"HeaderLengthIsZero",
     [](Files* f) { SetHeaderBytes(&f->weights, 0); },
     {kWeights, "does not start with '{'"}},
    {"HeaderLengthIsWrong",
     [](Files* f) { SetHeaderBytes(&f->weights, 40); },
     {kWeights, ": /: ", "line 1, column 41"}},
    {"NotSafetensors",
     [](Files* f) { f->weights = "PK\x03\x04 and some more bytes"; },
     {kWeights, "header"}},
    {"DuplicateTensor",
     BQE_HEADER("\"fc1.weight\"", "\"conv1.bound\""),
     {kWeights, "/conv1.bound", "twice"}},
    {"KeyMissing",
     BQE_HEADER("\"dtype\":\"F32\",", ""),
     {kWeights, "/conv1.bound", "'dtype' is missing"}},
    {"KeyUnknown",
     BQE_HEADER("\"dtype\":\"F32\",", "\"dtype\":\"F32\",\"scale\":1,"),
     {kWeights, "/conv1.bound/scale"}},
    {"TypeUnknown",
     BQE_HEADER("\"F32\"", "\"F16\""),
     {kWeights, "/conv1.bound/dtype", "'F16'"}},
    {"ShapeUnlikeOffsets",
     BQE_HEADER("\"shape\":[20]", "\"shape\":[19]"),
     {kWeights, "/conv1.bound/data_offsets", "spans 80 bytes", "need 76"}},
    {"ShapeOverflows",
     BQE_HEADER("\"shape\":[20]", "\"shape\":[4294967296,4294967296]"),
     {kWeights, "/conv1.bound/shape", "2^63"}},
    {"ShapeHasZero",
     BQE_HEADER("\"shape\":[20]", "\"shape\":[20,0]"),
     {kWeights, "/conv1.bound/shape/1", "at least 1"}},
    {"ShapeIsEmpty",
     BQE_HEADER("\"shape\":[20]", "\"shape\":[]"),
     {kWeights, "/conv1.bound/shape", "not 0"}},
    {"OffsetsReversed",
     BQE_HEADER("[1520,1600]", "[1600,1520]"),
     {kWeights, "/conv1.bound/data_offsets", "is not within"}},
    {"OffsetsNegative",
     BQE_HEADER("[1520,1600]", "[-80,0]"),
     {kWeights, "/conv1.bound/data_offsets", "is not within"}},
    {"OffsetsBeyondTheEnd",
     BQE_HEADER("[1520,1600]", "[9223372036854775727,9223372036854775807]"),
     {kWeights, "/conv1.bound/data_offsets", "is not within"}},
    {"OffsetsOverlap",
     BQE_HEADER("[1520,1600]", "[1512,1592]"),
     {kWeights, "/conv1.bound/data_offsets", "overlaps"}},
    {"OffsetsLeaveAGap",
     [](Files* f) {
       ReplaceInHeader(&f->weights, "[1520,1600]", "[1524,1604]");
       f->weights += "gap!";
     },
     {kWeights, "/conv1.bound/data_offsets", "4 bytes before it"}},
    {"OneOffset",
     BQE_HEADER("[1520,1600]", "[1520]"),
     {kWeights, "/conv1.bound/data_offsets", "2 entries"}},
    {"TrailingBytes",
     [](Files* f) { f->weights += "x"; },
     {kWeights, "1 byte left over behind the last tensor"}},
    {"MetadataIsANumber",
     BQE_HEADER("\"format\":\"bqengine\"", "\"format\":1"),
     {kWeights, "/__metadata__/format", "must be a string"}},
};

class Broken : public testing::TestWithParam<Case> {};

// The files of SampleGraph, without the hash that would hide every other
// mistake in the weights.
Files GoodFiles(const ScratchFolder& folder) {
  const Status status = WriteGraph(SampleGraph(), folder.File(kJson));
  EXPECT_TRUE(status.ok()) << status.message();
  Files files{ReadBytes(folder.File(kJson)), ReadBytes(folder.File(kWeights))};
  const size_t begin = files.json.find("  \"weights_hash\"");
  files.json.erase(begin, files.json.find('\n', begin) + 1 - begin);
  return files;
}

void ExpectOneLine(const std::string& message) {
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_LT(message.size(), 1000u) << message;
}

TEST_P(Broken, GivesAnErrorThatNamesThePlace) {
  ScratchFolder folder;
  Files files = GoodFiles(folder);
  ASSERT_NO_FATAL_FAILURE(GetParam().damage(&files));
  WriteBytes(folder.File(kJson), files.json);
  WriteBytes(folder.File(kWeights), files.weights);
  const auto graph = ReadGraph(folder.File(kJson));
  ASSERT_FALSE(graph.ok());
  const std::string& message = graph.status().message();
  EXPECT_EQ(graph.status().code(), StatusCode::kInvalidModel) << message;
  EXPECT_TRUE(message.starts_with(folder.File(GetParam().expected[0])))
      << message;
  for (const char* part : GetParam().expected) {
    EXPECT_NE(message.find(part), std::string::npos)
        << "no \"" << part << "\" in: " << message;
  }
  ExpectOneLine(message);
}

std::string CaseName(const testing::TestParamInfo<Case>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Syntax, Broken, testing::ValuesIn(kSyntax), CaseName);
INSTANTIATE_TEST_SUITE_P(Structure, Broken, testing::ValuesIn(kStructure),
                         CaseName);
INSTANTIATE_TEST_SUITE_P(Numbers, Broken, testing::ValuesIn(kNumbers),
                         CaseName);
INSTANTIATE_TEST_SUITE_P(Graph, Broken, testing::ValuesIn(kGraph), CaseName);
INSTANTIATE_TEST_SUITE_P(Pair, Broken, testing::ValuesIn(kPair), CaseName);
INSTANTIATE_TEST_SUITE_P(Safetensors, Broken, testing::ValuesIn(kSafetensors),
                         CaseName);

// The base of all cases above is not itself the error.
TEST(Broken, TheUndamagedFilesAreGood) {
  ScratchFolder folder;
  const Files files = GoodFiles(folder);
  WriteBytes(folder.File(kJson), files.json);
  const auto graph = ReadGraph(folder.File(kJson));
  EXPECT_TRUE(graph.ok()) << graph.status().message();
}

TEST(Broken, AnyChangeOfTheWeightsIsFoundByTheHash) {
  ScratchFolder folder;
  Files files = GoodFiles(folder);
  ASSERT_TRUE(WriteGraph(SampleGraph(), folder.File(kJson)).ok());
  files.weights[DataOf(files, "fc1.weight")] ^= 1;
  WriteBytes(folder.File(kWeights), files.weights);
  const auto graph = ReadGraph(folder.File(kJson));
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.status().code(), StatusCode::kInvalidModel);
  EXPECT_NE(graph.status().message().find("/weights_hash"), std::string::npos);
}

// A variance that would make every output NaN.
TEST(Broken, BatchNormalizationOfANegativeVariance) {
  ScratchFolder folder;
  Graph graph;
  graph.inputs.push_back({"x", {DataType::kFloat32, {kBatch, 2}}, {}, {}});
  graph.outputs.push_back({"y", {}});
  Node norm = MakeNode("norm", "BatchNormalization", "x", "y");
  for (const char* role : {"scale", "bias", "mean", "var"}) {
    norm.constants[role] = role;
    graph.constants[role] = Constant::Floats({2}, {0.5f, 0.75f});
  }
  norm.attributes["epsilon"] = 0.25f;
  graph.nodes.push_back(norm);
  const std::string path = folder.File(kJson);
  ASSERT_TRUE(WriteGraph(graph, path).ok());
  const std::string good = ReadBytes(path);
  const size_t var = good.find("0.75]", good.find("\"var\""));
  ASSERT_NE(var, std::string::npos);
  for (const char* value : {"-0.25", "-1", "\"-inf\""}) {
    SCOPED_TRACE(value);
    WriteBytes(path, std::string(good).replace(var, 4, value));
    const auto read = ReadGraph(path);
    ASSERT_FALSE(read.ok());
    const std::string& message = read.status().message();
    EXPECT_EQ(read.status().code(), StatusCode::kInvalidModel);
    EXPECT_TRUE(message.starts_with(
        path +
        ": node 'norm' (/nodes/0/constants/var): the variance of "
        "channel 1"))
        << message;
    ExpectOneLine(message);
  }
}

// --------------------------------------------------------------------- loading

// Load makes the checks above its own; only that all data must be there comes
// on top.
TEST(Load, NamesFileNodeAndPlace) {
  ScratchFolder folder;
  Files files = GoodFiles(folder);
  const float nan = std::nanf("");
  std::memcpy(files.weights.data() + DataOf(files, "conv1.bound"), &nan, 4);
  WriteBytes(folder.File(kJson), files.json);
  WriteBytes(folder.File(kWeights), files.weights);
  const auto model = Model::Load(folder.File(kJson));
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().code(), StatusCode::kInvalidModel);
  EXPECT_EQ(model.status().message(),
            folder.File(kJson) +
                ": node 'conv1' (/constants/conv1.bound): value 0 is NaN in " +
                kWeights);
}

TEST(Load, RefusesAnArchitecture) {
  ScratchFolder folder;
  Graph graph = SampleGraph();
  Constant& weight = graph.constants["fc1.weight"];
  weight = Constant::Declare(weight.info());
  ASSERT_TRUE(WriteGraph(graph, folder.File(kJson)).ok());
  EXPECT_TRUE(ReadGraph(folder.File(kJson)).ok());
  const auto model = Model::Load(folder.File(kJson));
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().code(), StatusCode::kInvalidModel);
  EXPECT_EQ(model.status().message(),
            folder.File(kJson) +
                ": node 'fc1' (/constants/fc1.weight): has no data: this is an "
                "architecture, to be trained");
}

TEST(Load, KnowsTheOutputs) {
  ScratchFolder folder;
  ASSERT_TRUE(WriteGraph(SampleGraph(), folder.File(kJson)).ok());
  const auto model = Model::Load(folder.File(kJson));
  ASSERT_TRUE(model.ok()) << model.status().message();
  ASSERT_EQ(model->num_outputs(), 1u);
  EXPECT_EQ(model->output_name(0), "logits");
  EXPECT_EQ(model->output(0), (TensorInfo{DataType::kFloat32, {kBatch, 2}}));
  ExpectSameGraph(SampleGraph(), model->graph());
}

// ------------------------------------------------------ files that do not open

void ExpectError(const std::string& path, StatusCode code,
                 const std::string& part) {
  const auto graph = ReadGraph(path);
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.status().code(), code) << graph.status().message();
  EXPECT_NE(graph.status().message().find(part), std::string::npos)
      << graph.status().message();
  ExpectOneLine(graph.status().message());
}

TEST(Open, MissingJson) {
  ScratchFolder folder;
  ExpectError(folder.File("no.json"), StatusCode::kNotFound, "no.json");
  ExpectError(folder.File("no/no.json"), StatusCode::kNotFound, "no/no.json");
}

TEST(Open, MissingWeights) {
  ScratchFolder folder;
  ASSERT_TRUE(WriteGraph(SampleGraph(), folder.File(kJson)).ok());
  std::filesystem::remove(folder.File(kWeights));
  ExpectError(folder.File(kJson), StatusCode::kNotFound, kWeights);
}

TEST(Open, Folders) {
  ScratchFolder folder;
  ExpectError(folder.File(""), StatusCode::kIo, "folder");
  ASSERT_TRUE(WriteGraph(SampleGraph(), folder.File(kJson)).ok());
  std::filesystem::remove(folder.File(kWeights));
  std::filesystem::create_directory(folder.File(kWeights));
  ExpectError(folder.File(kJson), StatusCode::kIo, kWeights);
}

TEST(Open, LinkToItself) {
  ScratchFolder folder;
  std::filesystem::create_symlink(kJson, folder.File(kJson));
  ExpectError(folder.File(kJson), StatusCode::kIo, kJson);
}

TEST(Open, PipeThatNobodyWrites) {
  ScratchFolder folder;
  ASSERT_EQ(mkfifo(folder.File(kJson).c_str(), 0600), 0);
  ExpectError(folder.File(kJson), StatusCode::kIo, "not a regular file");
}

}  // namespace
}  // namespace bqengine

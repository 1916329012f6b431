// bq-convert as users meet it: files in, files and exit statuses out.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "bqengine/model.h"
#include "convert_test_util.h"
#include "source_model.h"

namespace bqengine::convert {
namespace {

namespace fs = std::filesystem;

// A folder of the test's own.
class ConvertCli : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (fs::temp_directory_path() / "bqe_convert_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const {
    return (folder_ / name).string();
  }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // Runs bq-convert; the exit status, or -1 if it was killed.
  int Convert(const std::string& arguments) {
    const int status = Run(arguments, Path("stdout"));
    out_ = Read(Path("stdout"));
    return status;
  }
  int Run(const std::string& arguments, const std::string& standard_output) {
    const std::string command = std::string(BQ_CONVERT) + " " + arguments +
                                " >" + standard_output + " 2>" + Path("stderr");
    const int status = std::system(command.c_str());
    err_ = Read(Path("stderr"));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  fs::path folder_;
  std::string out_, err_;
};

// 64 x 300 bits and a float layer: some weights in the JSON, some beside it.
OnnxFile SmallNetwork() {
  OnnxFile file;
  file.Input("x", {0, 3, 10, 10})
      .Output("y")
      .Constant("w", {300, 64}, RandomChoice(300 * 64, 90, -1, 1))
      .Constant("w2", {64, 3}, RandomFloats(64 * 3, 91))
      .Node("Sign", {"x"}, "s")
      .Node("Flatten", {"s"}, "f")
      .Node("MatMul", {"f", "w"}, "m")
      .Node("Relu", {"m"}, "r")
      .Node("MatMul", {"r", "w2"}, "y");
  return file;
}

TEST_F(ConvertCli, WritesModelAndReport) {
  const std::string input = Write("in.onnx", SmallNetwork().Bytes());
  const std::string labels = Write("labels.txt", "cat\r\ndog\n\nhorse\n");
  ASSERT_EQ(Convert(input + " -o " + Path("out.json") + " --report " +
                    Path("report.json") + " --labels " + labels +
                    " --scale 1/255 --mean 0.5,0.25,-0.5 --std 0.5 --name Net"),
            0)
      << err_;
  EXPECT_TRUE(err_.empty()) << err_;
  EXPECT_NE(out_.find("BinaryGemm"), std::string::npos) << out_;
  EXPECT_NE(
      out_.find(
          "stays float: weights take 64 distinct magnitudes in output channel"),
      std::string::npos)
      << out_;

  const auto model = Model::Load(Path("out.json"));
  ASSERT_TRUE(model.ok()) << model.status().message();
  const Graph& graph = model->graph();
  EXPECT_EQ(graph.name, "Net");
  EXPECT_EQ(graph.labels, (std::vector<std::string>{"cat", "dog", "horse"}));
  EXPECT_EQ(graph.inputs[0].preprocess.scale, 1.0f / 255);
  EXPECT_EQ(graph.inputs[0].preprocess.mean, (Floats{0.5f, 0.25f, -0.5f}));
  EXPECT_EQ(graph.inputs[0].preprocess.std, (Floats{0.5f}));

  const auto report = nlohmann::json::parse(Read(Path("report.json")));
  EXPECT_EQ(report["source"]["bytes"], fs::file_size(input));
  EXPECT_EQ(report["bytes"], fs::file_size(Path("out.json")) +
                                 fs::file_size(Path("out.safetensors")));
  int binary = 0, reasons = 0;
  for (const auto& layer : report["layers"]) {
    if (layer["op"] == "BinaryGemm") {
      ++binary;
      EXPECT_EQ(layer["weight_type"], "bipolar");
      EXPECT_EQ(layer["weight_bytes"], 64 * 5 * 8);  // 300 bits: 5 words
    }
    reasons += layer.contains("float_reason");
  }
  EXPECT_EQ(binary, 1);
  EXPECT_EQ(reasons, 1);
  EXPECT_TRUE(report["notes"].empty());
  ASSERT_EQ(report["signs"].size(), 1u);
  const auto& sign = report["signs"][0];
  EXPECT_EQ(sign["nodes"], nlohmann::json({"s"}));
  EXPECT_EQ(sign["values"], nlohmann::json({-1.0, 1.0}));
  EXPECT_EQ(sign["bases"], 1);
  EXPECT_TRUE(sign["impossible"].empty());
  EXPECT_EQ(sign["assumed_absent"], nlohmann::json({0.0}));  // of no pixel
  EXPECT_NE(out_.find("\nsign s: -1 and 1; assumed that 0 does not come\n"),
            std::string::npos)
      << out_;
}

TEST_F(ConvertCli, SignOfZeroOnRequest) {
  const std::string input = Write("in.onnx", SmallNetwork().Bytes());
  ASSERT_EQ(Convert(input + " -o " + Path("out.json") + " --sign-zero plus"), 0)
      << err_;
  EXPECT_NE(out_.find("an exact 0 becomes +1"), std::string::npos) << out_;
  EXPECT_EQ(out_.find("sign s"), std::string::npos) << out_;
  EXPECT_EQ(Convert(input + " -o " + Path("out.json") + " --sign-zero minus"),
            2);
}

TEST_F(ConvertCli, PrintsTheReportAsJson) {
  const std::string input = Write("in.onnx", SmallNetwork().Bytes());
  ASSERT_EQ(Convert(input + " -o " + Path("out.json") + " --report " +
                    Path("report.json") + " --json --labels a,b,c"),
            0)
      << err_;
  EXPECT_EQ(out_, Read(Path("report.json")));
  EXPECT_EQ(nlohmann::json::parse(out_)["files"].size(), 2u);
}

TEST_F(ConvertCli, SameFileSameBytes) {
  const std::string input = Write("in.onnx", SmallNetwork().Bytes());
  ASSERT_EQ(Convert(input + " -o " + Path("a.json")), 0);
  const std::string weights = Read(Path("a.safetensors"));
  const std::string json = Read(Path("a.json"));
  fs::remove(Path("a.safetensors"));
  ASSERT_EQ(Convert(input + " -o " + Path("a.json")), 0);
  EXPECT_EQ(Read(Path("a.json")), json);
  EXPECT_EQ(Read(Path("a.safetensors")), weights);
}

TEST_F(ConvertCli, HelpAndBadUsage) {
  EXPECT_EQ(Convert("--help"), 0);
  EXPECT_NE(out_.find("Examples:"), std::string::npos);
  const std::string input = Write("in.onnx", SmallNetwork().Bytes());
  const std::string both = input + " -o " + Path("out.json");
  for (const std::string& bad :
       {std::string(), input, "-o " + Path("out.json"), both + " --frobnicate",
        both + " --mean x", both + " --scale 1/0", both + " --scale abc",
        both + " --std 0", both + " --layout NCWH", both + " --labels a,b",
        both + " --mean 1,2", both + " --labels ,"}) {
    EXPECT_EQ(Convert(bad), 2) << bad;
    EXPECT_FALSE(err_.empty()) << bad;
    EXPECT_FALSE(fs::exists(Path("out.json"))) << bad;
  }
}

// Each is one line that names the option at fault.
TEST_F(ConvertCli, OptionsDoNotSwallowEachOther) {
  const std::string input = Write("in.onnx", SmallNetwork().Bytes());
  for (const std::string option : {"--std", "--mean", "--scale"}) {
    EXPECT_EQ(Convert(input + " " + option + " -o " + Path("k.json")), 2);
    EXPECT_EQ(err_.find("bq-convert: " + option + ": '-o' is not a number"), 0u)
        << err_;
    EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), 1) << err_;
    EXPECT_FALSE(fs::exists(Path("k.json")));
  }
  ASSERT_EQ(Convert("--mean -0.5,0.5,0 " + input + " -o " + Path("k.json")), 0)
      << err_;
}

TEST_F(ConvertCli, HelpAndVersion) {
  ASSERT_EQ(Convert("--help"), 0);
  std::istringstream lines(out_);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 90u) << line;
  }
  EXPECT_NE(out_.find("\n  -o,--output FILE\n"), std::string::npos) << out_;
  ASSERT_EQ(Convert("--version"), 0);
  EXPECT_EQ(out_, std::string("bq-convert ") + BQENGINE_VERSION + "\n");
}

TEST_F(ConvertCli, FullStandardOutput) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const std::string input = Write("in.onnx", SmallNetwork().Bytes());
  const std::string both = input + " -o " + Path("out.json");
  for (const std::string& arguments : {both, both + " --json"}) {
    EXPECT_EQ(Run(arguments, "/dev/full"), 1) << arguments;
    EXPECT_EQ(err_.find("bq-convert: cannot write to standard output"), 0u)
        << err_;
  }
  EXPECT_EQ(Run("--help", "/dev/full"), 1);
  EXPECT_EQ(Run("--version", "/dev/full"), 1);
}

TEST_F(ConvertCli, NoFileOverAnother) {
  const std::string bytes = SmallNetwork().Bytes();
  const std::string input = Write("in.onnx", bytes);
  const std::string json_input = Write("net.json", bytes);
  const std::string weights_input = Write("w.safetensors", bytes);
  fs::create_symlink(input, Path("link.json"));
  const std::string out = Path("out.json");
  const std::string labels = Write("labels.json", "cat\ndog\nhorse\n");
  const struct {
    std::string arguments;
    const char* message;
  } cases[] = {
      {input + " -o " + input, "must end in .json"},
      {input + " -o " + Path("out"), "must end in .json"},
      {input + " -o " + Path(".json"), "must end in .json"},
      {json_input + " -o " + json_input, "overwrite the ONNX file"},
      {input + " -o " + Path("link.json"), "overwrite the ONNX file"},
      {weights_input + " -o " + Path("w.json"), "overwrite the ONNX file"},
      {input + " -o " + labels + " --labels " + labels,
       "overwrite the file of labels"},
      {input + " -o " + out + " --report " + out, "overwrite the model"},
      {input + " -o " + out + " --report " + Path("./x/../out.json"),
       "overwrite the model"},
      {input + " -o " + out + " --report " + Path("out.safetensors"),
       "overwrite the model's weights file"},
      {input + " -o " + out + " --report " + input, "overwrite the ONNX file"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.arguments);
    EXPECT_EQ(Convert(c.arguments), 2);
    EXPECT_NE(err_.find(c.message), std::string::npos) << err_;
    for (const auto& path : {input, json_input, weights_input}) {
      EXPECT_EQ(Read(path), bytes) << path;
    }
    EXPECT_FALSE(fs::exists(out));
  }
  EXPECT_EQ(Read(labels), "cat\ndog\nhorse\n");
  EXPECT_EQ(Convert(input + " -o " + out + " --report /dev/null"), 0) << err_;
}

TEST_F(ConvertCli, LabelsOfNoFile) {
  const std::string both =
      Write("in.onnx", SmallNetwork().Bytes()) + " -o " + Path("out.json");
  for (const std::string& labels :
       {std::string("missing.txt"), Path("a,b,c"), std::string("cat"),
        folder_.string(), Write("empty", "\n")}) {
    EXPECT_EQ(Convert(both + " --labels " + labels), 2) << labels;
    EXPECT_EQ(err_.find("bq-convert: --labels " + labels + ": "), 0u) << err_;
    EXPECT_FALSE(fs::exists(Path("out.json")));
  }
}

TEST_F(ConvertCli, TellsThePreprocessing) {
  const std::string both =
      Write("in.onnx", SmallNetwork().Bytes()) + " -o " + Path("my-net.json");
  const std::string note = "note: no preprocessing given";
  ASSERT_EQ(Convert(both), 0) << err_;
  EXPECT_EQ(out_.find("input x: 10x10x3 NCHW, x = pixel\n"), 0u) << out_;
  EXPECT_NE(out_.find(note), std::string::npos) << out_;
  EXPECT_EQ(Model::Load(Path("my-net.json"))->graph().name, "my-net");

  ASSERT_EQ(Convert(both + " --scale 1/255 --mean 0.5,0.25,-1 --std 0.5"), 0);
  EXPECT_EQ(out_.find("input x: 10x10x3 NCHW, x = (pixel * 0.00392157 - "
                      "[0.5, 0.25, -1]) / 0.5\n"),
            0u)
      << out_;
  EXPECT_EQ(out_.find(note), std::string::npos) << out_;

  ASSERT_EQ(Convert(both + " --scale 0.5 --json"), 0);
  const auto input = nlohmann::json::parse(out_)["inputs"].at(0);
  EXPECT_EQ(input["scale"], 0.5f);
  EXPECT_EQ(input["item_shape"], (Ints{10, 10, 3}));
  EXPECT_EQ(input["layout"], "NCHW");
}

TEST_F(ConvertCli, CannotWrite) {
  const std::string input = Write("in.onnx", SmallNetwork().Bytes());
  EXPECT_EQ(Convert(input + " -o " + Path("missing/out.json")), 1);
  EXPECT_FALSE(err_.empty());
  EXPECT_EQ(Convert(input + " -o " + Path("out.json") + " --report " +
                    Path("missing/report.json")),
            1);
  EXPECT_NE(err_.find("report.json"), std::string::npos) << err_;
}

TEST_F(ConvertCli, BadFilesAreNamed) {
  const std::string good = SmallNetwork().Bytes();
  std::string old_opset = good, unknown;
  {
    OnnxFile file(5);
    file.Input("x", {0, 2}).Output("y").Node("Relu", {"x"}, "y");
    old_opset = file.Bytes();
    OnnxFile other;
    other.Input("x", {0, 2}).Output("y").Node("Sin", {"x"}, "node_y");
    other.Node("Cos", {"node_y"}, "y");
    unknown = other.Bytes();
  }
  fs::create_directory(folder_ / "folder.onnx");
  const struct {
    std::string path;
    const char* message;
  } cases[] = {
      {Path("absent.onnx"), "no such file"},
      {Path("folder.onnx"), "not a file"},
      {Write("empty.onnx", ""), "not an ONNX model"},
      {Write("text.onnx", "hello, this is no protobuf"), "not an ONNX model"},
      {Write("truncated.onnx", good.substr(0, good.size() / 2)),
       "not an ONNX model"},
      {Write("opset.onnx", old_opset), "opset 5"},
      {Write("unknown.onnx", unknown), "node 'node_y' (Sin)"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.path);
    EXPECT_EQ(Convert(c.path + " -o " + Path("out.json")), 2);
    EXPECT_NE(err_.find(c.path), std::string::npos) << err_;
    EXPECT_NE(err_.find(c.message), std::string::npos) << err_;
    EXPECT_FALSE(fs::exists(Path("out.json")));
  }
  EXPECT_NE(err_.find("node 'y' (Cos)"), std::string::npos) << err_;
}

// Whatever is cut off or flipped: an error or a graph, never a crash. (A cut
// can fall between two fields and leave a smaller valid model.)
TEST(ConvertDamaged, CutsAndFlippedBytes) {
  OnnxFile file;
  file.Input("x", {0, 2, 4, 4})
      .Output("y")
      .Constant("w", {3, 2, 2, 2}, RandomChoice(24, 92, -1, 1))
      .Constant("pads", {8}, Ints{0, 0, 1, 1, 0, 0, 1, 1})
      .Constant("shape", {2}, Ints{0, -1})
      .Node("Sign", {"x"}, "s")
      .Node("Pad", {"s", "pads"}, "p")
      .Node("Conv", {"p", "w"}, "c", {{"strides", Ints{2, 2}}})
      .Node("Reshape", {"c", "shape"}, "r")
      .Node("Softmax", {"r"}, "y", {{"axis", int64_t{1}}});
  const std::string good = file.Bytes();
  ASSERT_TRUE(convert::Convert(file).ok());
  const auto read = [](const std::string& bytes) {
    const TestFile on_disk("damaged.onnx", bytes);
    const auto source = ReadOnnx(on_disk.path());
    if (!source.ok()) return false;
    const auto conversion = ConvertModel(*source, {});
    return conversion.ok() && InferShapes(conversion->graph).ok();
  };
  int refused = 0;
  for (size_t size = 0; size < good.size(); ++size) {
    refused += !read(good.substr(0, size));
  }
  EXPECT_GT(refused, static_cast<int>(good.size() * 9 / 10));
  std::mt19937 random(93);
  refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = good;
    for (unsigned flips = 1 + random() % 3; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random() % 256);
    }
    refused += !read(bytes);
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace bqengine::convert

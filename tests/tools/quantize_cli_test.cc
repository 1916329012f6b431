// bq-quantize as users meet it: files in, files and exit statuses out.
#include <sys/wait.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "common_test_util.h"
#include "quantize_test_util.h"
#ifdef BQENGINE_HAVE_ONNX
#include "convert_test_util.h"
#endif

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>

namespace bqengine::ptq {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class QuantizeCli : public tools::FolderTest {
 protected:
  // Runs bq-quantize; the exit status, or -1 if it was killed.
  int Run(const std::string& arguments) {
    const std::string command = std::string(BQ_QUANTIZE) + " " + arguments +
                                " >" + Path("stdout") + " 2>" + Path("stderr");
    const int status = std::system(command.c_str());
    out_ = Read(Path("stdout"));
    err_ = Read(Path("stderr"));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // `few`: it says that images are few, and else nothing.
  Json RunJson(const std::string& arguments, bool few = false) {
    EXPECT_EQ(Run(arguments + " --json"), 0) << err_;
    EXPECT_EQ(err_.find("images are few") != std::string::npos, few) << err_;
    EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), few ? 1 : 0) << err_;
    return Json::parse(out_, nullptr, false);
  }
  // One line on standard error, nothing on standard output, no model.
  void ExpectError(int status, const std::string& arguments,
                   const std::string& what) {
    SCOPED_TRACE(arguments);
    EXPECT_EQ(Run(arguments), status);
    EXPECT_EQ(out_, "");
    EXPECT_TRUE(err_.starts_with("bq-quantize: ")) << err_;
    EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), 1) << err_;
    EXPECT_NE(err_.find(what), std::string::npos) << err_;
    EXPECT_FALSE(fs::exists(Path("out.json")));
  }

  // A float network of gray images in the folder.
  std::string WriteNetwork(uint32_t seed = 1) const {
    Graph graph = SmallNetwork(seed, 1);
    graph.name = "net";
    graph.inputs[0].preprocess = {1.0f / 255, {0.5f}, {0.5f}};
    const Status status = WriteGraph(graph, Path("float.json"));
    EXPECT_TRUE(status.ok()) << status.message();
    return Path("float.json");
  }
  std::string To(const std::string& name) const { return " -o " + Path(name); }

  static std::vector<uint8_t> RandomPixels(uint32_t seed, size_t count) {
    GraphMaker maker(seed);
    std::vector<uint8_t> pixels(count);
    for (uint8_t& pixel : pixels) {
      pixel = static_cast<uint8_t>(maker.Int(0, 255));
    }
    return pixels;
  }
  // A training set as MNIST's; the spec that names it.
  std::string WriteMnist(uint8_t count) const {
    const auto pixels = RandomPixels(2, count * 64u);
    const auto number = [](uint8_t value) {
      return std::string(3, '\0') + static_cast<char>(value);
    };
    Write("train-images-idx3-ubyte",
          std::string("\0\0\x08\x03", 4) + number(count) + number(8) +
              number(8) + std::string(pixels.begin(), pixels.end()));
    Write("train-labels-idx1-ubyte", std::string("\0\0\x08\x01", 4) +
                                         number(count) +
                                         std::string(count, '\0'));
    return "mnist:" + folder_.string();
  }
  void WritePicture(const std::string& name, uint32_t seed, int size) const {
    fs::create_directories((folder_ / name).parent_path());
    const auto pixels = RandomPixels(seed, static_cast<size_t>(size * size));
    ASSERT_TRUE(
        stbi_write_png(Path(name).c_str(), size, size, 1, pixels.data(), size));
  }

  std::string out_, err_;
};

TEST_F(QuantizeCli, WritesModelAndReport) {
  const std::string input = WriteNetwork();
  ASSERT_EQ(Run(input + " --method abcnet --weight-bases 3" + To("out.json") +
                " --report " + Path("report.json")),
            0)
      << err_;
  EXPECT_EQ(err_, "");
  for (const char* part :
       {"abcnet, 3 bases, refined", "BinaryWeightConv", "70x3x3x24",
        "stays float: first layer", "stays float: last layer", " -> "}) {
    EXPECT_NE(out_.find(part), std::string::npos) << part << "\n" << out_;
  }
  const auto model = Model::Load(Path("out.json"));
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->graph().name, "net");
  EXPECT_TRUE(model->graph().producer.starts_with("bq-quantize "));
  EXPECT_EQ(model->graph().inputs[0].preprocess.scale, 1.0f / 255);
  for (const Node& node : model->graph().nodes) {
    EXPECT_NE(node.op, "BatchNormalization");  // the engine's passes have run
  }

  const auto report = Json::parse(Read(Path("report.json")));
  const auto bytes = [this](const char* name) {
    return fs::file_size(Path(name));
  };
  EXPECT_EQ(report["source"]["bytes"],
            bytes("float.json") + bytes("float.safetensors"));
  EXPECT_EQ(report["source"]["files"].size(), 2u);
  EXPECT_EQ(report["bytes"], bytes("out.json") + bytes("out.safetensors"));
  EXPECT_EQ(report["files"][1]["path"], Path("out.safetensors"));
  EXPECT_EQ(report["method"], "abcnet");
  EXPECT_EQ(report["weight_bases"], 3);
  EXPECT_EQ(report["activation_bases"], 0);
  EXPECT_EQ(report["refine"], 20);
  EXPECT_FALSE(report.contains("calibration"));
  EXPECT_FALSE(report.contains("output_error"));
  ASSERT_EQ(report["layers"].size(), 4u);
  EXPECT_EQ(report["layers"][0]["float_reason"], "first layer");
  EXPECT_FALSE(report["layers"][0].contains("weight_error"));
  const Json& conv = report["layers"][1];
  EXPECT_EQ(conv["name"], "conv2");
  EXPECT_EQ(conv["op"], "BinaryWeightConv");
  EXPECT_EQ(conv["shape"], (Ints{70, 3, 3, 24}));
  EXPECT_GT(conv["bytes_before"], conv["bytes_after"]);
  for (const char* key : {"sum", "mean", "relative"}) {
    EXPECT_GT(conv["weight_error"][key], 0) << key;
    EXPECT_GT(report["weight_error"][key], 0) << key;
  }
  EXPECT_FALSE(conv.contains("float_reason"));
  EXPECT_LT(report["weight_bytes_after"], report["weight_bytes_before"]);
}

TEST_F(QuantizeCli, ErrorFallsWithTheBasesAndRefinement) {
  const std::string input = WriteNetwork();
  const auto error = [&](const std::string& arguments) {
    return RunJson(input + To("out.json") +
                   arguments)["weight_error"]["relative"]
        .get<double>();
  };
  double last = error(" --method bwn");
  EXPECT_LT(last, error(" --method abcnet --refine 0"));
  for (const char* bases : {"2", "3", "5"}) {
    const std::string method = " --method abcnet --weight-bases ";
    const double refined = error(method + bases);
    EXPECT_LT(refined, last) << bases;
    EXPECT_LT(refined, error(method + bases + " --refine 0")) << bases;
    last = refined;
  }
}

TEST_F(QuantizeCli, ChoosesLayers) {
  const std::string input = WriteNetwork();
  const auto quantized = [&](const std::string& arguments) {
    std::vector<std::string> names;
    const Json report =
        RunJson(input + " --method bwn" + To("out.json") + arguments);
    for (const Json& layer : report["layers"]) {
      if (layer.contains("weight_error")) names.push_back(layer["name"]);
    }
    return names;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(quantized(""), (Names{"conv2", "fc1"}));
  EXPECT_EQ(quantized(" --first-and-last"), (Names{"conv2", "fc1", "fc2"}));
  EXPECT_EQ(quantized(" --layers conv1,fc2"), (Names{"conv1", "fc2"}));
  EXPECT_EQ(quantized(" --skip fc1 --first-and-last"), (Names{"conv2", "fc2"}));
}

// Each source of images; the numbers are there.
TEST_F(QuantizeCli, Calibrates) {
  const std::string input = WriteNetwork();
  const std::string spec = WriteMnist(60);
  for (int i = 0; i < 12; ++i) {
    WritePicture("pictures/" + std::to_string(i % 3) + "/" + std::to_string(i) +
                     (i % 2 == 0 ? ".png" : ".PNG"),
                 static_cast<uint32_t>(100 + i), 8);
  }
  Write("pictures/notes.txt", "no picture");
  const struct {
    std::string source;
    int images;
  } cases[] = {{spec, 60},
               {spec + " --calibrate-images 7", 7},
               {Path("train-images-idx3-ubyte"), 60},
               {Path("pictures"), 12},
               {Path("pictures") + " --calibrate-images 5 -t 2", 5}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.source);
    const Json report =
        RunJson(input + " --method abcnet --weight-bases 2 --calibrate " +
                    c.source + To("out.json"),
                /*few=*/c.images < 30);
    EXPECT_EQ(report["calibration"]["images"], c.images);
    EXPECT_EQ(report["calibration"]["batch_norms"], 1);
    EXPECT_GT(report["output_error"]["relative"], 0);
    for (const size_t i : {1, 2}) {
      const Json& layer = report["layers"][i];
      EXPECT_GT(layer["output_error"]["relative"], 0);
      EXPECT_LT(layer["output_error"]["relative"], 1);
      int64_t channels = 0;
      for (const auto& [start, count] : layer["starts"].items()) {
        channels += count.get<int64_t>();
      }
      EXPECT_EQ(channels, layer["shape"][0]);
      EXPECT_FALSE(layer.contains("activations"));
    }
  }
  const Json report =
      RunJson(input + " --method bwn --activation-bases 3 --calibrate " + spec +
              To("out.json"));
  EXPECT_EQ(report["activation_bases"], 3);
  const Json& activations = report["layers"][1]["activations"];
  EXPECT_EQ(activations["encoding"], "unipolar");  // behind a Relu, padded
  EXPECT_EQ(activations["thresholds"].size(), 3u);
  EXPECT_EQ(activations["beta"].size(), 3u);
  EXPECT_GT(activations["relative_error"], 0);
  EXPECT_EQ(report["layers"][1]["op"], "BinaryConv");
  EXPECT_TRUE(Model::Load(Path("out.json")).ok());
}

TEST_F(QuantizeCli, ResizesPicturesAndSaysSo) {
  const std::string input = WriteNetwork();
  WritePicture("large/a.png", 3, 20);
  EXPECT_EQ(Run(input + " --method bwn --calibrate " + Path("large") +
                To("out.json")),
            0)
      << err_;
  EXPECT_NE(err_.find("a.png: resized from 20x20 to 8x8"), std::string::npos)
      << err_;
}

TEST_F(QuantizeCli, SameInputSameBytes) {
  const std::string all = WriteNetwork() +
                          " --method abcnet --weight-bases 2 "
                          "--activation-bases 2 --calibrate " +
                          WriteMnist(20) + To("out.json");
  ASSERT_EQ(Run(all), 0) << err_;
  const std::string json = Read(Path("out.json"));
  const std::string weights = Read(Path("out.safetensors"));
  ASSERT_EQ(Run(all), 0) << err_;
  EXPECT_EQ(Read(Path("out.json")), json);
  EXPECT_EQ(Read(Path("out.safetensors")), weights);
}

TEST_F(QuantizeCli, HelpAndBadUsage) {
  EXPECT_EQ(Run("--help"), 0);
  EXPECT_EQ(err_, "");
  for (const char* part :
       {"Examples:", "Exit status:", "--method", "--weight-bases", "--refine",
        "--layers", "--skip", "--first-and-last", "--calibrate",
        "--calibrate-images", "--activation-bases", "--threads", "--report",
        "--json"}) {
    EXPECT_NE(out_.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(Run("--version"), 0);
  EXPECT_EQ(out_, "bq-quantize " BQENGINE_VERSION "\n");

  const std::string both = WriteNetwork() + To("out.json");
  const std::string bwn = both + " --method bwn";
  const std::string abcnet = both + " --method abcnet";
  const std::string mnist = " --calibrate " + WriteMnist(3);
  for (const std::string& bad :
       {std::string(), both, both + " --method xnor", bwn + " --frobnicate",
        Path("float.json") + " --method bwn", bwn + " --weight-bases 2",
        abcnet + " --weight-bases 0", abcnet + " --weight-bases 11",
        abcnet + " --weight-bases x", abcnet + " --refine -1",
        bwn + " --activation-bases 1", bwn + " --calibrate-images 5",
        bwn + mnist + " --calibrate-images 0",
        bwn + mnist + " --activation-bases 11",
        bwn + " --layers conv2 --skip fc1",
        bwn + " --layers conv2 --first-and-last", bwn + " --layers nothing",
        bwn + " --skip conv2,fc1", bwn + " --skip relu1"}) {
    ExpectError(2, bad, "");
  }
}

TEST_F(QuantizeCli, DoesNotOverwriteWhatItReads) {
  const std::string input = WriteNetwork();
  const std::string before = Read(input);
  const std::string bwn = input + " --method bwn";
  ExpectError(2, bwn + To("float.json"), "would overwrite the float network");
  ExpectError(2, bwn + To("out"), "must end in .json");
  ExpectError(2, bwn + To("out.json") + " --report " + Path("out.json"),
              "the report would overwrite the model");
  ExpectError(2,
              bwn + To("out.json") + " --report " + Path("float.safetensors"),
              "the report would overwrite the float network's weights");
  EXPECT_EQ(Read(input), before);
  EXPECT_TRUE(Model::Load(input).ok());
}

TEST_F(QuantizeCli, CannotWrite) {
  const std::string bwn = WriteNetwork() + " --method bwn";
  EXPECT_EQ(Run(bwn + To("missing/out.json")), 1);
  EXPECT_NE(err_.find("missing/out."), std::string::npos) << err_;
  EXPECT_EQ(
      Run(bwn + To("out.json") + " --report " + Path("missing/report.json")),
      1);
  EXPECT_NE(err_.find("report.json"), std::string::npos) << err_;
}

TEST_F(QuantizeCli, BadFilesAreNamed) {
  const std::string input = WriteNetwork();
  const std::string text = Read(input);
  const std::string to = " --method bwn" + To("out.json");
  const struct {
    std::string path;
    const char* what;
  } cases[] = {
      {Path("absent.json"), "No such file"},
      {Write("empty.json", ""), ""},
      {Write("cut.json", text.substr(0, text.size() / 2)), ""},
      {Path("absent.onnx"), ""},
      {Write("text.onnx", "hello, this is no protobuf"), ""},
  };
  for (const auto& c : cases) {
    ExpectError(2, c.path + to, c.what);
    EXPECT_NE(err_.find(fs::path(c.path).filename().string()),
              std::string::npos)
        << err_;
  }
  const size_t weights = text.find("float.safetensors");
  ASSERT_NE(weights, std::string::npos);
  ExpectError(
      2, Write("lost.json", std::string(text).replace(weights, 5, "gone")) + to,
      "gone.safetensors: cannot be opened");
  // An architecture has no weights to quantize.
  Graph architecture = SmallNetwork(5, 1);
  architecture.constants["fc1.weight"] =
      Constant::Declare(architecture.constants["fc1.weight"].info());
  ASSERT_TRUE(WriteGraph(architecture, Path("arch.json")).ok());
  ExpectError(2, Path("arch.json") + to, "arch.json");
  // Nothing but binary layers.
  ExpectError(2,
              std::string(BQE_TEST_DATA) +
                  "/models/lenet-xnor-mnist.json --skip fc1" + to,
              "lenet-xnor-mnist.json");
}

TEST_F(QuantizeCli, BadImagesAreNamed) {
  const std::string bwn =
      WriteNetwork() + " --method bwn" + To("out.json") + " --calibrate ";
  fs::create_directory(folder_ / "none");
  ExpectError(2, bwn + Path("absent"), "absent: no such file or folder");
  ExpectError(2, bwn + Path("none"), "none: has no PNG or JPEG file");
  ExpectError(2, bwn + "imagenet:" + Path("none"), "imagenet:");
  ExpectError(2, bwn + "mnist:" + Path("none"), "none: ");
  ExpectError(2, bwn + Write("bad.idx", std::string("\0\0\x08\x03", 4)),
              "bad.idx: ");
  Write("none/broken.png", "\x89PNG");
  ExpectError(2, bwn + Path("none"), "broken.png: ");
}

// Whatever bytes of a model are damaged: an error or a model, never a crash.
TEST_F(QuantizeCli, DamagedModels) {
  GraphMaker maker(6);
  Graph graph = maker.Start({kBatch, 6});
  for (const char* name : {"a", "b", "c"}) {
    maker.Add(graph, "Gemm", name,
              {graph.nodes.empty() ? "x" : graph.nodes.back().name}, {},
              {{"weight", maker.RandomFloats({6, 6}, -1, 1)}});
  }
  ASSERT_TRUE(WriteGraph(graph, Path("good.json")).ok());
  const std::string json = Read(Path("good.json"));
  fs::copy_file(Path("good.safetensors"), Path("bad.safetensors"));
  int refused = 0;
  for (int i = 0; i < 60; ++i) {
    std::string bytes = json;
    const auto place = static_cast<size_t>(
        maker.Int(0, static_cast<int64_t>(bytes.size()) - 1));
    bytes[place] = static_cast<char>(maker.Int(32, 126));
    const int status = Run(Write("bad.json", bytes) + " --layers a,b,c" +
                           " --method bwn" + To("out.json"));
    EXPECT_TRUE(status == 0 || status == 2) << status << "\n" << bytes;
    refused += status == 2;
  }
  EXPECT_GT(refused, 20);
}

#ifdef BQENGINE_HAVE_ONNX

TEST_F(QuantizeCli, TakesOnnx) {
  convert::OnnxFile file;
  file.Input("x", {0, 1, 8, 8})
      .Output("y")
      .Constant("w1", {16, 1, 3, 3}, convert::RandomFloats(144, 7))
      .Constant("w2", {24, 16, 3, 3}, convert::RandomFloats(24 * 144, 8))
      .Constant("w3", {384, 4}, convert::RandomFloats(384 * 4, 9))
      .Node("Conv", {"x", "w1"}, "c1")
      .Node("Relu", {"c1"}, "r1")
      .Node("Conv", {"r1", "w2"}, "c2")
      .Node("Relu", {"c2"}, "r2")
      .Node("Flatten", {"r2"}, "f")
      .Node("MatMul", {"f", "w3"}, "y");
  const std::string input = Write("net.onnx", file.Bytes());
  const std::string all = input +
                          " --method abcnet --weight-bases 2 --scale 1/255 "
                          "--mean 0.5 --std 0.25 --labels a,b,c,d" +
                          To("small.json");
  const Json report = RunJson(all + " --calibrate " + WriteMnist(30));
  EXPECT_EQ(report["source"]["bytes"], fs::file_size(input));
  EXPECT_EQ(report["layers"][1]["op"], "BinaryWeightConv");
  EXPECT_EQ(report["layers"][2]["float_reason"], "last layer");
  const auto model = Model::Load(Path("small.json"));
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(model->graph().name, "small");
  EXPECT_EQ(model->graph().labels.size(), 4u);
  EXPECT_EQ(model->graph().inputs[0].layout, Layout::kNCHW);
  EXPECT_EQ(model->graph().inputs[0].preprocess,
            (Preprocess{1.0f / 255, {0.5f}, {0.25f}}));

  const std::string to = " --method bwn" + To("out.json");
  ExpectError(2, input + to + " --scale 1/0", "--scale");
  ExpectError(2, WriteNetwork() + to + " --scale 1/255",
              "are for ONNX files; a model has its own");
  convert::OnnxFile unknown;
  unknown.Input("x", {0, 2}).Output("y").Node("Sin", {"x"}, "y");
  ExpectError(2, Write("sin.onnx", unknown.Bytes()) + to,
              "sin.onnx: node 'y' (Sin)");
}

#else

TEST_F(QuantizeCli, SaysThatItReadsNoOnnx) {
  ExpectError(2, Write("net.onnx", "") + " --method bwn" + To("out.json"),
              "was built without libonnx");
}

#endif

}  // namespace
}  // namespace bqengine::ptq

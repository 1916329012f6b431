// Float networks into binary ones: what the new graphs compute.
#include <cmath>
#include <optional>

#include "quantize/decompose.h"
#include "quantize/scales.h"
#include "quantize_test_util.h"

namespace bqengine::ptq {
namespace {

constexpr Method kRefined3 = {.abcnet = true, .bases = 3, .refinement = 20};

// A graph of one product alone, which is first and last.
Graph OneProduct(GraphMaker* maker, const std::string& op, Shape input,
                 Shape weight, std::map<std::string, Attribute> attributes) {
  Graph graph = maker->Start(std::move(input));
  const int64_t channels = weight[0];
  maker->Add(graph, op, "product", {"x"}, std::move(attributes),
             {{"weight", maker->RandomFloats(std::move(weight), -0.5f, 0.5f)},
              {"bias", maker->RandomFloats({channels}, -1.0f, 1.0f)}});
  return graph;
}

// The float weights replaced by what the bits stand for, and the bias by add.
Graph WithWeightsOf(Graph graph, const Graph& quantized,
                    const std::string& name) {
  const Node& from = NodeNamed(quantized, name);
  const Node to = NodeNamed(graph, name);
  const Shape shape = ConstantOf(graph, to, "weight").shape();
  graph.constants[to.constants.at("weight")] =
      Constant::Floats(shape, WeightsOf(quantized, from));
  graph.constants[to.constants.at("bias")] = ConstantOf(quantized, from, "add");
  return graph;
}

TEST(QuantizeGraph, OutputsAreThoseOfTheReconstructedWeights) {
  const Graph graph = SmallNetwork(1);
  for (const Method& method :
       {Method{}, Method{true, 2, 0}, Method{true, 5, 20}}) {
    SCOPED_TRACE(method.bases);
    const Quantization q = Quantized(graph, {.method = method});
    EXPECT_EQ(NodeNamed(q.graph, "conv2").op, "BinaryWeightConv");
    EXPECT_EQ(NodeNamed(q.graph, "fc1").op, "BinaryWeightGemm");
    Graph expected = WithWeightsOf(graph, q.graph, "conv2");
    expected = WithWeightsOf(expected, q.graph, "fc1");
    const Images images = RandomImages(2, 5);
    const Floats outputs = RunGraph(expected, FloatsOf(images), 5);
    ExpectSameSums(RunGraph(q.graph, FloatsOf(images), 5), outputs, 1120);
    const auto optimized = OptimizeGraph(q.graph);
    ASSERT_TRUE(optimized.ok()) << optimized.status().message();
    ExpectSameSums(RunGraph(*optimized, FloatsOf(images), 5), outputs, 1120);
  }
}

TEST(QuantizeGraph, GroupsStridesAndDilations) {
  GraphMaker maker(3);
  const Graph graph =
      OneProduct(&maker, "Conv", {kBatch, 9, 11, 130}, {12, 3, 2, 65},
                 {{"kernel_shape", Ints{3, 2}},
                  {"strides", Ints{2, 1}},
                  {"pads", Ints{1, 0, 2, 1}},
                  {"dilations", Ints{1, 2}},
                  {"group", int64_t{2}}});
  QuantizeOptions options = {.method = kRefined3};
  options.selection.first_and_last = true;
  const Quantization q = Quantized(graph, options);
  const Floats input = maker.Floats(2 * 9 * 11 * 130, -1, 1);
  ExpectSameSums(RunGraph(q.graph, input, 2),
                 RunGraph(WithWeightsOf(graph, q.graph, "product"), input, 2),
                 6 * 65);
}

TEST(QuantizeGraph, WeightErrorFallsWithTheBases) {
  const Graph graph = SmallNetwork(4);
  for (const int64_t refinement : {0, 20}) {
    double last = 1;
    for (const int64_t bases : {1, 2, 3, 5}) {
      SCOPED_TRACE(bases);
      const Quantization q =
          Quantized(graph, {.method = {true, bases, refinement}});
      EXPECT_LT(q.weight_error.relative, last);
      last = q.weight_error.relative;
    }
  }
  const Quantization refined = Quantized(graph, {.method = kRefined3});
  const Quantization plain = Quantized(graph, {.method = {true, 3, 0}});
  EXPECT_LT(refined.weight_error.relative, plain.weight_error.relative / 1.5);
}

TEST(QuantizeGraph, SaysWhatItDid) {
  const Graph graph = SmallNetwork(5);
  const Quantization q = Quantized(graph, {.method = kRefined3});
  ASSERT_EQ(q.layers.size(), 4u);
  const LayerResult& conv = q.layers[1];
  EXPECT_EQ(conv.name, "conv2");
  EXPECT_EQ(conv.op, "BinaryWeightConv");
  EXPECT_EQ(conv.shape, (Shape{70, 3, 3, 24}));
  EXPECT_EQ(conv.bytes_before, 4 * (70 * 9 * 24 + 70));
  EXPECT_EQ(conv.bytes_after, 3 * 70 * 9 * 8 + 4 * (3 * 70 + 70));
  EXPECT_EQ(conv.float_reason, "");
  const auto error = quantize::MeasureError(
      ConstantOf(graph, NodeNamed(graph, "conv2"), "weight").floats(),
      WeightsOf(q.graph, NodeNamed(q.graph, "conv2")));
  EXPECT_EQ(conv.weight_error->sum, error->sum);
  EXPECT_EQ(conv.weight_error->relative, error->relative);
  EXPECT_FALSE(conv.output_error.has_value());
  EXPECT_EQ(q.layers[0].float_reason, "first layer");
  EXPECT_EQ(q.layers[3].float_reason, "last layer");
  EXPECT_FALSE(q.layers[0].weight_error.has_value());
  EXPECT_EQ(q.layers[0].bytes_before, q.layers[0].bytes_after);
  EXPECT_NEAR(q.weight_error.sum,
              conv.weight_error->sum + q.layers[2].weight_error->sum, 1e-6);
  EXPECT_TRUE(InferShapes(q.graph).ok());
  EXPECT_EQ(q.graph.constants.contains("conv2.bias"), false);
}

// Weights of one constant that two layers share are quantized for each.
TEST(QuantizeGraph, SharedConstants) {
  GraphMaker maker(6);
  Graph graph = maker.Start({kBatch, 64});
  const Constant weight = maker.RandomFloats({64, 64}, -1, 1);
  for (const char* name : {"a", "b", "c", "d"}) {
    maker.Add(graph, "Gemm", name,
              {graph.nodes.empty() ? "x" : graph.nodes.back().name});
    graph.nodes.back().constants = {{"weight", "shared"}};
  }
  graph.constants = {{"shared", weight}};
  const Quantization q = Quantized(graph, {.method = kRefined3});
  EXPECT_EQ(NodeNamed(q.graph, "a").op, "Gemm");
  EXPECT_EQ(NodeNamed(q.graph, "b").op, "BinaryWeightGemm");
  EXPECT_EQ(NodeNamed(q.graph, "c").op, "BinaryWeightGemm");
  EXPECT_TRUE(q.graph.constants.contains("shared"));
  EXPECT_TRUE(InferShapes(q.graph).ok());
}

TEST(QuantizeGraph, WeightsThatAreNoNumbers) {
  Graph graph = SmallNetwork(7);
  Floats values(40 * 1120, 0.5f);
  values[3] = NAN;
  graph.constants["fc1.weight"] = Constant::Floats({40, 1120}, values);
  const auto result = QuantizeGraph(graph, {.method = kRefined3}, nullptr);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().message(), "node 'fc1': value 3 is NaN");
}

TEST(QuantizeGraph, WeightsThatAreAllEqual) {
  Graph graph = SmallNetwork(8);
  for (const float value : {0.0f, 0.25f}) {
    graph.constants["fc1.weight"] =
        Constant::Floats({40, 1120}, Floats(40 * 1120, value));
    const Quantization q = Quantized(graph, {.method = kRefined3});
    EXPECT_NEAR(q.layers[2].weight_error->sum, 0, 1e-6);
  }
}

// ---------------------------------------------------------------- calibration

// How far the outputs are from the float network's, in squares.
double OutputError(const Graph& graph, const Graph& quantized,
                   const Images& images) {
  const Floats real = RunGraph(graph, FloatsOf(images), images.count);
  const Floats outputs = RunGraph(quantized, FloatsOf(images), images.count);
  double sum = 0;
  for (size_t i = 0; i < real.size(); ++i) {
    sum += (real[i] - outputs[i]) * (real[i] - outputs[i]);
  }
  return sum;
}

TEST(QuantizeCalibrated, OutputErrorFalls) {
  const Graph graph = SmallNetwork(9);
  const Images images = RandomImages(10, 100), fresh = RandomImages(11, 50);
  for (const Method& method :
       {Method{}, Method{true, 2, 0}, Method{true, 3, 20}}) {
    SCOPED_TRACE(method.bases);
    const Quantization plain = Quantized(graph, {.method = method});
    const Quantization q = Quantized(graph, {.method = method}, &images);
    EXPECT_LT(OutputError(graph, q.graph, images),
              0.8 * OutputError(graph, plain.graph, images));
    EXPECT_LT(OutputError(graph, q.graph, fresh),
              0.9 * OutputError(graph, plain.graph, fresh));
    EXPECT_EQ(q.batch_norms, 1);
    ASSERT_TRUE(q.output_error.has_value());
    const Floats real = RunGraph(graph, FloatsOf(images), images.count);
    const auto error = quantize::MeasureError(
        real, RunGraph(q.graph, FloatsOf(images), images.count));
    EXPECT_NEAR(q.output_error->relative, error->relative,
                1e-4 * error->relative);
  }
}

// Mean and deviation of each channel of a tensor.
std::vector<std::pair<double, double>> ChannelMoments(Graph graph,
                                                      const std::string& tensor,
                                                      const Images& images,
                                                      size_t channels) {
  graph.outputs = {{.name = tensor}};
  const Floats values = RunGraph(graph, FloatsOf(images), images.count);
  std::vector<std::pair<double, double>> moments(channels);
  const double count =
      static_cast<double>(values.size()) / static_cast<double>(channels);
  for (size_t i = 0; i < values.size(); ++i) {
    moments[i % channels].first += values[i] / count;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const double rest = values[i] - moments[i % channels].first;
    moments[i % channels].second += rest * rest / count;
  }
  for (auto& [mean, deviation] : moments) deviation = std::sqrt(deviation);
  return moments;
}

// Behind a batch norm, and without one, mean and deviation of each channel are
// those of the float network.
TEST(QuantizeCalibrated, MomentsAreThoseOfTheFloatNetwork) {
  Graph graph = SmallNetwork(12);
  const Images images = RandomImages(13, 200);
  for (const float epsilon : {1e-5f, 0.25f}) {
    for (Node& node : graph.nodes) {
      if (node.name == "norm") node.attributes["epsilon"] = epsilon;
    }
    const Quantization q = Quantized(graph, {.method = {true, 2, 20}}, &images);
    for (const auto& [tensor, channels] :
         {std::pair("norm", size_t{70}), std::pair("fc1", size_t{40})}) {
      SCOPED_TRACE(tensor);
      const auto expected = ChannelMoments(graph, tensor, images, channels);
      const auto actual = ChannelMoments(q.graph, tensor, images, channels);
      for (size_t c = 0; c < channels; ++c) {
        EXPECT_NEAR(actual[c].first, expected[c].first,
                    1e-3 * expected[c].second);
        EXPECT_NEAR(actual[c].second, expected[c].second,
                    1e-3 * expected[c].second);
      }
    }
  }
}

// Each channel has the bits that, scaled to fit its output, leave the least
// error: tried here one start after the other.
TEST(QuantizeCalibrated, EachChannelTakesItsBestStart) {
  constexpr int64_t kInputs = 24, kChannels = 40, kImages = 200;
  GraphMaker maker(30);
  Graph graph =
      OneProduct(&maker, "Gemm", {kBatch, kInputs}, {kChannels, kInputs}, {});
  const Constant weight = ConstantOf(graph, graph.nodes[0], "weight");
  const Images images = RandomImages(31, kImages, kInputs);
  const Method method = {.abcnet = true, .bases = 2};
  QuantizeOptions options = {.method = method};
  options.selection.first_and_last = true;
  const Quantization q = Quantized(graph, options, &images);

  const Floats target = RunGraph(graph, FloatsOf(images), kImages);
  graph.nodes[0].constants.erase("bias");
  const auto all =
      Decompositions(weight, method, {1.0f, 0.5f, 0.75f, 1.25f, 1.5f, 2.0f});
  ASSERT_TRUE(all.ok());
  std::vector<std::string> best(kChannels);
  std::vector<double> least(kChannels, INFINITY);
  for (const Decomposition& start : *all) {
    std::vector<Floats> sums;
    for (size_t m = 0; m < 2; ++m) {
      Floats alpha(2 * kChannels, 0.0f);
      std::fill_n(alpha.begin() + m * kChannels, kChannels, 1.0f);
      const auto base = quantize::Reconstruct(
          {start.weights.weight, Constant::Floats({2, kChannels}, alpha)});
      ASSERT_TRUE(base.ok());
      graph.constants = {{graph.nodes[0].constants.at("weight"),
                          Constant::Floats(weight.shape(), *base)}};
      sums.push_back(RunGraph(graph, FloatsOf(images), kImages));
    }
    ScaleFitter fitter(2, kChannels);
    fitter.Add(target, std::vector<std::span<const float>>{sums[0], sums[1]});
    const auto scales = fitter.Fit(true, start.weights.alpha.floats());
    ASSERT_TRUE(scales.ok());
    for (size_t o = 0; o < kChannels; ++o) {
      if (scales->squared_error[o] >= least[o]) continue;
      least[o] = scales->squared_error[o];
      best[o] = start.start;
    }
  }
  std::map<std::string, int64_t> starts;
  for (const std::string& start : best) ++starts[start];
  EXPECT_GT(starts.size(), 2u);
  EXPECT_EQ(q.layers[0].starts, starts);
}

// x as the sum of scaled bits that the layer's Binarize nodes make, by hand.
Floats SumOfBits(const Floats& x, const ActivationBases& bases) {
  const float smaller = bases.encoding == DataType::kBipolar ? -1.0f : 0.0f;
  Floats sums(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t n = 0; n < bases.beta.size(); ++n) {
      sums[i] += bases.beta[n] * (x[i] >= bases.thresholds[n] ? 1.0f : smaller);
    }
  }
  return sums;
}

// The binary product is the float product of the two sums, padding included.
TEST(QuantizeCalibrated, BinaryInputsAreExact) {
  struct Case {
    const char* what;
    float low;
    int64_t pad;
    DataType encoding;
  };
  for (const Case& c : {Case{"positive, padded", 0, 1, DataType::kUnipolar},
                        Case{"signed, padded", -1, 1, DataType::kBipolar},
                        Case{"positive", 0, 0, DataType::kBipolar},
                        Case{"signed", -1, 0, DataType::kBipolar}}) {
    SCOPED_TRACE(c.what);
    GraphMaker maker(14);
    const Graph graph =
        OneProduct(&maker, "Conv", {kBatch, 6, 6, 20}, {9, 3, 3, 20},
                   {{"kernel_shape", Ints{3, 3}},
                    {"pads", Ints{c.pad, c.pad, c.pad, c.pad}}});
    const Images images = ImagesOf(maker.Floats(40 * 6 * 6 * 20, c.low, 1), 40);
    QuantizeOptions options = {.method = {true, 2, 20}};
    options.selection.first_and_last = true;
    options.activation_bases = 3;
    const Quantization q = Quantized(graph, options, &images);
    ASSERT_EQ(q.layers.size(), 1u);
    ASSERT_TRUE(q.layers[0].activations.has_value());
    const ActivationBases& bases = *q.layers[0].activations;
    EXPECT_EQ(bases.encoding, c.encoding);
    EXPECT_EQ(bases.beta.size(), 3u);
    EXPECT_EQ(NodeNamed(q.graph, "product").op, "BinaryConv");
    ExpectSameSums(RunGraph(q.graph, FloatsOf(images), 40),
                   RunGraph(WithWeightsOf(graph, q.graph, "product"),
                            SumOfBits(FloatsOf(images), bases), 40),
                   9 * 20);
    EXPECT_LT(q.layers[0].output_error->relative, 0.35);
  }
}

TEST(QuantizeCalibrated, MoreActivationBasesAreBetter) {
  const Graph graph = SmallNetwork(15);
  const Images images = RandomImages(16, 100);
  double last = 1e9;
  for (const int64_t bases : {1, 2, 3, 5}) {
    const Quantization q = Quantized(
        graph, {.method = {true, 5, 20}, .activation_bases = bases}, &images);
    EXPECT_EQ(NodeNamed(q.graph, "conv2").op, "BinaryConv");
    EXPECT_EQ(NodeNamed(q.graph, "fc1").op, "BinaryGemm");
    EXPECT_EQ(NodeNamed(q.graph, "fc1").inputs.size(),
              static_cast<size_t>(bases));
    const double error = OutputError(graph, q.graph, images);
    EXPECT_LT(error, last) << bases;
    last = error;
    const auto optimized = OptimizeGraph(q.graph);
    ASSERT_TRUE(optimized.ok()) << optimized.status().message();
  }
}

// Two layers that take one tensor take the same bits.
TEST(QuantizeCalibrated, BitsAreShared) {
  GraphMaker maker(17);
  Graph graph = maker.Start({kBatch, 32});
  for (const char* name : {"a", "b"}) {
    maker.Add(graph, "Gemm", name, {"x"}, {},
              {{"weight", maker.RandomFloats({16, 32}, -1, 1)}});
  }
  maker.Add(graph, "Add", "sum", {"a", "b"});
  QuantizeOptions options = {.method = kRefined3, .activation_bases = 2};
  options.selection.first_and_last = true;
  const Images images = RandomImages(18, 64, 32);
  const Quantization q = Quantized(graph, options, &images);
  EXPECT_EQ(NodeNamed(q.graph, "a").inputs, NodeNamed(q.graph, "b").inputs);
  EXPECT_EQ(q.graph.nodes.size(), 5u);
}

// Padding is 0 in one encoding only: a padded layer cannot take the bits of one
// that is not.
TEST(QuantizeCalibrated, PaddedLayersHaveBitsOfTheirOwn) {
  GraphMaker maker(27);
  Graph graph = maker.Start({kBatch, 6, 6, 8});
  const auto conv = [&](const char* name, int64_t kernel, int64_t pad) {
    maker.Add(graph, "Conv", name, {"x"},
              {{"kernel_shape", Ints{kernel, kernel}},
               {"pads", Ints{pad, pad, pad, pad}}},
              {{"weight", maker.RandomFloats({5, kernel, kernel, 8}, -1, 1)}});
  };
  conv("plain", 1, 0);
  conv("padded", 3, 1);
  maker.Add(graph, "Add", "sum", {"plain", "padded"});
  QuantizeOptions options = {.method = kRefined3, .activation_bases = 2};
  options.selection.first_and_last = true;
  const Images images = ImagesOf(maker.Floats(40 * 6 * 6 * 8, 0, 1), 40);
  const Quantization q = Quantized(graph, options, &images);
  EXPECT_EQ(q.layers[0].activations->encoding, DataType::kBipolar);
  EXPECT_EQ(q.layers[1].activations->encoding, DataType::kUnipolar);
  EXPECT_NE(NodeNamed(q.graph, "plain").inputs,
            NodeNamed(q.graph, "padded").inputs);
}

TEST(QuantizeCalibrated, SameInputSameResult) {
  const Graph graph = SmallNetwork(19);
  const Images images = RandomImages(20, 40);
  const QuantizeOptions options = {.method = kRefined3, .activation_bases = 2};
  const Quantization a = Quantized(graph, options, &images);
  const Quantization b = Quantized(graph, options, &images);
  EXPECT_EQ(RunGraph(a.graph, FloatsOf(images), 40),
            RunGraph(b.graph, FloatsOf(images), 40));
}

TEST(QuantizeCalibrated, ActivationsThatAreNoNumbers) {
  Graph graph = SmallNetwork(21);
  Images images = RandomImages(22, 10);
  std::get<Floats>(images.values[0])[5] = INFINITY;
  for (const int64_t bases : {0, 1}) {
    const auto result = QuantizeGraph(
        graph, {.method = kRefined3, .activation_bases = bases}, &images);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().message(),
              "node 'conv2': activations are not finite numbers");
  }
}

// Channels that are always the same must not become infinite.
TEST(QuantizeCalibrated, DeadChannels) {
  Graph graph = SmallNetwork(23);
  graph.constants["conv1.weight"] =
      Constant::Floats({24, 3, 3, 3}, Floats(24 * 27, 0.0f));
  const Images images = RandomImages(24, 10);
  for (const int64_t bases : {0, 2}) {
    const Quantization q = Quantized(
        graph, {.method = kRefined3, .activation_bases = bases}, &images);
    for (const float y : RunGraph(q.graph, FloatsOf(images), 10)) {
      EXPECT_TRUE(std::isfinite(y));
    }
  }
}

}  // namespace
}  // namespace bqengine::ptq

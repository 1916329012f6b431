// Writes the small models of run_cli_test.py into a folder.
#include <cstdio>
#include <string>

#include "bqengine/model.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::GraphMaker;

// 28x28 gray pictures to ten classes with names, of bits inside.
Graph Digits() {
  GraphMaker maker(21);
  Graph graph = maker.Start({kBatch, 28, 28, 1});
  graph.inputs[0].layout = Layout::kNCHW;
  graph.inputs[0].preprocess = {1.0f / 255, {0.5f}, {0.5f}};
  GraphMaker::Add(graph, "Binarize", "bits", {"x"});
  GraphMaker::Add(graph, "Flatten", "flat", {"bits"});
  GraphMaker::Add(
      graph, "BinaryGemm", "scores", {"flat"}, {},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 10, 28 * 28})},
       {"mul", maker.RandomFloats({10}, 0.01f, 0.02f)}});
  for (int i = 0; i < 10; ++i) graph.labels.push_back("d" + std::to_string(i));
  return graph;
}

// The same with plain counts of bits for scores.
Graph Counts() {
  Graph graph = Digits();
  graph.nodes.back().constants.erase("mul");
  graph.constants.erase("scores.mul");
  graph.labels.clear();
  return graph;
}

// y = max(x, 0), channels-first in files.
Graph Relu() {
  GraphMaker maker(22);
  Graph graph = maker.Start({kBatch, 2, 3, 4});
  graph.inputs[0].layout = Layout::kNCHW;
  GraphMaker::Add(graph, "Relu", "y", {"x"});
  graph.outputs[0].layout = Layout::kNCHW;
  return graph;
}

// The mean of each channel of an RGB picture: which color is it?
Graph Color() {
  GraphMaker maker(23);
  Graph graph = maker.Start({kBatch, 4, 4, 3});
  graph.inputs[0].preprocess.scale = 1.0f / 255;
  GraphMaker::Add(graph, "GlobalAveragePool", "mean", {"x"});
  GraphMaker::Add(graph, "Flatten", "flat", {"mean"});
  GraphMaker::Add(graph, "Softmax", "y", {"flat"});
  graph.labels = {"red", "green", "blue"};
  return graph;
}

// Two inputs, two outputs: the sum, and its sign.
Graph Sum() {
  GraphMaker maker(24);
  Graph graph = maker.Start({kBatch, 5});
  graph.inputs.push_back(
      {.name = "x2", .info = {DataType::kFloat32, {kBatch, 5}}});
  GraphMaker::Add(graph, "Add", "sum", {"x", "x2"});
  GraphMaker::Add(graph, "Binarize", "sign", {"sum"});
  graph.outputs = {{.name = "sum"}, {.name = "sign"}};
  return graph;
}

// The pixels of an RGB picture as they are: sums of the channels times +1, +1,
// -1 and times +1, -1, +1.
Graph Pixels() {
  Graph graph;
  graph.inputs.push_back(
      {.name = "x", .info = {DataType::kUint8, {kBatch, 2, 2, 3}}});
  GraphMaker::Add(
      graph, "BinaryWeightConv", "y", {"x"},
      {{"kernel_shape", std::vector<int64_t>{1, 1}}},
      {{"weight",
        Constant::Bits(DataType::kBipolar, {1, 2, 1, 1, 3}, {0b011, 0b101})}});
  return graph;
}

bool Write(const std::string& path, const Graph& graph) {
  const Status status = WriteGraph(graph, path);
  if (!status.ok()) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(), status.message().c_str());
  }
  return status.ok();
}

}  // namespace
}  // namespace bqengine

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = std::string(argv[1]) + "/";
  const bool written =
      bqengine::Write(folder + "digits.json", bqengine::Digits()) &&
      bqengine::Write(folder + "counts.json", bqengine::Counts()) &&
      bqengine::Write(folder + "relu.json", bqengine::Relu()) &&
      bqengine::Write(folder + "color.json", bqengine::Color()) &&
      bqengine::Write(folder + "sum.json", bqengine::Sum()) &&
      bqengine::Write(folder + "pixels.json", bqengine::Pixels());
  return written ? 0 : 1;
}

// Kernels of the cpu backend must not depend on how the host runs their tasks.
// Here a host runs them in random order on more threads than there are cores,
// which change their ids, and expects the bits of one thread in order. (TBB
// would use no more threads than cores, and nearly in order.)
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <random>
#include <thread>

#include "builtin_backends.h"
#include "graph/graph_analysis.h"
#include "runtime/backend_node.h"
#include "runtime/program.h"
#include "tests/support/graph_maker.h"

namespace bqengine {
namespace {

using testing::GraphMaker;

constexpr uint32_t kThreads = 4;

void RunInOrder(void* /*context*/, int64_t count, bqe_task task,
                void* argument) {
  for (int64_t i = 0; i < count; ++i) task(argument, i, 0);
}

// `context`: a std::mt19937.
void RunShuffled(void* context, int64_t count, bqe_task task, void* argument) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(),
               *static_cast<std::mt19937*>(context));
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (uint32_t id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      for (size_t i = next++; i < order.size(); i = next++) {
        task(argument, order[i], id);
        std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

using ParallelFor = decltype(bqe_run::parallel_for);

// The output of the graph's only node. The workspace is filled with rubbish.
std::vector<uint8_t> RunNode(const bqe_kernel& kernel, const TensorInfo& output,
                             int64_t batch, const std::vector<uint8_t>& input,
                             uint32_t threads, ParallelFor parallel_for,
                             void* context) {
  const uint64_t bytes = kernel.workspace_bytes == nullptr
                             ? 0
                             : kernel.workspace_bytes(&kernel, batch, threads);
  std::vector<uint8_t> workspace(bytes + 64, 0xEE);
  void* aligned = workspace.data() +
                  (64 - reinterpret_cast<uintptr_t>(workspace.data()) % 64);
  std::vector<uint8_t> result(static_cast<size_t>(*ByteCount(output, batch)));
  const void* inputs[] = {input.data()};
  void* outputs[] = {result.data()};
  const bqe_run run = {.struct_size = sizeof(bqe_run),
                       .threads = threads,
                       .batch = batch,
                       .inputs = inputs,
                       .outputs = outputs,
                       .workspace = aligned,
                       .parallel_for = parallel_for,
                       .parallel_context = context};
  EXPECT_EQ(kernel.run(&kernel, &run, nullptr), BQE_OK);
  return result;
}

// Large enough to be cut into many tasks.
std::map<std::string, Graph> LargeNodes() {
  using Ints = std::vector<int64_t>;
  GraphMaker maker(1);
  const std::map<std::string, Attribute> conv = {{"kernel_shape", Ints{3, 3}},
                                                 {"pads", Ints{1, 1, 1, 1}}};
  const auto bits = [&](Shape shape) {
    Graph graph = maker.Start(std::move(shape));
    graph.inputs[0].info.type = DataType::kBipolar;
    return graph;
  };
  std::map<std::string, Graph> nodes;
  nodes["BinaryConv"] = bits({kBatch, 28, 28, 100});
  GraphMaker::Add(
      nodes["BinaryConv"], "BinaryConv", "y", {"x"}, conv,
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 200, 3, 3, 100})}});
  auto to_bits = conv;
  to_bits["output_type"] = std::string("bipolar");
  nodes["BinaryConvToBits"] = bits({kBatch, 28, 28, 100});
  GraphMaker::Add(
      nodes["BinaryConvToBits"], "BinaryConv", "y", {"x"}, to_bits,
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 200, 3, 3, 100})}});
  nodes["BinaryGemm"] = bits({kBatch, 30, 1000});
  GraphMaker::Add(
      nodes["BinaryGemm"], "BinaryGemm", "y", {"x"}, {},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 500, 1000})}});
  nodes["Conv"] = maker.Start({kBatch, 28, 28, 20});
  GraphMaker::Add(nodes["Conv"], "Conv", "y", {"x"}, conv,
                  {{"weight", maker.RandomFloats({70, 3, 3, 20}, -1, 1)}});
  nodes["BinaryWeightConv"] = maker.Start({kBatch, 28, 28, 20});
  GraphMaker::Add(
      nodes["BinaryWeightConv"], "BinaryWeightConv", "y", {"x"}, conv,
      {{"weight", maker.RandomBits(DataType::kBipolar, {2, 70, 3, 3, 20})}});
  nodes["Binarize"] = maker.Start({kBatch, 50, 50, 100});
  GraphMaker::Add(nodes["Binarize"], "Binarize", "y", {"x"});
  nodes["MaxPool"] = maker.Start({kBatch, 50, 50, 60});
  GraphMaker::Add(nodes["MaxPool"], "MaxPool", "y", {"x"},
                  {{"kernel_shape", Ints{3, 3}}});
  return nodes;
}

std::vector<uint8_t> RandomInput(GraphMaker& maker, const TensorInfo& info,
                                 int64_t batch) {
  Shape shape = info.shape;
  shape[0] = batch;
  const Constant values = info.type == DataType::kFloat32
                              ? maker.RandomFloats(shape, -1, 1)
                              : maker.RandomBits(info.type, shape);
  const auto* data = static_cast<const uint8_t*>(values.data());
  return {data, data + values.bytes()};
}

TEST(TaskOrder, NeverChangesABit) {
  bqe_plugin plugin = {};
  plugin.struct_size = sizeof(plugin);
  ASSERT_EQ(bqe_cpu_init(nullptr, &plugin, nullptr), BQE_OK);
  constexpr int64_t kBatchSize = 3;
  std::mt19937 random(7);
  GraphMaker maker(2);
  int ran = 0;
  for (const auto& [name, graph] : LargeNodes()) {
    const auto checked = CheckGraph(graph);
    ASSERT_TRUE(checked.ok()) << checked.status().message();
    const TensorInfo& output = checked->tensors.at("y");
    const BackendNode node(checked->nodes[0], checked->tensors);
    const auto input = RandomInput(maker, graph.inputs[0].info, kBatchSize);
    for (uint64_t b = 0; b < plugin.num_backends; ++b) {
      const bqe_backend* backend = plugin.backends[b];
      if (backend->score == 0) continue;
      SCOPED_TRACE(name + " on " + backend->name);
      ASSERT_TRUE(backend->supports(backend, &node.get()));
      bqe_kernel* compiled = nullptr;
      ASSERT_EQ(backend->compile(backend, &node.get(), &compiled, nullptr),
                BQE_OK);
      const KernelPtr kernel(compiled);
      const auto expected =
          RunNode(*kernel, output, kBatchSize, input, 1, RunInOrder, nullptr);
      for (int round = 0; round < 8; ++round) {
        ASSERT_TRUE(expected == RunNode(*kernel, output, kBatchSize, input,
                                        kThreads, RunShuffled, &random))
            << "round " << round;
      }
      ++ran;
    }
  }
  EXPECT_GT(ran, 0) << "no cpu backend can run on this machine";
}

}  // namespace
}  // namespace bqengine

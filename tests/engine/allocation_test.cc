// A run allocates nothing. This program replaces malloc and its kin for itself
// and every library it loads, and counts.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "bqengine/session.h"
#include "tests/support/graph_maker.h"
#include "tests/support/one_core.h"

namespace {

std::atomic<bool> g_counting{false};
std::atomic<int64_t> g_allocations{0};

void Count() {
  if (g_counting.load(std::memory_order_relaxed)) ++g_allocations;
}

}  // namespace

// glibc's own, behind the names that we take over.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

#define BQE_REPLACE __attribute__((visibility("default")))
BQE_REPLACE void* malloc(size_t bytes) {
  Count();
  return __libc_malloc(bytes);
}
BQE_REPLACE void* calloc(size_t count, size_t bytes) {
  Count();
  return __libc_calloc(count, bytes);
}
BQE_REPLACE void* realloc(void* memory, size_t bytes) {
  Count();
  return __libc_realloc(memory, bytes);
}
BQE_REPLACE void* memalign(size_t alignment, size_t bytes) {
  Count();
  return __libc_memalign(alignment, bytes);
}
BQE_REPLACE void* aligned_alloc(size_t alignment, size_t bytes) {
  Count();
  return __libc_memalign(alignment, bytes);
}
BQE_REPLACE int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  Count();
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
BQE_REPLACE void free(void* memory) { __libc_free(memory); }
}

namespace bqengine {
namespace {

using testing::GraphMaker;

Model EveryKindOfLayer() {
  GraphMaker maker(1);
  const std::vector<int64_t> k3 = {3, 3}, k2 = {2, 2}, pads = {1, 1, 1, 1};
  Graph graph = maker.Start({kBatch, 16, 16, 3});
  GraphMaker::Add(graph, "Conv", "first", {"x"},
                  {{"kernel_shape", k3}, {"pads", pads}},
                  {{"weight", maker.RandomFloats({70, 3, 3, 3}, -1, 1)}});
  GraphMaker::Add(graph, "BatchNormalization", "norm", {"first"}, {},
                  {{"scale", maker.RandomFloats({70}, -1, 1)},
                   {"bias", maker.RandomFloats({70}, -1, 1)},
                   {"mean", maker.RandomFloats({70}, -1, 1)},
                   {"var", maker.RandomFloats({70}, 1, 2)}});
  GraphMaker::Add(graph, "MaxPool", "pool", {"norm"}, {{"kernel_shape", k2}});
  GraphMaker::Add(graph, "Binarize", "sign", {"pool"});
  GraphMaker::Add(
      graph, "BinaryConv", "conv", {"sign"},
      {{"kernel_shape", k3},
       {"pads", pads},
       {"output_type", std::string("bipolar")}},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 70, 3, 3, 70})}});
  GraphMaker::Add(graph, "BinaryMaxPool", "bit_pool", {"conv"},
                  {{"kernel_shape", k2}, {"strides", k2}});
  GraphMaker::Add(
      graph, "BinaryConv", "conv2", {"bit_pool"}, {{"kernel_shape", k3}},
      {{"weight", maker.RandomBits(DataType::kBipolar, {2, 40, 3, 3, 70})},
       {"alpha", maker.RandomFloats({2, 40}, 0, 1)}});
  GraphMaker::Add(graph, "Relu", "relu", {"conv2"});
  GraphMaker::Add(
      graph, "BinaryWeightConv", "conv3", {"relu"}, {{"kernel_shape", k3}},
      {{"weight", maker.RandomBits(DataType::kBipolar, {1, 30, 3, 3, 40})}});
  GraphMaker::Add(graph, "Flatten", "flat", {"conv3"});
  GraphMaker::Add(graph, "Gemm", "scores", {"flat"}, {},
                  {{"weight", maker.RandomFloats({10, 3 * 3 * 30}, -1, 1)}});
  GraphMaker::Add(graph, "Softmax", "softmax", {"scores"});
  auto model = Model::FromGraph(std::move(graph));
  EXPECT_TRUE(model.ok()) << model.status().message();
  return *std::move(model);
}

class Allocation
    : public ::testing::TestWithParam<std::pair<std::string, int>> {};

TEST_P(Allocation, RunAllocatesNothing) {
  if (GetParam().second > 1) BQE_SKIP_ON_ONE_CORE();
  auto session =
      Session::Create(EveryKindOfLayer(), {.threads = GetParam().second,
                                           .max_batch = 2,
                                           .backend = GetParam().first,
                                           .profile = true});
  ASSERT_TRUE(session.ok()) << session.status().message();
  const std::vector<float> input(2 * 16 * 16 * 3, 0.5f);
  std::vector<float> output(20);
  // TBB starts its threads, and fills its pools of task objects, at first use.
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(session->Run(input, output).ok());
  g_allocations = 0;
  g_counting = true;
  bool ok = true;
  for (int i = 0; i < 20; ++i) ok = session->Run(input, output).ok() && ok;
  g_counting = false;
  EXPECT_TRUE(ok);
  EXPECT_EQ(g_allocations.load(), 0);
}

using BackendAndThreads = std::pair<std::string, int>;
INSTANTIATE_TEST_SUITE_P(Backends, Allocation,
                         ::testing::Values(BackendAndThreads("reference", 1),
                                           BackendAndThreads("", 1),
                                           BackendAndThreads("", 2)));

TEST(Allocation, TheCounterCounts) {
  g_allocations = 0;
  g_counting = true;
  std::vector<float>* vector = new std::vector<float>(1000);
  g_counting = false;
  delete vector;
  EXPECT_EQ(g_allocations.load(), 2);
}

}  // namespace
}  // namespace bqengine

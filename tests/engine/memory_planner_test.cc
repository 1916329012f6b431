#include "runtime/memory_planner.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace bqengine {
namespace {

uint64_t RoundUp(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

// Fails if two buffers that live at once share a byte, or one is misaligned.
void ExpectValid(std::span<const BufferLifetime> buffers,
                 const MemoryPlan& plan) {
  ASSERT_EQ(plan.offsets.size(), buffers.size());
  for (size_t i = 0; i < buffers.size(); ++i) {
    EXPECT_EQ(plan.offsets[i] % kArenaAlignment, 0u);
    EXPECT_LE(plan.offsets[i] + buffers[i].bytes, plan.bytes);
    for (size_t k = i + 1; k < buffers.size(); ++k) {
      const bool meet = buffers[i].first <= buffers[k].last &&
                        buffers[k].first <= buffers[i].last;
      const bool apart =
          plan.offsets[i] + buffers[i].bytes <= plan.offsets[k] ||
          plan.offsets[k] + buffers[k].bytes <= plan.offsets[i];
      EXPECT_TRUE(!meet || apart) << "buffers " << i << " and " << k;
    }
  }
}

TEST(MemoryPlanner, NoBuffersNeedNoMemory) {
  const auto plan = PlanMemory({});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->bytes, 0u);
}

TEST(MemoryPlanner, ChainAlternatesBetweenTwoPlaces) {
  const BufferLifetime chain[] = {
      {640, 0, 1}, {640, 1, 2}, {640, 2, 3}, {640, 3, 4}};
  const auto plan = PlanMemory(chain);
  ASSERT_TRUE(plan.ok());
  ExpectValid(chain, *plan);
  EXPECT_EQ(plan->bytes, 1280u);
}

TEST(MemoryPlanner, BothEndsOfALifetimeCount) {
  // The second is written in the step that reads the first.
  const BufferLifetime meeting[] = {{64, 0, 3}, {64, 3, 5}};
  const auto plan = PlanMemory(meeting);
  ASSERT_TRUE(plan.ok());
  EXPECT_NE(plan->offsets[0], plan->offsets[1]);
}

TEST(MemoryPlanner, SmallBufferFillsTheGapBelowALargeOne) {
  const BufferLifetime buffers[] = {
      {1024, 0, 0}, {512, 0, 9}, {512, 1, 9}, {256, 2, 3}};
  const auto plan = PlanMemory(buffers);
  ASSERT_TRUE(plan.ok());
  ExpectValid(buffers, *plan);
  EXPECT_EQ(plan->bytes, 1536u);
}

TEST(MemoryPlanner, EmptyBuffersAreAllowed) {
  const BufferLifetime buffers[] = {{0, 0, 5}, {100, 0, 5}, {0, 2, 2}};
  const auto plan = PlanMemory(buffers);
  ASSERT_TRUE(plan.ok());
  ExpectValid(buffers, *plan);
  EXPECT_EQ(plan->bytes, 128u);
}

TEST(MemoryPlanner, SizesThatOverflowAreRefused) {
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  for (uint64_t bytes : {kHuge, kHuge - 63, kHuge / 2}) {
    const BufferLifetime one[] = {{bytes, 0, 0}};
    EXPECT_EQ(PlanMemory(one).status().code(), StatusCode::kOutOfMemory);
  }
  const std::vector<BufferLifetime> many(40, {kHuge / 16 - 64, 0, 0});
  EXPECT_EQ(PlanMemory(many).status().code(), StatusCode::kOutOfMemory);
}

TEST(MemoryPlanner, RandomLifetimesNeverOverlap) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<BufferLifetime> buffers(1 + random() % 40);
    uint64_t total = 0;
    for (BufferLifetime& buffer : buffers) {
      buffer.bytes = random() % 5000;
      buffer.first = random() % 30;
      buffer.last = buffer.first + random() % 8;
      total += RoundUp(buffer.bytes);
    }
    const auto plan = PlanMemory(buffers);
    ASSERT_TRUE(plan.ok());
    ExpectValid(buffers, *plan);
    EXPECT_LE(plan->bytes, total);
  }
}

}  // namespace
}  // namespace bqengine

#include "kernels/bgemm.h"

#include <algorithm>
#include <cstdint>

#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bgemm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bgemm_epilogue-inl.h"
#include "bgemm_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

// One tile: `first` is its first row; the channels are those of the block at
// `channel`.
template <class Op, int kRows, int kVectors>
HWY_ATTR void RunTile(const BgemmPlan& plan, const BgemmRows& rows,
                      int64_t first, int64_t channel) {
  constexpr int64_t kMaxCount = kRows * kVectors * hn::MaxLanes(D32());
  alignas(64) uint32_t counts[kMaxCount];
  const int64_t first_byte = first * rows.row_bytes;
  const int64_t block = channel * plan.steps;
  const TileOutput output(plan, rows, first, channel);
  if (plan.alpha == nullptr) {
    CountTile<Op, kRows, kVectors>(rows.activations[0] + first_byte,
                                   rows.row_bytes, plan.weights + block,
                                   plan.steps, counts);
    for (int i = 0; i < kRows; ++i) {
      output.Finish<Op, kVectors>(i, counts);
    }
    return;
  }
  alignas(64) float sums[kMaxCount];
  alignas(64) float totals[kMaxCount];
  int64_t n = 0;
  do {  // at least one base of each kind: GCC warns of unset sums otherwise
    int64_t m = 0;
    do {
      CountTile<Op, kRows, kVectors>(
          rows.activations[n] + first_byte, rows.row_bytes,
          plan.weights + m * plan.weight_base_pitch + block, plan.steps,
          counts);
      for (int i = 0; i < kRows; ++i) {
        output.AddWeightBase<Op, kVectors>(i, m, counts, sums);
      }
    } while (++m < plan.weight_bases);
    for (int i = 0; i < kRows; ++i) {
      output.AddActivationBase<kVectors>(i, n, sums, totals);
    }
  } while (++n < plan.activation_bases);
  for (int i = 0; i < kRows; ++i) {
    output.FinishTotals<kVectors>(i, totals);
  }
}

// All rows against one block of channels, whose weights stay in L1.
template <class Op, int kVectors>
HWY_ATTR void RunBlock(const BgemmPlan& plan, const BgemmRows& rows,
                       int64_t channel) {
  int64_t row = 0;
  for (; row + kTileRows <= rows.rows; row += kTileRows) {
    RunTile<Op, kTileRows, kVectors>(plan, rows, row, channel);
  }
  if (row + 2 <= rows.rows) {
    RunTile<Op, 2, kVectors>(plan, rows, row, channel);
    row += 2;
  }
  if (row < rows.rows) RunTile<Op, 1, kVectors>(plan, rows, row, channel);
}

template <class Op>
HWY_ATTR void RunAll(const BgemmPlan& plan, const BgemmRows& rows) {
  const int64_t lanes = int64_t(hn::Lanes(D32()));
  const int64_t end = rows.first_channel + rows.channels;
  for (int64_t channel = rows.first_channel; channel < end;
       channel += kBlockVectors * lanes) {
    const int64_t left = end - channel;
    if (left <= lanes) {
      RunBlock<Op, 1>(plan, rows, channel);
    } else if (kBlockVectors == 2 || left <= 2 * lanes) {
      RunBlock<Op, 2>(plan, rows, channel);
    } else if (left <= 3 * lanes) {
      RunBlock<Op, HWY_MIN(3, kBlockVectors)>(plan, rows, channel);
    } else {
      RunBlock<Op, kBlockVectors>(plan, rows, channel);
    }
  }
}

HWY_ATTR void Run(const BgemmPlan& plan, const BgemmRows& rows) {
  if (plan.use_and) {
    RunAll<AndBits>(plan, rows);
  } else {
    RunAll<XorBits>(plan, rows);
  }
}

}  // namespace

constexpr BgemmKernels kBgemm = {
    .lanes = int64_t(HWY_LANES(uint32_t)),
    .block_vectors = kBlockVectors,
    .tile_rows = kTileRows,
    .run = Run,
};
constexpr const BgemmKernels* kBgemmKernels = &kBgemm;

#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {

const BgemmKernels* GetBgemmKernels(Target target) {
  return BQE_SELECT_TARGET(target, kBgemmKernels);
}

}  // namespace bqengine::kernels
#endif  // HWY_ONCE

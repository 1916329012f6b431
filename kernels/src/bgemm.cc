#include "kernels/bgemm.h"

#include <algorithm>
#include <cstdint>

#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bgemm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bgemm_epilogue-inl.h"
#include "bgemm_lookup-inl.h"
#include "bgemm_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

// One tile: `first` is its first row, `channel` its first channel, where a
// block of the weights begins. A tile of several blocks has the outputs of one
// after the other.
template <class Op, class Tile, int kRows>
HWY_ATTR void RunTile(const BgemmPlan& plan, const BgemmRows& rows,
                      int64_t first, int64_t channel) {
  constexpr int kVectors = Tile::kVectors;
  constexpr int64_t kBlockChannels = kVectors * hn::MaxLanes(D32());
  constexpr int64_t kBlockCounts = kRows * kBlockChannels;
  constexpr int64_t kCounts = Tile::kTileBlocks * kBlockCounts;
  alignas(64) uint32_t counts[kCounts];
  const int64_t first_byte = first * rows.row_bytes;
  const uint32_t* weights = plan.weights + channel * plan.channel_words;
  const auto output = [&](int64_t block) {
    return TileOutput(plan, rows, first, channel + block * kBlockChannels);
  };
  if (plan.alpha == nullptr) {
    Tile::template Count<Op, kRows>(rows.activations[0] + first_byte,
                                    rows.row_bytes, weights, plan.steps,
                                    counts);
    for (int64_t block = 0; block < Tile::kTileBlocks; ++block) {
      output(block).template Finish<Op, kRows, kVectors>(counts +
                                                         block * kBlockCounts);
    }
    return;
  }
  const auto for_each_row = [&](const auto& body) HWY_ATTR {
    for (int64_t block = 0; block < Tile::kTileBlocks; ++block) {
      for (int i = 0; i < kRows; ++i) {
        body(output(block), i, block * kBlockCounts);
      }
    }
  };
  alignas(64) float sums[kCounts];
  alignas(64) float totals[kCounts];
  int64_t n = 0;
  do {  // at least one base of each kind: GCC warns of unset sums otherwise
    int64_t m = 0;
    do {
      Tile::template Count<Op, kRows>(
          rows.activations[n] + first_byte, rows.row_bytes,
          weights + m * plan.weight_base_pitch, plan.steps, counts);
      for_each_row([&](const TileOutput& output, int i, int64_t at) HWY_ATTR {
        output.template AddWeightBase<Op, kVectors>(i, m, counts + at,
                                                    sums + at);
      });
    } while (++m < plan.weight_bases);
    for_each_row([&](const TileOutput& output, int i, int64_t at) HWY_ATTR {
      output.template AddActivationBase<kVectors>(i, n, sums + at, totals + at);
    });
  } while (++n < plan.activation_bases);
  for_each_row([&](const TileOutput& output, int i, int64_t at) HWY_ATTR {
    output.template FinishTotals<kVectors>(i, totals + at);
  });
}

// All rows against the channels of one tile, whose weights stay in cache.
template <class Op, class Tile>
HWY_ATTR void RunColumn(const BgemmPlan& plan, const BgemmRows& rows,
                        int64_t channel) {
  int64_t row = 0;
  for (; row + kTileRows <= rows.rows; row += kTileRows) {
    RunTile<Op, Tile, kTileRows>(plan, rows, row, channel);
  }
  if (row + 2 <= rows.rows) {
    RunTile<Op, Tile, 2>(plan, rows, row, channel);
    row += 2;
  }
  if (row < rows.rows) RunTile<Op, Tile, 1>(plan, rows, row, channel);
}

template <class Op>
HWY_ATTR void RunCounting(const BgemmPlan& plan, const BgemmRows& rows) {
  const int64_t lanes = int64_t(hn::Lanes(D32()));
  const int64_t end = rows.first_channel + rows.channels;
  for (int64_t channel = rows.first_channel; channel < end;
       channel += kBlockVectors * lanes) {
    const int64_t left = end - channel;
    if (left <= lanes) {
      RunColumn<Op, CountedTile<1>>(plan, rows, channel);
    } else if (kBlockVectors == 2 || left <= 2 * lanes) {
      RunColumn<Op, CountedTile<2>>(plan, rows, channel);
    } else if (left <= 3 * lanes) {
      RunColumn<Op, CountedTile<HWY_MIN(3, kBlockVectors)>>(plan, rows,
                                                            channel);
    } else {
      RunColumn<Op, CountedTile<kBlockVectors>>(plan, rows, channel);
    }
  }
}

#if BQE_LOOK_UP

template <class Op>
HWY_ATTR void RunLookingUp(const BgemmPlan& plan, const BgemmRows& rows) {
  const int64_t block = int64_t(hn::Lanes(D8()));
  const int64_t end = rows.first_channel + rows.channels;
  for (int64_t channel = rows.first_channel; channel < end;
       channel += 2 * block) {
    if (end - channel > block) {
      RunColumn<Op, LookUpTile<2>>(plan, rows, channel);
    } else {
      RunColumn<Op, LookUpTile<1>>(plan, rows, channel);
    }
  }
}

HWY_ATTR void PrepareRows(const BgemmPlan& plan, const uint8_t* bits,
                          int64_t bits_pitch, int64_t rows, uint8_t* prepared) {
  if (bits_pitch == plan.steps * kStepBytes) {
    LookUpRow(bits, rows * plan.steps, prepared);
    return;
  }
  for (int64_t row = 0; row < rows; ++row) {
    LookUpRow(bits + row * bits_pitch, plan.steps,
              prepared + row * plan.steps * kStepPieces);
  }
}

#endif  // BQE_LOOK_UP

template <class Op>
HWY_ATTR void RunAll(const BgemmPlan& plan, const BgemmRows& rows) {
#if BQE_LOOK_UP
  if (plan.prepared_row_bytes != 0) return RunLookingUp<Op>(plan, rows);
#endif
  RunCounting<Op>(plan, rows);
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
#if BQE_LOOK_UP
    .prepare_rows = PrepareRows,
#else
    .prepare_rows = nullptr,
#endif
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

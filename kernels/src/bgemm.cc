#include "kernels/bgemm.h"

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bgemm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bgemm_carry_save-inl.h"
#include "bgemm_epilogue-inl.h"
#include "bgemm_lookup-inl.h"
#include "bgemm_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

HWY_INLINE const int32_t* StartsOf(const TileWork& work) {
  const int64_t row = work.span.tap_class * work.plan.weight_bases + work.m;
  return work.plan.starts + row * work.plan.channel_pitch + work.channel;
}

HWY_INLINE const uint32_t* WeightsOf(const TileWork& work) {
  return work.plan.weights + work.m * work.plan.weight_base_pitch +
         work.channel * work.plan.channel_words;
}

template <class Op, int kRows, int kVectors>
struct SelectCountTile {
  using Tile = CountTile<Op, kRows, kVectors>;
};
#if BQE_LOOK_UP
template <class Op, int kVectors>
struct SelectCountTile<Op, 1, kVectors> {
  using Tile = CarrySaveTile<Op, kVectors>;
};
#endif

// Functions of tiles are not inlined into the loops around them: what those
// loops keep in registers would take them from the tile.
template <class Op, int kRows, int kTileVectors>
struct CountedTile {
  static constexpr int kVectors = kTileVectors;
  static constexpr int kBlocks = 1;

  template <TileForm kForm>
  static HWY_NOINLINE HWY_ATTR void Run(const TileWork& work, void* buffer) {
    using Tile = typename SelectCountTile<Op, kRows, kVectors>::Tile;
    Tile(work.rows.activations[work.n], work.rows.row_offsets + work.first,
         WeightsOf(work), StartsOf(work))
        .Run(work.span, [&](const auto& for_each_row) BQE_INLINE_LAMBDA {
          TileOutput<kRows, kVectors>(*Reload(&work), 0)
              .template Put<kForm>(for_each_row, work.m, buffer);
        });
  }
};

// A tile with several accumulators for an output, or one that needs care.
template <class Tile, int kRows>
HWY_NOINLINE HWY_ATTR void RunThroughSums(TileWork work) {
  using Output = TileOutput<kRows, Tile::kVectors>;
  const BgemmPlan& plan = work.plan;
  alignas(64) uint32_t kept[Tile::kBlocks * Output::kSize];
  alignas(64) float sums[Tile::kBlocks * Output::kSize];
  alignas(64) float totals[Tile::kBlocks * Output::kSize];
  const auto for_each_block = [&](const auto& body) {
    for (int block = 0; block < Tile::kBlocks; ++block) {
      body(Output(work, block), block * Output::kSize);
    }
  };
  for_each_block(
      [](const Output& output, int /*at*/) { output.PrefetchResidual(); });
  if (plan.alpha == nullptr) {
    Tile::template Run<TileForm::kKept>(work, kept);
    for_each_block(
        [&](const Output& output, int at) { output.FinishKept(kept + at); });
    return;
  }
  for (work.n = 0; work.n < plan.activation_bases; ++work.n) {
    for (work.m = 0; work.m < plan.weight_bases; ++work.m) {
      if (plan.odds == nullptr) {
        Tile::template Run<TileForm::kSums>(work, sums);
        continue;
      }
      Tile::template Run<TileForm::kKept>(work, kept);
      for_each_block([&](const Output& output, int at) {
        output.AddToSums(work.m, kept + at, sums + at);
      });
    }
    for_each_block([&](const Output& output, int at) {
      output.AddActivationBase(work.n, sums + at, totals + at);
    });
  }
  for_each_block(
      [&](const Output& output, int at) { output.FinishSums(totals + at); });
}

template <class Tile, int kRows>
HWY_INLINE HWY_ATTR void RunTile(const TileWork& work) {
  constexpr int64_t kChannels =
      Tile::kBlocks * Tile::kVectors * int64_t(HWY_LANES(uint32_t));
  const BgemmPlan& plan = work.plan;
  const int64_t end = work.rows.first_channel + work.rows.channels;
  if (plan.range_limit != nullptr) {
    Tile::template Run<TileForm::kBits>(work, nullptr);
  } else if (plan.alpha == nullptr && plan.odds == nullptr &&
             plan.post_steps == 0 && work.rows.output.y_bits == nullptr &&
             work.channel + kChannels <= end) {
    Tile::template Run<TileForm::kFloats>(work, nullptr);
  } else {
    RunThroughSums<Tile, kRows>(work);
  }
}

// Calls body(integral_constant<rows>, work) for tiles that make up all rows,
// against the channels of one tile, whose weights stay in cache.
template <class Body>
HWY_INLINE HWY_ATTR void ForEachTile(const BgemmPlan& plan,
                                     const BgemmRows& rows, int64_t channel,
                                     const Body& body) {
  int64_t first = 0, slot = 0;
  for (int64_t i = 0; i < rows.num_spans; ++i) {
    const BgemmSpan& span = rows.spans[i];
    const int64_t end = first + span.rows;
    const auto tile = [&](auto num_rows) HWY_ATTR {
      body(num_rows, TileWork{plan, rows, span, first, slot, channel, 0, 0});
      first += num_rows;
      slot += (num_rows + 1) / 2 * 2;
    };
    while (first + 4 <= end) tile(std::integral_constant<int, 4>());
    if (first + 2 <= end) tile(std::integral_constant<int, 2>());
    if (first < end) tile(std::integral_constant<int, 1>());
  }
}

// kSize: vectors or blocks of the tile, as Tile counts them.
template <template <class, int, int> class Tile, class Op, int kSize>
HWY_ATTR void RunColumn(const BgemmPlan& plan, const BgemmRows& rows,
                        int64_t channel) {
  ForEachTile(plan, rows, channel,
              [](auto num_rows, const TileWork& work) HWY_ATTR {
                constexpr int kRows = num_rows;
                RunTile<Tile<Op, kRows, kSize>, kRows>(work);
              });
}

template <class Op>
HWY_ATTR void RunCounting(const BgemmPlan& plan, const BgemmRows& rows) {
  const int64_t lanes = int64_t(hn::Lanes(D32()));
  const int64_t end = rows.first_channel + rows.channels;
  for (int64_t channel = rows.first_channel; channel < end;
       channel += kBlockVectors * lanes) {
    const int64_t left = end - channel;
    if (left <= lanes) {
      RunColumn<CountedTile, Op, 1>(plan, rows, channel);
    } else if (kBlockVectors == 2 || left <= 2 * lanes) {
      RunColumn<CountedTile, Op, 2>(plan, rows, channel);
    } else if (left <= 3 * lanes) {
      RunColumn<CountedTile, Op, HWY_MIN(3, kBlockVectors)>(plan, rows,
                                                            channel);
    } else {
      RunColumn<CountedTile, Op, kBlockVectors>(plan, rows, channel);
    }
  }
}

#if BQE_LOOK_UP

HWY_INLINE int64_t PairBytes(const BgemmPlan& plan) {
  return plan.steps * kPairStepBytes;
}

// Prepared pairs of an activation base. A slot is a place among the prepared
// rows; where a span ends with a single row, one stays empty.
HWY_INLINE uint8_t* PairsOf(const TileWork& work) {
  const int64_t pair = work.n * work.rows.rows + work.slot / 2;
  return work.rows.scratch + pair * PairBytes(work.plan);
}

template <class Op, int kRows, int kTileBlocks>
struct LookedUpTile {
  static constexpr int kVectors = 4;
  static constexpr int kBlocks = kTileBlocks;

  template <TileForm kForm>
  static HWY_NOINLINE HWY_ATTR void Run(const TileWork& work, void* buffer) {
    using Output = TileOutput<kRows, kVectors>;
    const int64_t block_bytes =
        work.plan.steps * kStepPieces * int64_t(hn::Lanes(D8()));
    LookUpTile<Op, kRows, kBlocks>(PairsOf(work), PairBytes(work.plan),
                                   WeightsOf(work), block_bytes, StartsOf(work))
        .Run(work.span,
             [&](int block, const auto& for_each_row) BQE_INLINE_LAMBDA {
               Output(work, block)
                   .template Put<kForm>(
                       for_each_row, work.m,
                       static_cast<uint32_t*>(buffer) + block * Output::kSize);
             });
  }
};

// Prepares the rows of one activation base.
HWY_ATTR void PreparePairs(const BgemmPlan& plan, const BgemmRows& rows,
                           int64_t n) {
  ForEachTile(plan, rows, 0, [n](auto num_rows, TileWork work) HWY_ATTR {
    work.n = n;
    uint8_t* pair = PairsOf(work);
    const uint8_t* const activations = work.rows.activations[n];
    for (int64_t i = 0; i < num_rows; i += 2) {
      const int64_t* offsets = work.rows.row_offsets + work.first + i;
      const uint8_t* first = activations + offsets[0];
      const uint8_t* second = activations + offsets[i + 1 < num_rows ? 1 : 0];
      uint8_t* to = pair + i / 2 * PairBytes(work.plan);
      for (int64_t r = 0; r < work.span.num_runs; ++r) {
        const BgemmRun& run = work.span.runs[r];
        PreparePair(first + run.offset, second + run.offset, run.steps, to);
        to += run.steps * kPairStepBytes;
      }
    }
  });
}

template <class Op>
HWY_ATTR void RunLookingUp(const BgemmPlan& plan, const BgemmRows& rows) {
  for (int64_t n = 0; n < plan.activation_bases; ++n) {
    PreparePairs(plan, rows, n);
  }
  const int64_t block = int64_t(hn::Lanes(D8()));
  const int64_t end = rows.first_channel + rows.channels;
  for (int64_t channel = rows.first_channel; channel < end;
       channel += 2 * block) {
    if (end - channel > block) {
      RunColumn<LookedUpTile, Op, 2>(plan, rows, channel);
    } else {
      RunColumn<LookedUpTile, Op, 1>(plan, rows, channel);
    }
  }
}

#endif  // BQE_LOOK_UP

template <class Op>
HWY_ATTR void RunAll(const BgemmPlan& plan, const BgemmRows& rows) {
#if BQE_LOOK_UP
  if (plan.looks_up) return RunLookingUp<Op>(plan, rows);
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
    .can_look_up = BQE_LOOK_UP,
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

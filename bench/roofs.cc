#include "roofs.h"

#include <cstdint>

#include "target_policy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "roofs.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bgemm_lookup-inl.h"
#include "bgemm_tile-inl.h"
#include "bit_planes-inl.h"

// Where results go, so that the compiler has to compute them.
#if HWY_ONCE
namespace bqengine::bench {
alignas(64) uint32_t roof_sink[16];
}  // namespace bqengine::bench
#else
namespace bqengine::bench {
extern uint32_t roof_sink[16];
}  // namespace bqengine::bench
#endif

HWY_BEFORE_NAMESPACE();
namespace bqengine::kernels::HWY_NAMESPACE {
#if BQE_KERNEL_TARGET
namespace {

// Eight chains: each step of a chain waits for the one before, but eight of
// them take longer to issue than one takes to finish. The loop is unrolled, for
// its own instructions would take the counters' ports.
HWY_ATTR void CountRoof(int64_t steps) {
  constexpr int kUnroll = 8;
  const D32 d;
  const V32 w = hn::LoadU(d, bench::roof_sink);
  V32 c0 = w, c1 = hn::Add(w, c0), c2 = hn::Add(w, c1), c3 = hn::Add(w, c2);
  V32 c4 = hn::Add(w, c3), c5 = hn::Add(w, c4), c6 = hn::Add(w, c5);
  V32 c7 = hn::Add(w, c6);
#if BQE_LOOK_UP
  // Three pieces of a pair of rows and their sum, in place of a step.
  const V8 table = hn::LoadDup128(D8(), kLookUpTables<XorBits>[5].data());
  const auto add = [&](V32& c, V32& second) HWY_ATTR {
    PairCounts counts = {hn::BitCast(D8(), c), hn::BitCast(D8(), second)};
    V8 sum = hn::TableLookupBytes(table, counts.both);
    for (int i = 0; i < 2; ++i) {
      sum = hn::Add(sum, hn::TableLookupBytes(table, counts.second));
      Pin(sum);
    }
    AddPieces(sum, counts);
    c = hn::BitCast(d, counts.both);
    second = hn::BitCast(d, counts.second);
  };
#else
  const BitCounts<XorBits> counter;
  const auto add = [&](V32& c, V32& second) HWY_ATTR {
    c = counter.Add(hn::Xor(c, w), c);
    second = counter.Add(hn::Xor(second, w), second);
  };
#endif
  for (; steps > 0; steps -= kUnroll) {
    HWY_UNROLL(kUnroll)
    for (int i = 0; i < kUnroll; ++i) {
      add(c0, c1), add(c2, c3), add(c4, c5), add(c6, c7);
    }
  }
  c0 = hn::Xor(hn::Xor(c0, c1), hn::Xor(c2, c3));
  c4 = hn::Xor(hn::Xor(c4, c5), hn::Xor(c6, c7));
  hn::StoreU(hn::Xor(c0, c4), d, bench::roof_sink);
}

// As above, with the adders of bit planes.
HWY_ATTR void PlaneRoof(int64_t steps) {
  constexpr int kUnroll = 8;
  const D64 d;
  const V64 w = hn::BitCast(d, hn::LoadU(D32(), bench::roof_sink));
  V64 s0 = w, s1 = hn::Add(w, s0), s2 = hn::Add(w, s1), s3 = hn::Add(w, s2);
  V64 c0 = hn::Add(w, s3), c1 = hn::Add(w, c0), c2 = hn::Add(w, c1);
  V64 c3 = hn::Add(w, c2);
  const auto add = [&](V64& sum, V64& carry)
                       HWY_ATTR { carry = FullAdd(sum, hn::Xor(carry, w), w); };
  for (; steps > 0; steps -= kUnroll) {
    HWY_UNROLL(kUnroll)
    for (int i = 0; i < kUnroll; ++i) {
      add(s0, c0), add(s1, c1), add(s2, c2), add(s3, c3);
      add(s0, c1), add(s1, c2), add(s2, c3), add(s3, c0);
    }
  }
  s0 = hn::Xor(hn::Xor(s0, s1), hn::Xor(s2, s3));
  c0 = hn::Xor(hn::Xor(c0, c1), hn::Xor(c2, c3));
  hn::StoreU(hn::BitCast(D32(), hn::Xor(s0, c0)), D32(), bench::roof_sink);
}

HWY_ATTR void WriteRoof(uint8_t* memory, int64_t bytes) {
  const D32 d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  const V32 value = hn::LoadU(d, bench::roof_sink);
  uint32_t* const to = reinterpret_cast<uint32_t*>(memory);
  const int64_t count = bytes / int64_t{sizeof(uint32_t)};
  for (int64_t i = 0; i < count; i += lanes) hn::Store(value, d, to + i);
}

HWY_ATTR void ReadRoof(const uint8_t* memory, int64_t bytes) {
  const D32 d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  const uint32_t* from = reinterpret_cast<const uint32_t*>(memory);
  const uint32_t* end = from + bytes / int64_t{sizeof(uint32_t)};
  V32 c0 = hn::Zero(d), c1 = c0, c2 = c0, c3 = c0;
  for (; from < end; from += 8 * lanes) {
    c0 = hn::Xor(hn::Xor(c0, hn::Load(d, from)), hn::Load(d, from + lanes));
    c1 = hn::Xor(hn::Xor(c1, hn::Load(d, from + 2 * lanes)),
                 hn::Load(d, from + 3 * lanes));
    c2 = hn::Xor(hn::Xor(c2, hn::Load(d, from + 4 * lanes)),
                 hn::Load(d, from + 5 * lanes));
    c3 = hn::Xor(hn::Xor(c3, hn::Load(d, from + 6 * lanes)),
                 hn::Load(d, from + 7 * lanes));
  }
  hn::StoreU(hn::Xor(hn::Xor(c0, c1), hn::Xor(c2, c3)), d, bench::roof_sink);
}

}  // namespace

constexpr bench::Roofs kRoofs = {
    .count = CountRoof,
#if BQE_LOOK_UP
    .binmacs_per_step = 4 * 2 * 3 * kPieceBits * int64_t(HWY_LANES(uint8_t)),
#else
    .binmacs_per_step = 8 * kStepBits * int64_t(HWY_LANES(uint32_t)),
#endif
    .read = ReadRoof,
    .write = WriteRoof,
};
constexpr const bench::Roofs* kRoofsOfTarget = &kRoofs;

constexpr bench::Roofs kPlaneRoofs = {
    .count = PlaneRoof,
    .binmacs_per_step = 8 * kWordBits * int64_t(HWY_LANES(uint64_t)),
    .read = ReadRoof,
    .write = WriteRoof,
};
constexpr const bench::Roofs* kPlaneRoofsOfTarget = &kPlaneRoofs;

#endif  // BQE_KERNEL_TARGET
}  // namespace bqengine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bqengine::kernels {
namespace {
const bench::Roofs* Select(Target target) {
  return BQE_SELECT_TARGET(target, kRoofsOfTarget);
}
const bench::Roofs* SelectPlanes(Target target) {
  return BQE_SELECT_TARGET(target, kPlaneRoofsOfTarget);
}
}  // namespace
}  // namespace bqengine::kernels

namespace bqengine::bench {
const Roofs* GetRoofs(kernels::Target target) {
  return kernels::Select(target);
}
const Roofs* GetPlaneRoofs(kernels::Target target) {
  return kernels::SelectPlanes(target);
}
}  // namespace bqengine::bench
#endif  // HWY_ONCE

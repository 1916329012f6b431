// Benchmarks of what first layers need: binary weights under float and 8-bit
// activations, and packing to bits.
#ifndef BENCH_WEIGHT_BENCH_H_
#define BENCH_WEIGHT_BENCH_H_

namespace bqengine::bench {

// wgemm, wconv7x7 (floats), w8gemm, w8conv7x7 (uint8), w8conv7x7_int8,
// binarize and binarize_uint8, for every target that this machine can run.
void RegisterWeightBenchmarks();

}  // namespace bqengine::bench

#endif  // BENCH_WEIGHT_BENCH_H_

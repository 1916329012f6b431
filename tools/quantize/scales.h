// Scales and additions of each output channel, chosen so that sums of binary
// products come close to what the float layer gives.
#ifndef BQENGINE_TOOLS_QUANTIZE_SCALES_H_
#define BQENGINE_TOOLS_QUANTIZE_SCALES_H_

#include <cstddef>
#include <span>
#include <vector>

#include "bqengine/status.h"

namespace bqengine::ptq {

// y[o] ~ add[o] + sum_m alpha[m, o] * s_m[o]
struct Scales {
  std::vector<float> alpha;           // [M, O]
  std::vector<float> add;             // [O]
  std::vector<double> squared_error;  // [O], before deviations are matched
};

// Collects what least squares needs to know, batch by batch.
class ScaleFitter {
 public:
  ScaleFitter(size_t bases, size_t channels);

  // `sums` has an entry for each base; all are of the size of `target`, with
  // the channels innermost.
  void Add(std::span<const float> target,
           std::span<const std::span<const float>> sums);

  // With `match_deviation`, alpha is enlarged so that the sums have the
  // standard deviation of the target: least squares gives less, and what
  // follows was trained for that of the float layer.
  //
  // Few samples (a dense layer has one per image) would be fitted exactly and
  // mean nothing, and samples without variance would make alpha 0: then alpha
  // is `otherwise`, [M, O], and only `add` is chosen. kInvalidArgument if
  // something was not finite.
  Result<Scales> Fit(bool match_deviation,
                     std::span<const float> otherwise) const;

  // Of each channel, for each number that is fitted.
  static constexpr double kFewestSamples = 10;

 private:
  // Of one channel, over all that was added: first entry the target, then the
  // sums. Relative to the first values seen, for the sake of rounding.
  struct Channel {
    std::vector<double> origin, total, products;
  };

  size_t bases_;
  double count_ = 0;
  std::vector<Channel> channels_;
};

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_SCALES_H_

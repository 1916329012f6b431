#include "peers/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <vector>

namespace bqengine::bench {
namespace {

// What `answer` should be where the right answer of a layer is y.
double Expected(const Answer& answer, float y) {
  if (answer.signs) return y >= 0 ? 1 : -1;
  return std::clamp(y, answer.lowest, answer.highest);
}

void CheckAnswer(const Layer& layer, size_t input, const Answer& answer,
                 Verified& verified) {
  const LayerInput& in = layer.inputs[input];
  const std::vector<float>& y = answer.of_unsigned ? in.unsigned_y : in.y;
  const auto differs = [&](const std::string& how) {
    throw std::runtime_error(
        fmt::format("answer differs (input {}: {})", input + 1, how));
  };
  if (answer.values.size() != y.size()) {
    differs(fmt::format("{} values, not {}", answer.values.size(), y.size()));
  }
  size_t wrong = 0, first_wrong = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    // A step lies half its size away from the nearest at most.
    const double allowed =
        0.5 * double(answer.step) +
        double(answer.rounding) * double(layer.mul[i % layer.mul.size()]);
    const double difference =
        std::abs(double(answer.values[i]) - Expected(answer, y[i]));
    if (difference <= allowed) {  // no NaN
      if (difference >= verified.difference) verified = {difference, allowed};
    } else if (wrong++ == 0) {
      first_wrong = i;
    }
  }
  if (wrong > 0) {
    differs(fmt::format("{} of {} values, the first is {}, not {}", wrong,
                        y.size(), answer.values[first_wrong],
                        Expected(answer, y[first_wrong])));
  }
}

}  // namespace

Verified Verify(const Layer& layer, Contender& contender) {
  Verified verified;
  // The first one last: it is what will be timed.
  for (size_t input = layer.inputs.size(); input-- > 0;) {
    contender.SetInput(layer.inputs[input]);
    contender.Run();
    CheckAnswer(layer, input, contender.Output(), verified);
  }
  return verified;
}

}  // namespace bqengine::bench

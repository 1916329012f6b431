// The attribute `post` of a binary product as the steps that kernels take.
#ifndef BACKENDS_COMMON_POST_OPS_H_
#define BACKENDS_COMMON_POST_OPS_H_

#include <optional>
#include <string_view>
#include <utility>

#include "kernels/epilogue.h"
#include "post_steps.h"

namespace bqengine::backends {

static_assert(kMostPostSteps == kernels::kMaxPostSteps);

// Nothing for a step of a later version.
inline std::optional<kernels::PostOp> FindPostOp(std::string_view step) {
  using kernels::PostOp;
  constexpr std::pair<std::string_view, PostOp> kOps[] = {
      {"Relu", PostOp::kRelu}, {"PRelu", PostOp::kPRelu},
      {"Clip", PostOp::kClip}, {"Add", PostOp::kAdd},
      {"Mul", PostOp::kMul},   {"Residual", PostOp::kResidual},
  };
  for (const auto& [name, op] : kOps) {
    if (step == name) return op;
  }
  return std::nullopt;
}

}  // namespace bqengine::backends

#endif  // BACKENDS_COMMON_POST_OPS_H_

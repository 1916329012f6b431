// Inputs for those who have none at hand.
#ifndef BQENGINE_TOOLS_RUN_RANDOM_INPUTS_H_
#define BQENGINE_TOOLS_RUN_RANDOM_INPUTS_H_

#include <cstdint>

#include "bqengine/model.h"
#include "bqengine/status.h"
#include "common/limits.h"
#include "run/inputs.h"

namespace bqengine::run {

inline constexpr unsigned kRandomSeed = 1;

// `count` items for each input of the model, the same in each call: normal
// values, or any bytes for integers. (Zeros would flatter anything that skips
// them.) kOutOfMemory, also beyond the limits; kInvalidArgument if the sizes
// overflow.
Result<Inputs> RandomInputs(const Model& model, int64_t count,
                            const tools::Limits& limits);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_RANDOM_INPUTS_H_

#include "run/random_inputs.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>

#include "common/memory.h"

namespace bqengine::run {

Result<Inputs> RandomInputs(const Model& model, int64_t count,
                            const tools::Limits& limits) {
  std::mt19937 generator(kRandomSeed);
  std::normal_distribution<float> normal;
  Inputs inputs;
  inputs.count = count;
  for (size_t i = 0; i < model.num_inputs(); ++i) {
    const Result<int64_t> elements = ElementCount(model.input(i).shape, count);
    if (!elements.ok()) return elements.status();
    const std::string name = "input '" + model.input_name(i) + "'";
    if (Status s = tools::CheckBuffer(name, model.input(i), count, limits);
        !s.ok()) {
      return s;
    }
    const auto add = [&](auto values, const auto& next) {
      if (!values.ok()) return values.status();
      std::generate(values->begin(), values->end(), next);
      inputs.values.push_back(*std::move(values));
      return Status();
    };
    const Status status =
        IsInteger(model.input(i).type)
            ? add(tools::MakeVector<uint8_t>(*elements, name),
                  [&] { return static_cast<uint8_t>(generator()); })
            : add(tools::MakeVector<float>(*elements, name),
                  [&] { return normal(generator); });
    if (!status.ok()) return status;
  }
  return inputs;
}

}  // namespace bqengine::run

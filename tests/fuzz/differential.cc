#include "tests/fuzz/differential.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <utility>

#include "bqengine/model.h"
#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "tests/fuzz/promise.h"

namespace bqengine::fuzz {
namespace {

using Kind = Promise::Kind;

Result<std::vector<Bytes>> RunModel(const Model& model, const TestCase& test,
                                    const SessionOptions& options,
                                    int* threads = nullptr) {
  auto session = Session::Create(model, options);
  if (!session.ok()) return session.status();
  if (threads != nullptr) *threads = session->threads();
  std::vector<InputView> inputs;
  for (const Bytes& input : test.inputs) {
    inputs.push_back({input.data(), input.size()});
  }
  std::vector<Bytes> results;
  for (size_t i = 0; i < model.num_outputs(); ++i) {
    const auto bytes = ByteCount(model.output(i), test.batch);
    // Poisoned: what no kernel writes differs.
    results.emplace_back(static_cast<size_t>(*bytes), 0xA5);
  }
  std::vector<OutputView> outputs;
  for (Bytes& result : results) {
    outputs.push_back({result.data(), result.size()});
  }
  const Status status = session->Run(test.batch, inputs, outputs);
  if (!status.ok()) return status;
  return results;
}

bool Keeps(const Promise& promise, float expected, float actual) {
  if (promise.kind == Kind::kNothing) return true;
  if (promise.kind == Kind::kNotNan) {
    return !std::isnan(actual) || !std::isfinite(expected);
  }
  if (std::isnan(expected) || std::isnan(actual)) {
    return std::isnan(expected) && std::isnan(actual);
  }
  switch (promise.kind) {
    case Kind::kSameValues:
      return expected == actual;
    case Kind::kClose:
      return expected == actual ||
             std::abs(double{expected} - double{actual}) <= promise.bound;
    default:
      return std::memcmp(&expected, &actual, sizeof(float)) == 0;
  }
}

std::string Text(const char* format, auto... values) {
  char text[200];
  std::snprintf(text, sizeof(text), format, values...);
  return text;
}

// What differs in a tensor; empty: nothing.
std::string Compare(const TensorInfo& info, const Promise& promise,
                    const Bytes& expected, const Bytes& actual) {
  if (expected == actual) return "";
  if (info.type == DataType::kFloat32) {
    for (size_t i = 0; i < expected.size() / sizeof(float); ++i) {
      float e, a;
      std::memcpy(&e, &expected[i * sizeof(float)], sizeof(float));
      std::memcpy(&a, &actual[i * sizeof(float)], sizeof(float));
      if (Keeps(promise, e, a)) continue;
      std::string text = Text("element %zu: %.9g instead of %.9g", i, a, e);
      if (promise.kind == Kind::kClose) {
        text += Text(", not within %.3g", promise.bound);
      }
      return text;
    }
    return "";
  }
  if (IsInteger(info.type)) return "integers differ";
  const auto channels = static_cast<size_t>(info.shape.back());
  const size_t row_bytes = (channels + 63) / 64 * 8;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == actual[i]) continue;
    for (size_t bit = 0; bit < 8; ++bit) {
      const int e = expected[i] >> bit & 1, a = actual[i] >> bit & 1;
      if (e == a) continue;
      return Text("row %zu, channel %zu%s: bit %d instead of %d", i / row_bytes,
                  i % row_bytes * 8 + bit,
                  i % row_bytes * 8 + bit >= channels ? " (padding)" : "", a,
                  e);
    }
  }
  return "";
}

// NaN among the constants: a pass made it, for no source has one.
std::optional<Difference> FindNan(const Graph& graph) {
  auto optimized = OptimizeGraph(graph);
  if (!optimized.ok()) {
    return Difference{"passes", "", optimized.status().message()};
  }
  for (const auto& [name, constant] : optimized->constants) {
    for (float value : constant.floats()) {
      if (std::isnan(value)) {
        return Difference{"passes", "", "constant '" + name + "' has NaN"};
      }
    }
  }
  return std::nullopt;
}

std::optional<Difference> CompareAll(
    const Model& model, const std::map<std::string, Promise>& promises,
    const std::string& backend, const std::vector<Bytes>& expected,
    const Result<std::vector<Bytes>>& actual) {
  if (!actual.ok()) return Difference{backend, "", actual.status().message()};
  for (size_t i = 0; i < expected.size(); ++i) {
    const std::string& name = model.output_name(i);
    const std::string what =
        Compare(model.output(i), promises.at(name), expected[i], (*actual)[i]);
    if (!what.empty()) return Difference{backend, name, what};
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<Bytes>> RunCase(const TestCase& test,
                                   const std::string& backend, bool optimize,
                                   int threads) {
  auto model = Model::FromGraph(test.graph);
  if (!model.ok()) return model.status();
  return RunModel(*model, test,
                  {.threads = threads,
                   .max_batch = test.batch,
                   .backend = backend,
                   .optimize = optimize});
}

std::optional<Difference> FindDifference(const TestCase& test) {
  const auto promises = PromisesOf(test);
  if (!promises.ok()) return std::nullopt;
  auto model = Model::FromGraph(test.graph);
  if (!model.ok()) return Difference{"model", "", model.status().message()};
  SessionOptions options = {
      .max_batch = test.batch, .backend = "reference", .optimize = false};
  const auto expected = RunModel(*model, test, options);
  if (!expected.ok()) {
    return Difference{"reference", "", expected.status().message()};
  }
  if (auto difference = FindNan(test.graph)) return difference;
  options.optimize = true;
  static const auto backends = ListBackends();
  for (const BackendInfo& backend : *backends) {
    if (backend.score == 0) continue;
    options.backend = backend.name;
    options.threads = 1;
    const auto one = RunModel(*model, test, options);
    if (auto difference = CompareAll(*model, *promises, backend.name + " fused",
                                     *expected, one)) {
      return difference;
    }
    options.threads = 2;
    int threads = 0;
    const auto two = RunModel(*model, test, options, &threads);
    if (threads < 2) continue;  // one core: the same once more
    // Threads never change a bit, not even of floats.
    const std::map<std::string, Promise> same = [&] {
      std::map<std::string, Promise> all;
      for (const auto& [name, promise] : *promises) all[name] = {};
      return all;
    }();
    if (auto difference = CompareAll(
            *model, same, backend.name + " fused, 2 threads against 1", *one,
            two)) {
      return difference;
    }
  }
  return std::nullopt;
}

}  // namespace bqengine::fuzz

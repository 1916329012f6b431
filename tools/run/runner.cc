#include "run/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "common/command_line.h"
#include "common/memory.h"

namespace bqengine::run {

void NoteThreads(int requested, int used) {
  if (requested <= used) return;  // 0: one per core
  tools::PrintMessage(
      "bq-run",
      fmt::format("--threads {}: uses {}, one for each core of this process",
                  requested, used));
}

Result<Runner> Runner::Create(const Model& model, const Options& options,
                              int64_t max_batch) {
  SessionOptions session_options;
  session_options.threads = options.threads;
  session_options.max_batch = max_batch;
  session_options.max_arena_bytes = options.limits.max_arena_bytes;
  session_options.backend = options.backend;
  session_options.profile = !options.profile.empty();
  Result<Session> session = Session::Create(model, session_options);
  if (!session.ok()) return session.status();

  NoteThreads(options.threads, session->threads());
  Runner runner(*std::move(session));
  runner.max_batch_ = max_batch;
  runner.profile_ = session_options.profile;
  for (size_t i = 0; i < model.num_inputs(); ++i) {
    const TensorInfo& info = model.input(i);
    if (IsBits(info.type)) {
      return Status(StatusCode::kUnsupported,
                    "input '" + model.input_name(i) + "' takes " +
                        DataTypeName(info.type) +
                        " values; bq-run can feed float32, int8 and uint8 "
                        "only");
    }
    const Result<int64_t> elements = ElementCount(info.shape);
    if (!elements.ok()) return elements.status();
    runner.input_item_elements_.push_back(static_cast<size_t>(*elements));
  }
  for (size_t i = 0; i < model.num_outputs(); ++i) {
    const TensorInfo& info = model.output(i);
    const Result<int64_t> elements = ElementCount(info.shape);
    const Result<int64_t> bytes = ByteCount(info);
    const Result<int64_t> all_bytes = ByteCount(info, max_batch);
    for (const auto* count : {&elements, &bytes, &all_bytes}) {
      if (!count->ok()) return count->status();
    }
    Output output{info,
                  static_cast<size_t>(*bytes),
                  static_cast<size_t>(*elements),
                  {},
                  {}};
    const std::string name = "output '" + model.output_name(i) + "'";
    if (Status s = tools::CheckBuffer(name, info, max_batch, options.limits);
        !s.ok()) {
      return s;
    }
    const int64_t words = *all_bytes / 8 + (*all_bytes % 8 != 0);
    Result<std::vector<uint64_t>> memory =
        tools::MakeVector<uint64_t>(words, name);
    if (!memory.ok()) return memory.status();
    output.memory = *std::move(memory);
    if (info.type != DataType::kFloat32) {
      const Result<int64_t> count = ElementCount(info.shape, max_batch);
      if (!count.ok()) return count.status();
      Result<std::vector<float>> values =
          tools::MakeVector<float>(*count, name);
      if (!values.ok()) return values.status();
      output.values = *std::move(values);
    }
    runner.outputs_.push_back(std::move(output));
  }
  runner.input_views_.resize(model.num_inputs());
  runner.output_views_.resize(model.num_outputs());
  return runner;
}

Status Runner::Run(int64_t first, int64_t batch,
                   std::span<const Values> inputs) {
  using Clock = std::chrono::steady_clock;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const size_t item = input_item_elements_[i];
    std::visit(
        [&](const auto& values) {
          input_views_[i] = {
              values.data() + static_cast<size_t>(first) * item,
              static_cast<size_t>(batch) * item * sizeof(values[0])};
        },
        inputs[i]);
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    output_views_[i] = {outputs_[i].memory.data(),
                        static_cast<size_t>(batch) * outputs_[i].item_bytes};
  }
  const Clock::time_point start = Clock::now();
  const Status status = session_.Run(batch, input_views_, output_views_);
  const Clock::time_point end = Clock::now();
  if (!status.ok()) return status;

  last_us_ = std::chrono::duration<double, std::micro>(end - start).count();
  last_batch_ = batch;
  if (profile_ && batch == max_batch_) {
    const std::vector<NodeProfile> nodes = session_.profile();
    layer_us_.resize(nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) {
      layer_us_[i].push_back(nodes[i].last_us);
    }
  }
  for (Output& output : outputs_) {
    if (IsBits(output.info.type)) ExpandBits(&output);
    if (IsInteger(output.info.type)) ExpandIntegers(&output);
  }
  return Status();
}

Result<int64_t> Runner::WarmUp(int64_t count, double least_us,
                               std::span<const Values> inputs) {
  constexpr int64_t kFewestRuns = 3;
  constexpr double kMostUs = 0.5e6;
  const int64_t batches = std::max<int64_t>(count / max_batch_, 1);
  int64_t done = 0;
  for (double total_us = 0;
       total_us < kMostUs && (done < kFewestRuns || total_us < least_us);
       ++done) {
    const Status status = Run(done % batches * max_batch_, max_batch_, inputs);
    if (!status.ok()) return status;
    total_us += last_us_;
  }
  layer_us_.clear();
  return done;
}

std::span<const float> Runner::output(size_t i) const {
  const Output& output = outputs_[i];
  const size_t count = static_cast<size_t>(last_batch_) * output.item_elements;
  if (output.info.type != DataType::kFloat32) {
    return std::span(output.values).first(count);
  }
  // The session wrote floats there.
  return {reinterpret_cast<const float*>(output.memory.data()), count};
}

void Runner::ExpandIntegers(Output* output) const {
  const auto* bytes = reinterpret_cast<const uint8_t*>(output->memory.data());
  const size_t count = static_cast<size_t>(last_batch_) * output->item_elements;
  for (size_t i = 0; i < count; ++i) {
    output->values[i] = output->info.type == DataType::kInt8
                            ? static_cast<float>(static_cast<int8_t>(bytes[i]))
                            : static_cast<float>(bytes[i]);
  }
}

// Rows of the innermost dimension start a word each (bqengine/graph.h).
void Runner::ExpandBits(Output* output) const {
  const float zero = output->info.type == DataType::kBipolar ? -1.0f : 0.0f;
  const size_t channels = static_cast<size_t>(output->info.shape.back());
  const size_t row_words = (channels + 63) / 64;
  const size_t rows =
      static_cast<size_t>(last_batch_) * output->item_elements / channels;
  for (size_t row = 0; row < rows; ++row) {
    const uint64_t* words = output->memory.data() + row * row_words;
    float* values = output->values.data() + row * channels;
    for (size_t c = 0; c < channels; ++c) {
      values[c] = (words[c / 64] >> (c % 64) & 1) != 0 ? 1.0f : zero;
    }
  }
}

}  // namespace bqengine::run

#include "common/limits.h"

#include <utility>

namespace bqengine::tools {
namespace {

constexpr std::pair<const char*, const char*> kFlags[] = {
    {"max_tensor_elements", "--max-tensor-elements"},
    {"max_weight_bytes", "--max-weight-bytes"},
    {"max_arena_bytes", "--max-arena-bytes"},
};

// "100", "64K", "2G". CLI11 reads a negative number as the largest.
std::string ReadSize(std::string& text) {
  static const CLI::AsSizeValue kSize(/*kb_is_1000=*/false);
  if (text.empty() || text[0] < '0' || text[0] > '9') {
    return "'" + text + "' is no size";
  }
  return kSize(text);
}

void Declare(CLI::App* app, const char* flag, uint64_t* value,
             const std::string& what) {
  app->add_option(flag, *value, what)
      ->option_text("N (default " + std::to_string(*value) + ")")
      ->transform(CLI::Validator(ReadSize, ""))
      ->group("Limits (2M is 2 * 1024 * 1024)");
}

}  // namespace

void DeclareLimits(CLI::App* app, Limits* limits) {
  Declare(app, "--max-tensor-elements", &limits->model.max_tensor_elements,
          "Refuse a model with more elements in one tensor of an item");
  Declare(app, "--max-weight-bytes", &limits->model.max_weight_bytes,
          "Refuse a larger file of weights");
  Declare(app, "--max-arena-bytes", &limits->max_arena_bytes,
          "Refuse to take more memory for the activations of a run, or for one "
          "of its inputs or outputs");
}

Status CheckBuffer(const std::string& name, const TensorInfo& info,
                   int64_t batch, const Limits& limits) {
  const Result<int64_t> bytes = ByteCount(info, batch);
  if (bytes.ok() && static_cast<uint64_t>(*bytes) <= limits.max_arena_bytes) {
    return Status();
  }
  return Status(StatusCode::kOutOfMemory,
                name + ": a batch of " + std::to_string(batch) + " takes " +
                    (bytes.ok() ? std::to_string(*bytes) : "too many") +
                    " bytes, more than max_arena_bytes, " +
                    std::to_string(limits.max_arena_bytes));
}

Status NameFlags(Status status) {
  if (status.code() != StatusCode::kOutOfMemory) return status;
  std::string message = status.message();
  for (const auto& [option, flag] : kFlags) {
    const std::string words = std::string("more than ") + option + ",";
    const size_t found = message.rfind(words);
    if (found == std::string::npos) continue;
    message.replace(found, words.size(),
                    std::string("more than ") + flag + ",");
  }
  return Status(status.code(), std::move(message));
}

}  // namespace bqengine::tools

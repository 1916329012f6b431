#include "quantize/source.h"

#include <sstream>
#include <utility>

#include "bqengine/model.h"
#include "common/command_line.h"
#include "common/file.h"
#ifdef BQENGINE_HAVE_ONNX
#include "convert.h"
#include "source_model.h"
#endif

namespace bqengine::ptq {
namespace {

Result<Source> ReadModel(const Options& options) {
  const auto model = Model::Load(options.input, options.limits.model);
  if (!model.ok()) return tools::InputError(model.status());
  return Source{model->graph(), tools::ModelFiles(options.input), {}};
}

#ifdef BQENGINE_HAVE_ONNX

// What is wrong with a network starts with its file, on each line.
Status NameFile(const Status& status, const std::string& path) {
  std::istringstream lines(status.message());
  std::string message;
  for (std::string line; std::getline(lines, line);) {
    message += (message.empty() ? "" : "\n") + path + ": " + line;
  }
  return Status(status.code(), message);
}

Result<Source> ReadOnnxModel(const Options& options) {
  const auto file = convert::ReadOnnx(options.input);
  if (!file.ok()) return tools::InputError(file.status());
  auto conversion =
      convert::ConvertModel(*file, options.import_options.convert);
  if (!conversion.ok()) return NameFile(conversion.status(), options.input);
  if (const auto shapes = InferShapes(conversion->graph); !shapes.ok()) {
    return NameFile(shapes.status(), options.input);
  }
  std::vector<std::string> notes = std::move(conversion->notes);
  for (const convert::SignReport& sign : conversion->signs) {
    if (!sign.assumed.empty() || !sign.assumed_somewhere.empty()) {
      notes.push_back(convert::SignText(sign));
    }
  }
  return Source{std::move(conversion->graph),
                {{options.input, file->file_bytes}},
                std::move(notes)};
}

#else

Result<Source> ReadOnnxModel(const Options& options) {
  return tools::FileError(StatusCode::kInvalidArgument, options.input,
                          "this bq-quantize was built without libonnx and "
                          "reads .json only");
}

#endif

}  // namespace

Result<Source> ReadSource(const Options& options) {
  return options.input.ends_with(".json") ? ReadModel(options)
                                          : ReadOnnxModel(options);
}

}  // namespace bqengine::ptq

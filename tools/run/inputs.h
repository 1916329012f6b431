// Input files of every kind, as the values that a model takes.
#ifndef BQENGINE_TOOLS_RUN_INPUTS_H_
#define BQENGINE_TOOLS_RUN_INPUTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bqengine/model.h"
#include "bqengine/status.h"
#include "common/limits.h"
#include "common/pixels.h"
#include "run/runner.h"

namespace bqengine::run {

// Takes one line for the user about something done to his input.
using Note = std::function<void(const std::string&)>;

struct Inputs {
  int64_t count = 0;               // items of the batch
  std::vector<Values> values;      // for each input
  std::vector<std::string> names;  // of items: pictures' files, or none
};

// Reads one file for each input of the model: .npy in the layout that the model
// declares for it, or pixels (PNG, JPEG, idx). Of a model with one input, any
// number of pictures. kNotFound, kIo, or kInvalidArgument naming the file, also
// for a number that an input of integers cannot hold; kOutOfMemory for pictures
// that the model's size makes larger than they are, and all in all larger than
// the limits allow.
Result<Inputs> ReadInputs(const Model& model,
                          const std::vector<std::string>& paths,
                          const Note& note, const tools::Limits& limits);

// Gray (1) or color (3), as the model's only input wants it; kInvalidArgument
// if that is not made for pictures.
Result<int64_t> WantedChannels(const Model& model);

// Pixels by the model's preprocessing, or as they are if its input is uint8;
// resized if the size differs. `name` stands for where they come from.
// kInvalidArgument if the model has several inputs, or takes no pictures, or
// other channels.
Result<Values> PixelsToValues(const Model& model,
                              const tools::PixelBatch& pixels,
                              const std::string& name, const Note& note,
                              const tools::Limits& limits = {});

// "2x3x4", with N for the batch.
std::string ShapeText(const Shape& shape);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_INPUTS_H_

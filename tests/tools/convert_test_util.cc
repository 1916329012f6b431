#include "convert_test_util.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>

#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "source_model.h"

namespace bqengine::convert {
namespace {

// Elements of an item from the file's order of dimensions to memory's, or back.
Floats Reordered(const Floats& values, Shape memory, Layout layout,
                 int64_t batch, bool to_memory) {
  if (layout == Layout::kNHWC) return values;
  const int64_t channels = memory.back();
  int64_t pixels = 1;
  for (size_t i = 1; i + 1 < memory.size(); ++i) pixels *= memory[i];
  Floats out(values.size());
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t in_memory = (b * pixels + p) * channels + c;
        const int64_t in_file = (b * channels + c) * pixels + p;
        if (to_memory) {
          out[in_memory] = values[in_file];
        } else {
          out[in_file] = values[in_memory];
        }
      }
    }
  }
  return out;
}

Floats RunOnce(const Graph& graph, const std::vector<Floats>& inputs,
               int64_t batch, const SessionOptions& options) {
  const auto model = Model::FromGraph(graph);
  if (!model.ok()) {
    ADD_FAILURE() << model.status().message();
    return {};
  }
  auto session = Session::Create(*model, options);
  if (!session.ok()) {
    ADD_FAILURE() << session.status().message();
    return {};
  }
  std::vector<Floats> in, out;
  std::vector<InputView> in_views;
  std::vector<OutputView> out_views;
  for (size_t i = 0; i < inputs.size(); ++i) {
    in.push_back(Reordered(inputs[i], model->input(i).shape,
                           graph.inputs[i].layout, batch, true));
    in_views.push_back({in.back().data(), in.back().size() * sizeof(float)});
  }
  for (size_t i = 0; i < model->num_outputs(); ++i) {
    out.emplace_back(*ElementCount(model->output(i).shape, batch));
    out_views.push_back({out.back().data(), out.back().size() * sizeof(float)});
  }
  const Status status = session->Run(batch, in_views, out_views);
  EXPECT_TRUE(status.ok()) << status.message();
  Floats all;
  for (size_t i = 0; i < out.size(); ++i) {
    const Floats one = Reordered(out[i], model->output(i).shape,
                                 graph.outputs[i].layout, batch, false);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

}  // namespace

OnnxFile::OnnxFile(int64_t opset) {
  proto_.set_ir_version(onnx::IR_VERSION);
  proto_.mutable_graph()->set_name("test");
  auto* import = proto_.add_opset_import();
  import->set_domain("");
  import->set_version(opset);
}

OnnxFile& OnnxFile::Input(const std::string& name, const Ints& dims) {
  auto* info = proto_.mutable_graph()->add_input();
  info->set_name(name);
  auto* type = info->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  for (int64_t dim : dims) {
    auto* d = type->mutable_shape()->add_dim();
    if (dim > 0) {
      d->set_dim_value(dim);
    } else {
      d->set_dim_param("batch");
    }
  }
  return *this;
}

OnnxFile& OnnxFile::Output(const std::string& name, int rank) {
  auto* info = proto_.mutable_graph()->add_output();
  info->set_name(name);
  auto* type = info->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  for (int i = 0; i < rank; ++i) type->mutable_shape()->add_dim();
  return *this;
}

OnnxFile& OnnxFile::Constant(const std::string& name, const Ints& dims,
                             const Floats& values) {
  auto* tensor = proto_.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::FLOAT);
  for (int64_t dim : dims) tensor->add_dims(dim);
  for (float value : values) tensor->add_float_data(value);
  return *this;
}

OnnxFile& OnnxFile::Constant(const std::string& name, const Ints& dims,
                             const Ints& values) {
  auto* tensor = proto_.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::INT64);
  for (int64_t dim : dims) tensor->add_dims(dim);
  for (int64_t value : values) tensor->add_int64_data(value);
  return *this;
}

OnnxFile& OnnxFile::Node(const std::string& op,
                         const std::vector<std::string>& inputs,
                         const std::string& output,
                         const std::vector<TestAttribute>& attributes,
                         const std::string& domain) {
  auto* node = proto_.mutable_graph()->add_node();
  node->set_op_type(op);
  node->set_domain(domain);
  for (const std::string& input : inputs) node->add_input(input);
  node->add_output(output);
  for (const TestAttribute& attribute : attributes) {
    auto* a = node->add_attribute();
    a->set_name(attribute.name);
    if (const auto* i = std::get_if<int64_t>(&attribute.value)) {
      a->set_type(onnx::AttributeProto::INT);
      a->set_i(*i);
    } else if (const auto* f = std::get_if<float>(&attribute.value)) {
      a->set_type(onnx::AttributeProto::FLOAT);
      a->set_f(*f);
    } else if (const auto* s = std::get_if<std::string>(&attribute.value)) {
      a->set_type(onnx::AttributeProto::STRING);
      a->set_s(*s);
    } else if (const auto* list = std::get_if<Ints>(&attribute.value)) {
      a->set_type(onnx::AttributeProto::INTS);
      for (int64_t value : *list) a->add_ints(value);
    } else {
      a->set_type(onnx::AttributeProto::FLOATS);
      for (float value : std::get<Floats>(attribute.value)) {
        a->add_floats(value);
      }
    }
  }
  return *this;
}

std::string OnnxFile::Bytes() const { return proto_.SerializeAsString(); }

TestFile::TestFile(const std::string& name, const std::string& bytes)
    : path_((std::filesystem::temp_directory_path() /
             ("bqe_convert_" + std::to_string(getpid()) + "_" + name))
                .string()) {
  std::ofstream(path_, std::ios::binary) << bytes;
}

TestFile::~TestFile() {
  std::error_code error;
  std::filesystem::remove(path_, error);
}

Result<Conversion> Convert(const OnnxFile& file,
                           const ConvertOptions& options) {
  const TestFile on_disk("model.onnx", file.Bytes());
  const auto source = ReadOnnx(on_disk.path());
  if (!source.ok()) return source.status();
  return ConvertModel(*source, options);
}

Conversion Converted(const OnnxFile& file, const ConvertOptions& options) {
  auto conversion = Convert(file, options);
  EXPECT_TRUE(conversion.ok()) << conversion.status().message();
  return conversion.ok() ? *std::move(conversion) : Conversion{};
}

int CountOps(const Graph& graph, const std::string& op) {
  return static_cast<int>(
      std::count_if(graph.nodes.begin(), graph.nodes.end(),
                    [&](const bqengine::Node& node) { return node.op == op; }));
}

Floats RunGraph(const Graph& graph, const std::vector<Floats>& inputs,
                int64_t batch) {
  SessionOptions options;
  options.max_batch = batch;
  options.backend = "reference";
  options.optimize = false;
  const Floats plain = RunOnce(graph, inputs, batch, options);
  for (const BackendInfo& backend : ListBackends()) {
    if (backend.score == 0) continue;
    for (bool optimize : {false, true}) {
      SCOPED_TRACE("backend '" + backend.name + "', optimize " +
                   std::to_string(optimize));
      options.backend = backend.name;
      options.optimize = optimize;
      ExpectNear(RunOnce(graph, inputs, batch, options), plain, 1e-5f);
    }
  }
  return plain;
}

Floats RandomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  Floats values(count);
  for (float& value : values) {
    // The standard leaves the distributions to the library; this is portable.
    value = static_cast<float>(random() % 20001) / 10000.0f - 1.0f;
  }
  return values;
}

Floats RandomChoice(size_t count, uint32_t seed, float a, float b) {
  std::mt19937 random(seed);
  Floats values(count);
  for (float& value : values) value = random() % 2 == 0 ? a : b;
  return values;
}

void ExpectNear(const Floats& actual, const Floats& expected, float tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  ASSERT_FALSE(expected.empty());
  for (size_t i = 0; i < expected.size(); ++i) {
    const float bound = tolerance * std::max(1.0f, std::abs(expected[i]));
    ASSERT_LE(std::abs(actual[i] - expected[i]), bound)
        << "element " << i << " of " << expected.size() << ": " << actual[i]
        << " instead of " << expected[i];
  }
}

// --------------------------------------------------- an evaluation by hand

Image MakeImage(int64_t batch, int64_t channels, int64_t height, int64_t width,
                uint32_t seed) {
  return {batch, channels, height, width,
          RandomFloats(batch * channels * height * width, seed)};
}

Image Mapped(Image image, float (*function)(float)) {
  for (float& value : image.values) value = function(value);
  return image;
}

Image Padded(const Image& in, const Ints& pads, float value) {
  Image out{in.batch,
            in.channels,
            in.height + pads[0] + pads[2],
            in.width + pads[1] + pads[3],
            {}};
  out.values.assign(out.batch * out.channels * out.height * out.width, value);
  for (int64_t b = 0; b < in.batch; ++b) {
    for (int64_t c = 0; c < in.channels; ++c) {
      for (int64_t h = 0; h < in.height; ++h) {
        for (int64_t w = 0; w < in.width; ++w) {
          out.At(b, c, h + pads[0], w + pads[1]) = in.At(b, c, h, w);
        }
      }
    }
  }
  return out;
}

Image Convolved(const Image& in, const Floats& weights, const ConvShape& s,
                const Floats& bias) {
  const int64_t in_group = in.channels / s.group;
  const int64_t out_group = s.out_channels / s.group;
  Image out{in.batch,
            s.out_channels,
            (in.height - (s.kernel_h - 1) * s.dilation - 1) / s.stride + 1,
            (in.width - (s.kernel_w - 1) * s.dilation - 1) / s.stride + 1,
            {}};
  out.values.resize(out.batch * out.channels * out.height * out.width);
  for (int64_t b = 0; b < out.batch; ++b) {
    for (int64_t o = 0; o < out.channels; ++o) {
      for (int64_t y = 0; y < out.height; ++y) {
        for (int64_t x = 0; x < out.width; ++x) {
          double sum = bias.empty() ? 0.0 : bias[o];
          for (int64_t c = 0; c < in_group; ++c) {
            for (int64_t i = 0; i < s.kernel_h; ++i) {
              for (int64_t j = 0; j < s.kernel_w; ++j) {
                const int64_t from = o / out_group * in_group + c;
                sum +=
                    static_cast<double>(in.At(b, from,
                                              y * s.stride + i * s.dilation,
                                              x * s.stride + j * s.dilation)) *
                    weights[((o * in_group + c) * s.kernel_h + i) * s.kernel_w +
                            j];
              }
            }
          }
          out.At(b, o, y, x) = static_cast<float>(sum);
        }
      }
    }
  }
  return out;
}

Image MaxPooled(const Image& in, int64_t size, int64_t stride) {
  Image out{in.batch,
            in.channels,
            (in.height - size) / stride + 1,
            (in.width - size) / stride + 1,
            {}};
  out.values.resize(out.batch * out.channels * out.height * out.width);
  for (int64_t b = 0; b < out.batch; ++b) {
    for (int64_t c = 0; c < out.channels; ++c) {
      for (int64_t y = 0; y < out.height; ++y) {
        for (int64_t x = 0; x < out.width; ++x) {
          float best = in.At(b, c, y * stride, x * stride);
          for (int64_t i = 0; i < size * size; ++i) {
            best = std::max(best, in.At(b, c, y * stride + i / size,
                                        x * stride + i % size));
          }
          out.At(b, c, y, x) = best;
        }
      }
    }
  }
  return out;
}

Floats Multiplied(const Floats& rows, const Floats& weights, int64_t k,
                  int64_t out) {
  const int64_t batch = static_cast<int64_t>(rows.size()) / k;
  Floats result(batch * out);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t o = 0; o < out; ++o) {
      double sum = 0;
      for (int64_t i = 0; i < k; ++i) {
        sum += static_cast<double>(rows[b * k + i]) * weights[i * out + o];
      }
      result[b * out + o] = static_cast<float>(sum);
    }
  }
  return result;
}

}  // namespace bqengine::convert

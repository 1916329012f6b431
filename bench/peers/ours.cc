// bqengine as its users meet it: graphs of one layer in a Session.
#include <stdexcept>
#include <utility>

#include "bqengine/graph.h"
#include "bqengine/model.h"
#include "bqengine/registry.h"
#include "bqengine/session.h"
#include "peers/contender.h"

namespace bqengine::bench {
namespace {

struct Form {
  bool bits_in, bits_out;
};

[[noreturn]] void Fail(const Status& status) {
  throw std::runtime_error(status.message());
}

// Binarize (if the input is floats), then the layer. Bits come out as
// acc * mul + add >= 0, which the session turns into thresholds.
Graph MakeGraph(const Layer& layer, const Form& form) {
  const kernels::ConvShape& conv = layer.shape;
  const kernels::Window& w = conv.window;
  Graph graph;
  graph.name = layer.op;
  const Shape input = layer.is_gemm
                          ? Shape{kBatch, conv.in_channels}
                          : Shape{kBatch, w.in_h, w.in_w, conv.in_channels};
  graph.inputs.push_back(
      {.name = "x",
       .info = {form.bits_in ? DataType::kBipolar : DataType::kFloat32,
                input}});
  if (!form.bits_in) {
    graph.nodes.push_back({.name = "pack",
                           .op = "Binarize",
                           .inputs = {"x"},
                           .outputs = {"bits"},
                           .constants = {},
                           .attributes = {}});
  }
  Node node = {
      .name = "layer",
      .op = layer.is_gemm ? "BinaryGemm" : "BinaryConv",
      .inputs = {form.bits_in ? "x" : "bits"},
      .outputs = {"y"},
      .constants = {{"weight", "weight"}, {"mul", "mul"}, {"add", "add"}},
      .attributes = {}};
  if (form.bits_out) node.attributes["output_type"] = std::string("bipolar");
  Shape weight = {1, conv.out_channels, w.kernel_h, w.kernel_w,
                  conv.in_channels / conv.groups};
  if (layer.is_gemm) {
    weight = {1, conv.out_channels, conv.in_channels};
  } else {
    using Sizes = std::vector<int64_t>;
    node.attributes["kernel_shape"] = Sizes{w.kernel_h, w.kernel_w};
    node.attributes["strides"] = Sizes{w.stride_h, w.stride_w};
    node.attributes["dilations"] = Sizes{w.dilation_h, w.dilation_w};
    node.attributes["pads"] =
        Sizes{w.pad_top, w.pad_left, w.pad_bottom, w.pad_right};
    node.attributes["group"] = conv.groups;
  }
  graph.nodes.push_back(node);
  graph.outputs.push_back({.name = "y"});
  graph.constants["weight"] =
      Constant::Bits(DataType::kBipolar, weight, layer.weight_bits);
  graph.constants["mul"] = Constant::Floats({conv.out_channels}, layer.mul);
  graph.constants["add"] = Constant::Floats({conv.out_channels}, layer.add);
  return graph;
}

class OurContender : public Contender {
 public:
  OurContender(const Layer& layer, const Form& form, Session session)
      : session_(std::move(session)),
        form_(form),
        batch_(layer.shape.window.batch),
        out_(layer.shape.out_channels) {
    const size_t pixels = size_t(layer.OutputPixels());
    if (form.bits_out) {
      y_bits_.resize(pixels * size_t(kernels::WordsFor(out_)));
      output_ = {y_bits_.data(), y_bits_.size() * sizeof(uint64_t)};
    } else {
      y_.resize(pixels * size_t(out_));
      output_ = {y_.data(), y_.size() * sizeof(float)};
    }
  }

  void SetInput(const LayerInput& input) override {
    if (form_.bits_in) {
      x_bits_ = input.x_bits;
      input_ = {x_bits_.data(), x_bits_.size() * sizeof(uint64_t)};
    } else {
      x_ = input.x;
      input_ = {x_.data(), x_.size() * sizeof(float)};
    }
  }

  void Run() override {
    const Status status = session_.Run(batch_, {&input_, 1}, {&output_, 1});
    if (!status.ok()) Fail(status);
  }

  Answer Output() override {
    if (!form_.bits_out) return {.values = y_};
    const size_t words = size_t(kernels::WordsFor(out_));
    Answer answer = {.values = {}, .signs = true};
    for (size_t row = 0; row < y_bits_.size(); row += words) {
      for (size_t o = 0; o < size_t(out_); ++o) {
        const uint64_t bit =
            y_bits_[row + o / kernels::kWordBits] >> (o % kernels::kWordBits) &
            1;
        answer.values.push_back(bit == 1 ? 1.0f : -1.0f);
      }
    }
    return answer;
  }
  std::string Implementation() const override { return session_.backend(); }

 private:
  Session session_;
  Form form_;
  int64_t batch_, out_;
  std::vector<float> x_, y_;
  std::vector<uint64_t> x_bits_, y_bits_;
  InputView input_;
  OutputView output_;
};

std::unique_ptr<Contender> MakeContender(const Layer& layer, const Form& form,
                                         const std::string& backend,
                                         int threads) {
  const Result<Model> model = Model::FromGraph(MakeGraph(layer, form));
  if (!model.ok()) Fail(model.status());
  Result<Session> session =
      Session::Create(*model, {.threads = threads,
                               .max_batch = layer.shape.window.batch,
                               .backend = backend});
  if (!session.ok()) Fail(session.status());
  return std::make_unique<OurContender>(layer, form, *std::move(session));
}

// The name of the backend that will do the work.
std::string ResolveBackend(const std::string& backend) {
  Layer layer = MakeLayer({.name = "bgemm/1x64x64",
                           .spec = {.shape = kernels::GemmAsConv(1, 64, 64),
                                    .format = {},
                                    .epilogue = {},
                                    .bits_out = false}});
  return MakeContender(layer, {.bits_in = true, .bits_out = false}, backend, 1)
      ->Implementation();
}

}  // namespace

void AddOurs(const std::string& backend, Engines& engines) {
  engines.backend = ResolveBackend(backend);
  const auto add = [&](const std::string& key, const std::string& heading,
                       const Form& form) {
    engines.columns.push_back(
        {.key = key,
         .heading = heading,
         .ours = true,
         .make = [form, backend](const Layer& layer, int threads) {
           return MakeContender(layer, form, backend, threads);
         }});
  };
  add("ours_us", "ours", {.bits_in = true, .bits_out = false});
  add("packed_us", "packed", {.bits_in = true, .bits_out = true});
  add("float_us", "float in", {.bits_in = false, .bits_out = false});
}

}  // namespace bqengine::bench

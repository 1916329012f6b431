// Backends that are wrong, one in each way that bq-run --check has to find, and
// one that is right in an order of its own.
#include <cstring>
#include <functional>

#include "bqengine/backend.hpp"

namespace {

using namespace bqengine::backend;

// What a kernel does to one item: from x to y, of the sizes of the node.
struct Item {
  const float* x;
  void* y;
  int64_t index;
};
struct Sizes {
  explicit Sizes(const NodeView& node)
      : values(node.output(0).Count(0, node.output(0).rank())),
        inputs(node.input(0).Count(0, node.input(0).rank())),
        channels(node.input(0).dim(-1)) {}
  int64_t values, inputs, channels;
};
using Body = std::function<void(const Sizes&, const Item&)>;

class WrongKernel : public Kernel {
 public:
  WrongKernel(const NodeView& node, const Body& body)
      : sizes_(node),
        output_bytes_(node.output(0).is_bits()
                          ? node.output(0).RowsPerItem() *
                                ((node.output(0).dim(-1) + 63) / 64) * 8
                          : sizes_.values * int64_t{sizeof(float)}),
        body_(body) {}

  void Run(const RunContext& run) const override {
    for (int64_t i = 0; i < run.batch(); ++i) {
      body_(sizes_, {run.input<float>(0) + i * sizes_.inputs,
                     run.output<char>(0) + i * output_bytes_, i});
    }
  }

 private:
  Sizes sizes_;
  int64_t output_bytes_;
  Body body_;
};

class WrongBackend : public Backend {
 public:
  WrongBackend(std::string op, Body body)
      : op_(std::move(op)), body_(std::move(body)) {}
  bool Supports(const NodeView& node) const override {
    return node.op() == op_ && node.input(0).type() == BQE_FLOAT32;
  }
  std::unique_ptr<Kernel> Compile(const NodeView& node) const override {
    return std::make_unique<WrongKernel>(node, body_);
  }

 private:
  std::string op_;
  Body body_;
};

void Relu(const Item& item, int64_t count) {
  float* y = static_cast<float*>(item.y);
  for (int64_t i = 0; i < count; ++i) y[i] = item.x[i] < 0 ? 0 : item.x[i];
}

Plugin MakePlugin(const bqe_host* /*host*/) {
  Plugin plugin("wrong", "1");
  const auto add = [&](const char* name, const char* op, Body body) {
    plugin.Add(name, "Wrong, for tests", 1,
               std::make_unique<WrongBackend>(op, std::move(body)));
  };
  add("silent", "Relu", [](const Sizes&, const Item&) {});
  add("half", "Relu", [](const Sizes& sizes, const Item& item) {
    Relu(item, sizes.values / 2);
  });
  // The second item's eighth value, by a 1024th.
  add("off", "Relu", [](const Sizes& sizes, const Item& item) {
    Relu(item, sizes.values);
    if (item.index == 1) static_cast<float*>(item.y)[7] += 1.0f / 1024;
  });
  // The right mean, but for the order in which it adds.
  const auto mean = [](const Sizes& sizes, const Item& item, float factor) {
    const int64_t count = sizes.inputs / sizes.channels;
    for (int64_t c = 0; c < sizes.channels; ++c) {
      float sum = 0;
      for (int64_t i = count; i-- > 0;) sum += item.x[i * sizes.channels + c];
      static_cast<float*>(item.y)[c] = factor * (sum / float(count));
    }
  };
  add("backwards", "GlobalAveragePool",
      [mean](const Sizes& sizes, const Item& item) { mean(sizes, item, 1); });
  add("imprecise", "GlobalAveragePool",
      [mean](const Sizes& sizes, const Item& item) {
        mean(sizes, item, 1.0001f);
      });
  // Signs, and ones where there are no channels; of fewer than 64.
  add("padding", "Binarize", [](const Sizes& sizes, const Item& item) {
    for (int64_t row = 0; row < sizes.inputs / sizes.channels; ++row) {
      uint64_t word = ~uint64_t{0};
      for (int64_t c = 0; c < sizes.channels; ++c) {
        if (!(item.x[row * sizes.channels + c] >= 0)) {
          word &= ~(uint64_t{1} << c);
        }
      }
      std::memcpy(static_cast<char*>(item.y) + row * 8, &word, sizeof(word));
    }
  });
  return plugin;
}

}  // namespace

BQE_DEFINE_PLUGIN(MakePlugin)

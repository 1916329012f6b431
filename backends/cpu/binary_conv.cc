#include "binary_ops.h"
#include "binary_product.h"
#include "grouped_conv.h"
#include "node_shapes.h"

namespace bqengine::backends::cpu {

std::unique_ptr<Kernel> CompileBinaryConv(const NodeView& node, Target target) {
  const kernels::BconvSpec spec = {.shape = ConvShapeOf(node),
                                   .format = BinaryFormatOf(node),
                                   .epilogue = EpilogueOf(node),
                                   .bits_out = node.output(0).is_bits()};
  const uint64_t* weight = node.constant("weight").words();
  if (kernels::UsesBgrouped(spec)) {
    return std::make_unique<GroupedConv>(spec, weight, target);
  }
  return std::make_unique<BinaryProduct>(spec, weight, target);
}

}  // namespace bqengine::backends::cpu

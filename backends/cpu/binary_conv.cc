#include "binary_ops.h"
#include "binary_product.h"
#include "grouped_conv.h"
#include "node_shapes.h"

namespace bqengine::backends::cpu {

std::unique_ptr<Kernel> CompileBinaryConv(const NodeView& node, Target target) {
  const kernels::BconvSpec spec = BconvSpecOf(node, ConvShapeOf(node));
  if (kernels::UsesBgrouped(spec)) {
    return std::make_unique<GroupedConv>(spec, node.constant("weight").words(),
                                         target);
  }
  return std::make_unique<BinaryProduct>(spec, node, target);
}

}  // namespace bqengine::backends::cpu

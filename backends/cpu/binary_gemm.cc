#include "binary_ops.h"
#include "binary_product.h"
#include "node_shapes.h"

namespace bqengine::backends::cpu {

std::unique_ptr<Kernel> CompileBinaryGemm(const NodeView& node, Target target) {
  const GemmShape gemm = GemmShapeOf(node);
  // Each row is an image of one pixel.
  const kernels::Window window = {.batch = gemm.rows_per_item,
                                  .in_h = 1,
                                  .in_w = 1,
                                  .out_h = 1,
                                  .out_w = 1,
                                  .kernel_h = 1,
                                  .kernel_w = 1,
                                  .stride_h = 1,
                                  .stride_w = 1,
                                  .dilation_h = 1,
                                  .dilation_w = 1,
                                  .pad_top = 0,
                                  .pad_left = 0};
  const kernels::BconvSpec spec = {.shape = {.window = window,
                                             .in_channels = gemm.k,
                                             .out_channels = gemm.out,
                                             .groups = 1},
                                   .format = BinaryFormatOf(node),
                                   .epilogue = EpilogueOf(node),
                                   .bits_out = node.output(0).is_bits()};
  return std::make_unique<BinaryProduct>(spec, node.constant("weight").words(),
                                         target);
}

}  // namespace bqengine::backends::cpu

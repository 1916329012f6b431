// A binary convolution or matrix product with its packed weights. A matrix
// product is a convolution of images of one pixel (kernels/bconv.h).
#ifndef BACKENDS_CPU_BINARY_PRODUCT_H_
#define BACKENDS_CPU_BINARY_PRODUCT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "cpu_backend.h"
#include "kernels/bconv.h"
#include "node_shapes.h"

namespace bqengine::backends::cpu {

// A node as a convolution of `shape`, which is of one item of the run's batch.
kernels::BconvSpec BconvSpecOf(const NodeView& node,
                               const kernels::ConvShape& shape);

class BinaryProduct : public Kernel {
 public:
  // BconvSpecOf(node, ..). The node's constants are not kept.
  BinaryProduct(const kernels::BconvSpec& spec, const NodeView& node,
                Target target);

  uint64_t WorkspaceBytes(int64_t batch, uint32_t threads) const override;
  void Run(const RunContext& run) const override;

 private:
  // How a run is cut into tasks.
  struct Split {
    int64_t pixels, pixel_parts;      // of a part; number of them
    int64_t channels, channel_parts;  // the same for channels
    int64_t Tasks() const { return pixel_parts * channel_parts; }
  };
  Split SplitRun(int64_t pixels, uint32_t threads) const;

  struct Free {
    void operator()(std::byte* memory) const {
      ::operator delete(memory, std::align_val_t(64));
    }
  };

  const kernels::BgemmKernels& kernels_;
  std::unique_ptr<std::byte, Free> memory_;
  kernels::BconvPlan plan_;
  int64_t work_per_pixel_;  // binary multiply-adds, of all bases
  BinaryOutputOf output_of_;
  int64_t pixels_per_item_;  // of the run's batch: output pixels, or rows
  int64_t part_pixels_;      // at most
  uint64_t pointers_bytes_;  // of the workspace, for the inputs
  uint64_t scratch_bytes_;   // of each thread
};

}  // namespace bqengine::backends::cpu

#endif  // BACKENDS_CPU_BINARY_PRODUCT_H_

// What bq-bench counts as work.
#include "shapes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bqengine::bench {
namespace {

TEST(TapsInside, CountsNoPadding) {
  const auto taps = [](kernels::Window w) { return TapsInside(w); };
  // 3x3 on 7x7, padded by 1: 7 * 3 - 2 in each axis.
  kernels::Window w = {.batch = 1,
                       .in_h = 7,
                       .in_w = 7,
                       .out_h = 7,
                       .out_w = 7,
                       .kernel_h = 3,
                       .kernel_w = 3,
                       .stride_h = 1,
                       .stride_w = 1,
                       .dilation_h = 1,
                       .dilation_w = 1,
                       .pad_top = 1,
                       .pad_left = 1};
  EXPECT_EQ(taps(w), 19 * 19);
  w.batch = 3;
  EXPECT_EQ(taps(w), 3 * 19 * 19);
  w.batch = 1;
  // Every second output: of each axis, the first begins one tap late.
  w.stride_h = w.stride_w = 2;
  w.out_h = w.out_w = 4;
  EXPECT_EQ(taps(w), 10 * 10);
  // Dilated by 2, padded by 2: two outputs miss one tap at each end.
  w.stride_h = w.stride_w = 1;
  w.out_h = w.out_w = 7;
  w.dilation_h = w.dilation_w = 2;
  w.pad_top = w.pad_left = 2;
  EXPECT_EQ(taps(w), 17 * 17);
  // A kernel that is larger than the image.
  w = {.batch = 1,
       .in_h = 2,
       .in_w = 3,
       .out_h = 2,
       .out_w = 3,
       .kernel_h = 5,
       .kernel_w = 1,
       .stride_h = 1,
       .stride_w = 1,
       .dilation_h = 1,
       .dilation_w = 1,
       .pad_top = 2,
       .pad_left = 0};
  EXPECT_EQ(taps(w), 4 * 3);
}

TEST(TapsInside, MatrixProductsHaveNoPadding) {
  EXPECT_EQ(TapsInside(kernels::GemmAsConv(784, 2304, 256).window), 784);
}

}  // namespace
}  // namespace bqengine::bench

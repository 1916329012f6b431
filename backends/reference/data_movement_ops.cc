// Ops that move values and compute nothing: Concat, Flatten, Pad, Reshape,
// Transpose. Every backend leaves them to this one, so what is contiguous moves
// by memcpy.
//
// Bits are moved as whole words where the innermost dimension stays what it is.
// Elsewhere rows are repacked, since each starts at a word.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "bit_copy.h"
#include "kernels/shapes.h"
#include "reference_backend.h"

namespace bqengine::backends::reference {
namespace {

using kernels::kWordBits;
using kernels::WordsFor;

// Storage of an element that is not a bit.
int64_t ElementBytes(const TensorView& tensor) {
  return tensor.is_integer() ? sizeof(uint8_t) : sizeof(float);
}

// Storage of a row of the innermost dimension.
int64_t RowBytes(const TensorView& tensor) {
  const int64_t count = tensor.dim(-1);
  return tensor.is_bits() ? WordsFor(count) * int64_t{sizeof(uint64_t)}
                          : count * ElementBytes(tensor);
}

int64_t ItemBytes(const TensorView& tensor) {
  return tensor.RowsPerItem() * RowBytes(tensor);
}

std::unique_ptr<Kernel> MakeCopy(int64_t item_bytes) {
  return MakeKernel([=](const RunContext& run) {
    std::memcpy(run.output<char>(0), run.input<char>(0),
                size_t(item_bytes * run.batch()));
  });
}

// ------------------------------------------------------------ Flatten, Reshape

std::unique_ptr<Kernel> CompileReshape(const NodeView& node) {
  const TensorView input = node.input(0), output = node.output(0);
  const int64_t from = input.dim(-1), to = output.dim(-1);
  const bool same_rows =
      from == to || (from % kWordBits == 0 && to % kWordBits == 0);
  if (!input.is_bits() || same_rows) return MakeCopy(ItemBytes(input));

  const int64_t rows = input.RowsPerItem();
  const int64_t output_words = ItemBytes(output) / int64_t{sizeof(uint64_t)};
  return MakeKernel([=](const RunContext& run) {
    const uint64_t* x = run.input<uint64_t>(0);
    uint64_t* y = run.output<uint64_t>(0);
    std::fill(y, y + run.batch() * output_words, 0);
    // Counted over the whole batch: an item is a whole number of rows on both
    // sides.
    int64_t position = 0;
    for (int64_t row = 0; row < run.batch() * rows; ++row) {
      for (int64_t done = 0; done < from;) {
        const int64_t column = position % to;
        const int64_t count = std::min(from - done, to - column);
        CopyBits(x + row * WordsFor(from), done,
                 y + position / to * WordsFor(to), column, count);
        done += count;
        position += count;
      }
    }
  });
}

// ---------------------------------------------------------------------- Concat

// One input's part of a run that is contiguous in the output.
struct Part {
  size_t input;
  int64_t size;    // bytes; bits where rows are joined
  int64_t offset;  // into the run of the output, in the same unit
};

std::unique_ptr<Kernel> MakeBitConcat(const NodeView& node) {
  std::vector<Part> parts;
  int64_t offset = 0;
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    parts.push_back({i, node.input(i).dim(-1), offset});
    offset += parts.back().size;
  }
  const int64_t rows = node.output(0).RowsPerItem();
  const int64_t row_words = WordsFor(offset);
  return MakeKernel([=](const RunContext& run) {
    uint64_t* y = run.output<uint64_t>(0);
    std::fill(y, y + run.batch() * rows * row_words, 0);
    for (const Part& part : parts) {
      const uint64_t* x = run.input<uint64_t>(part.input);
      for (int64_t row = 0; row < run.batch() * rows; ++row) {
        CopyBits(x + row * WordsFor(part.size), 0, y + row * row_words,
                 part.offset, part.size);
      }
    }
  });
}

std::unique_ptr<Kernel> CompileConcat(const NodeView& node) {
  const TensorView output = node.output(0);
  const int64_t rank = int64_t(output.rank());
  const int64_t attribute = node.Int("axis");
  const int64_t axis = attribute < 0 ? attribute + rank : attribute;
  if (output.is_bits() && axis == rank - 1) return MakeBitConcat(node);

  // All dimensions from the axis on are contiguous.
  const int64_t outer = output.Count(0, size_t(axis));
  std::vector<Part> parts;
  int64_t run_bytes = 0;
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    parts.push_back({i, ItemBytes(node.input(i)) / outer, run_bytes});
    run_bytes += parts.back().size;
  }
  return MakeKernel([=](const RunContext& run) {
    for (const Part& part : parts) {
      const char* x = run.input<char>(part.input);
      char* y = run.output<char>(0) + part.offset;
      for (int64_t i = 0; i < outer * run.batch(); ++i) {
        std::memcpy(y + i * run_bytes, x + i * part.size, size_t(part.size));
      }
    }
  });
}

// ------------------------------------------------------------------------- Pad

std::unique_ptr<Kernel> CompilePad(const NodeView& node) {
  const TensorView input = node.input(0), output = node.output(0);
  const size_t rank = input.rank();
  const std::span<const int64_t> pads = node.Ints("pads");
  const float value = node.Float("value");
  const int64_t output_size = ItemSize(output);
  const int64_t row = input.dim(-1);

  // Where each row of an item goes: found once, here.
  std::vector<int64_t> targets(size_t(input.RowsPerItem()));
  for (size_t i = 0; i < targets.size(); ++i) {
    int64_t rest = int64_t(i), stride = output.dim(-1);
    int64_t target = pads[rank - 1];
    for (size_t d = rank - 2; d > 0; --d) {
      target += (rest % input.dim(int(d)) + pads[d]) * stride;
      rest /= input.dim(int(d));
      stride *= output.dim(int(d));
    }
    targets[i] = target;
  }
  return MakeKernel([=, targets = std::move(targets)](const RunContext& run) {
    float* y = run.output<float>(0);
    std::fill(y, y + run.batch() * output_size, value);
    const float* x = run.input<float>(0);
    for (int64_t n = 0; n < run.batch(); ++n, y += output_size) {
      for (const int64_t target : targets) {
        std::memcpy(y + target, x, size_t(row) * sizeof(float));
        x += row;
      }
    }
  });
}

// ------------------------------------------------------------------- Transpose

// A walk over an item of the output in its order, with the position in the
// input that belongs to each step. The dimensions at the end that stay in place
// may be left out of it.
class Walk {
 public:
  // `strides` are those of the input's dimensions, in any unit.
  Walk(const TensorView& output, std::span<const int64_t> perm,
       std::span<const int64_t> strides, size_t dimensions) {
    for (size_t d = 1; d < dimensions; ++d) {
      sizes_[rank_] = output.dim(int(d));
      strides_[rank_] = strides[size_t(perm[d])];
      steps_ *= sizes_[rank_];
      ++rank_;
    }
  }

  int64_t steps() const { return steps_; }

  // Calls body(step, position) for every step.
  template <typename Body>
  void ForEach(const Body& body) const {
    std::array<int64_t, BQE_MAX_RANK> index{};
    int64_t position = 0;
    for (int64_t step = 0; step < steps_; ++step) {
      body(step, position);
      for (size_t d = rank_; d-- > 0;) {
        position += strides_[d];
        if (++index[d] < sizes_[d]) break;
        position -= sizes_[d] * strides_[d];
        index[d] = 0;
      }
    }
  }

 private:
  size_t rank_ = 0;
  int64_t steps_ = 1;
  std::array<int64_t, BQE_MAX_RANK> sizes_{}, strides_{};
};

// Strides of a dense tensor whose rows of the innermost dimension are
// `row_stride` apart; that of the innermost one is `element`.
std::array<int64_t, BQE_MAX_RANK> Strides(const TensorView& tensor,
                                          int64_t row_stride, int64_t element) {
  std::array<int64_t, BQE_MAX_RANK> strides{};
  const size_t rank = tensor.rank();
  strides[rank - 1] = element;
  int64_t stride = row_stride;
  for (size_t d = rank - 1; d-- > 1;) {
    strides[d] = stride;
    stride *= tensor.dim(int(d));
  }
  return strides;
}

// The innermost dimension moves: bit by bit.
std::unique_ptr<Kernel> MakeBitTranspose(const NodeView& node) {
  const TensorView input = node.input(0), output = node.output(0);
  const int64_t input_words = ItemBytes(input) / int64_t{sizeof(uint64_t)};
  const int64_t output_words = ItemBytes(output) / int64_t{sizeof(uint64_t)};
  const int64_t columns = output.dim(-1);
  const auto strides =
      Strides(input, WordsFor(input.dim(-1)) * kWordBits, /*element=*/1);
  const Walk walk(output, node.Ints("perm"), strides, output.rank());
  return MakeKernel([=](const RunContext& run) {
    for (int64_t n = 0; n < run.batch(); ++n) {
      const uint64_t* x = run.input<uint64_t>(0) + n * input_words;
      uint64_t* y = run.output<uint64_t>(0) + n * output_words;
      std::fill(y, y + output_words, 0);
      walk.ForEach([&](int64_t step, int64_t position) {
        CopyBits(x, position, y + step / columns * WordsFor(columns),
                 step % columns, 1);
      });
    }
  });
}

std::unique_ptr<Kernel> CompileTranspose(const NodeView& node) {
  const TensorView input = node.input(0), output = node.output(0);
  const std::span<const int64_t> perm = node.Ints("perm");
  size_t moved = output.rank();  // dimensions up to the last that moves
  while (moved > 0 && perm[moved - 1] == int64_t(moved) - 1) --moved;
  const int64_t item_bytes = ItemBytes(input);
  if (moved == 0) return MakeCopy(item_bytes);
  if (output.is_bits() && moved == output.rank()) return MakeBitTranspose(node);

  const auto strides = Strides(input, RowBytes(input), ElementBytes(input));
  const Walk walk(output, perm, strides, moved);
  const size_t run_bytes = size_t(item_bytes / walk.steps());
  return MakeKernel([=](const RunContext& run) {
    for (int64_t n = 0; n < run.batch(); ++n) {
      const char* x = run.input<char>(0) + n * item_bytes;
      char* y = run.output<char>(0) + n * item_bytes;
      walk.ForEach([&](int64_t step, int64_t position) {
        std::memcpy(y + size_t(step) * run_bytes, x + position, run_bytes);
      });
    }
  });
}

constexpr Op kOps[] = {
    {"Concat", CompileConcat},
    {"Flatten", CompileReshape},
    {"Pad", CompilePad},
    {"Reshape", CompileReshape},
    {"Transpose", CompileTranspose},
};

}  // namespace

std::span<const Op> DataMovementOps() { return kOps; }

}  // namespace bqengine::backends::reference

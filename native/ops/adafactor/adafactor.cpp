// One Adafactor step over many parameters, in place.
//
// Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", arXiv:1804.04235, algorithms 4
// to 6. A tensor of two or more dimensions is a stack of matrices; its second moment is kept as means of rows and of
// columns. Three passes: squares (which complete the row means, and sum the columns of each block), the norm of the
// update, the step. Tensors that are not factored know their update after the first pass and skip the second.
#include <algorithm>
#include <cmath>

#include "core/op.h"
#include "devices/cpu/optimizer.h"
#include "devices/cpu/tensor_list.h"
#include "ops/adafactor/adafactor.simd.h"

namespace userllm {
namespace {

enum In { kParameters, kGradients, kRow, kColumn, kSecond, kFirst, kSteps, kShadows, kScalars, kNorm };
enum Attribute { kScaleParameter, kRelativeStep, kRows, kShadowOf };
enum ScalarColumn { kBeta1 = kFirstOwnColumn, kDecayRate, kEps1, kEps2, kThreshold, kColumns };
enum RelativeStep { kGiven, kRelative, kRelativeWithWarmup };

// How a parameter is divided. One that is not factored is a column of as many rows as it has elements.
struct Division {
  bool factored;
  int64_t matrices, rows, width;
  int64_t block;   // rows of one block
  int64_t blocks;  // of one matrix

  explicit Division(const Shape& shape) : factored(shape.rank >= 2) {
    rows = factored ? shape[shape.rank - 2] : shape.count();
    width = factored ? shape[shape.rank - 1] : 1;
    matrices = shape.count() ? shape.count() / (rows * width) : 0;
    // Of a matrix at most 1,024 rows, whose column sums are exact enough in float, and at least 16, so that the sums
    // of all blocks are small against the matrix.
    block =
        factored ? std::clamp<int64_t>(TensorList::kGrain / std::max<int64_t>(width, 1), 16, 1024) : TensorList::kGrain;
    blocks = (rows + block - 1) / block;
  }
  int64_t all_blocks() const { return matrices * blocks; }
  int64_t all_matrices() const { return factored ? matrices : 0; }
  int64_t column_sums() const { return factored ? all_blocks() * width : 0; }
};

// What the passes know of one parameter.
struct Part : Division {
  int64_t first_block, first_matrix, first_sum;  // where its own begin
  size_t state;                                  // its position in row and column, or in second
  AdafactorMean mean;
  AdafactorChange change;
};

// Sums of one block.
struct Sums {
  double parameter, row_means, update;
};

Shape without(const Shape& shape, int dimension) {
  Shape rest;
  for (int d = 0; d < shape.rank; ++d)
    if (d != dimension) rest.push(shape[d]);
  return rest;
}

void require_state(const Infer& c) {
  const auto parameters = c.list(kParameters);
  size_t factored = 0;
  for (const TensorRef& t : parameters) factored += t.shape.rank >= 2;
  const auto require_length = [&](int i, size_t length, const char* of) {
    if (c.list(i).size() != length)
      c.fail(c.name(i), " must have a tensor for each of ", length, " parameters of ", of, ", got ", c.list(i).size());
  };
  require_length(kRow, factored, "at least two dimensions");
  require_length(kColumn, factored, "at least two dimensions");
  require_length(kSecond, parameters.size() - factored, "less than two dimensions");
  const auto require_like = [&](int i, size_t at, const TensorRef& parameter, const Shape& shape) {
    const TensorRef& state = c.list(i)[at];
    if (!(state.shape == shape))
      c.fail(c.name(i), "[", at, "] ", to_string(state.shape), " must be ", to_string(shape), ", for a parameter ",
             to_string(parameter.shape));
    if (state.dtype != parameter.dtype)
      fail(c.call, ErrorKind::kDType, c.name(i), "[", at, "] is ", name_of(state.dtype), ", its parameter ",
           name_of(parameter.dtype), "; they must be the same");
  };
  size_t matrix = 0, other = 0;
  for (const TensorRef& t : parameters) {
    if (t.shape.rank < 2) {
      require_like(kSecond, other++, t, t.shape);
      continue;
    }
    require_like(kRow, matrix, t, without(t.shape, t.shape.rank - 1));
    require_like(kColumn, matrix++, t, without(t.shape, t.shape.rank - 2));
  }
}

void infer(Infer& c) {
  const auto parameters = c.list(kParameters);
  require_one_float_dtype(c, kParameters);
  require_same_list(c, kParameters, kGradients);
  require_state(c);
  if (!c.list(kFirst).empty()) require_same_list(c, kParameters, kFirst);
  require_steps(c, kParameters, kSteps);
  require_shadows(c, kParameters, kShadows, kShadowOf);
  require_no_shared_memory(c, {kParameters, kRow, kColumn, kSecond, kFirst, kSteps, kShadows},
                           {kGradients, kScalars, kNorm});
  require_optimizer_scalars(c, kParameters, kScalars, kNorm, kRows, kColumns);
  c.flag(kScaleParameter);
  c.integer(kRelativeStep, kGiven, kRelativeWithWarmup);
  int64_t blocks = 0, matrices = 0, sums = 0;
  for (const TensorRef& t : parameters) {
    const Division division(t.shape);
    blocks += division.all_blocks();
    matrices += division.all_matrices();
    sums += division.column_sums();
  }
  c.scratch(parameters.size() * sizeof(Part) + size_t(blocks) * sizeof(Sums) + size_t(matrices) * sizeof(double) +
            (parameters.empty() ? 0 : size_t(sums) * size_of(parameters[0].dtype)));
}

template <class T> class Step {
 public:
  Step(Call& c, const AdafactorLoops<T>& loops)
      : c_(c),
        loops_(loops),
        parameters_(c.list(kParameters)),
        parts_(c.scratch<Part>()),
        sums_(reinterpret_cast<Sums*>(parts_ + parameters_.size())) {
    size_t factored = 0, other = 0;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const Division division(parameters_[i].shape);
      parts_[i] = Part{division,   blocks_, matrices_, column_sums_count_, division.factored ? factored++ : other++,
                       mean_of(i), {}};
      blocks_ += division.all_blocks();
      matrices_ += division.all_matrices();
      column_sums_count_ += division.column_sums();
    }
    wholes_ = reinterpret_cast<double*>(sums_ + blocks_);
    column_sums_ = reinterpret_cast<T*>(wholes_ + matrices_);
  }

  void run() {
    parallel_for(blocks_, [&](int64_t block) { take_squares(block); });
    parallel_for(matrices_, [&](int64_t matrix) { finish_columns(matrix); });
    parallel_for(blocks_, [&](int64_t block) { take_norm(block); });
    for (size_t i = 0; i < parameters_.size(); ++i) parts_[i].change = change_of(i);
    parallel_for(blocks_, [&](int64_t block) { take_step(block); });
    count_steps(c_, kSteps);
  }

 private:
  // One block: rows [from, from + rows) of a matrix.
  struct Block {
    const Part& part;
    size_t parameter;
    int64_t matrix, in_matrix, from, rows;

    int64_t first_element() const { return (matrix * part.rows + from) * part.width; }
    int64_t elements() const { return rows * part.width; }
  };

  Block block_at(int64_t block) const {
    const Part* const after = std::upper_bound(parts_, parts_ + parameters_.size(), block,
                                               [](int64_t b, const Part& part) { return b < part.first_block; });
    const Part& part = after[-1];
    const int64_t own = block - part.first_block, in_matrix = own % part.blocks, from = in_matrix * part.block;
    return {part, size_t(&part - parts_), own / part.blocks, in_matrix, from, std::min(part.block, part.rows - from)};
  }

  T* data(int list, size_t i) const { return c_.list(list)[i].template as<T>(); }
  T* row_means(const Block& b) const { return data(kRow, b.part.state) + b.matrix * b.part.rows + b.from; }
  T* column_sums(const Part& part, int64_t matrix, int64_t block) const {
    return column_sums_ + part.first_sum + (matrix * part.blocks + block) * part.width;
  }
  double whole(const Block& b) const { return wholes_[b.part.first_matrix + b.matrix]; }

  void take_squares(int64_t block) const {
    const Block b = block_at(block);
    const Part& part = b.part;
    const int64_t at = b.first_element(), count = b.elements();
    const T* const gradient = data(kGradients, b.parameter) + at;
    Sums& sums = sums_[block];
    sums = {};
    if (part.factored)
      sums.row_means = loops_.squares(gradient, b.rows, part.width, part.mean, row_means(b),
                                      column_sums(part, b.matrix, b.in_matrix));
    else
      sums.update = loops_.plain_squares(gradient, count, part.mean, data(kSecond, part.state) + at);
    if (c_.flag(kScaleParameter)) sums.parameter = loops_.sum_of_squares(data(kParameters, b.parameter) + at, count);
  }

  void finish_columns(int64_t matrix) const {
    const Part* const after = std::upper_bound(parts_, parts_ + parameters_.size(), matrix,
                                               [](int64_t m, const Part& part) { return m < part.first_matrix; });
    const Part& part = after[-1];
    const int64_t own = matrix - part.first_matrix;
    double sum = 0;
    for (int64_t b = 0; b < part.blocks; ++b) sum += sums_[part.first_block + own * part.blocks + b].row_means;
    wholes_[matrix] = sum / double(part.rows);
    loops_.columns(column_sums(part, own, 0), part.blocks, part.rows, part.width, part.mean,
                   data(kColumn, part.state) + own * part.width);
  }

  void take_norm(int64_t block) const {
    const Block b = block_at(block);
    if (!b.part.factored) return;
    sums_[block].update =
        loops_.norm(data(kGradients, b.parameter) + b.first_element(), b.rows, b.part.width,
                    b.part.mean.gradient_factor, row_means(b), whole(b), column_sums(b.part, b.matrix, 0));
  }

  void take_step(int64_t block) const {
    const Block b = block_at(block);
    const int64_t at = b.first_element(), count = b.elements();
    T* const parameter = data(kParameters, b.parameter) + at;
    const T* const gradient = data(kGradients, b.parameter) + at;
    T* const first = c_.list(kFirst).empty() ? nullptr : data(kFirst, b.parameter) + at;
    if (b.part.factored)
      loops_.step(parameter, gradient, first, b.rows, b.part.width, row_means(b), whole(b),
                  column_sums(b.part, b.matrix, 0), b.part.change);
    else
      loops_.plain_step(parameter, gradient, first, count, data(kSecond, b.part.state) + at, b.part.change);
    shadows_.update(parameters_[b.parameter], b.parameter, at, count);
  }

  const double* scalars(size_t i) const {
    return c_.in(kScalars).as<double>() + int64_t(c_.numbers(kRows)[i]) * kColumns;
  }

  AdafactorMean mean_of(size_t i) const {
    const double* row = scalars(i);
    return {.gradient_factor = gradient_factor(row, c_.in(kNorm)),
            .keep = 1 - std::pow(next_step(c_, kSteps, i), row[kDecayRate]),
            .eps = row[kEps1]};
  }

  AdafactorChange change_of(size_t i) const {
    const Part& part = parts_[i];
    const double* row = scalars(i);
    const double step = next_step(c_, kSteps, i), count = double(parameters_[i].count());
    double parameter = 0, update = 0;
    for (int64_t b = 0; b < part.all_blocks(); ++b) {
      parameter += sums_[part.first_block + b].parameter;
      update += sums_[part.first_block + b].update;
    }
    double rate = row[kLearningRate];
    if (const int64_t relative = c_.integer(kRelativeStep); relative != kGiven)
      rate *= std::min(relative == kRelativeWithWarmup ? 1e-6 * step : 1e-2, 1 / std::sqrt(step));
    if (c_.flag(kScaleParameter)) rate *= std::max(row[kEps2], std::sqrt(parameter / count));
    const double excess = std::sqrt(update / count) / row[kThreshold];
    return {.gradient_factor = part.mean.gradient_factor,
            .keep = 1 - rate * row[kWeightDecay],
            .rate = excess <= 1 ? rate : rate / excess,  // NaN stays NaN
            .beta1 = row[kBeta1]};
  }

  Call& c_;
  const AdafactorLoops<T> loops_;
  const std::span<const TensorRef> parameters_;
  const Shadows shadows_{c_, kShadows, kShadowOf};
  Part* const parts_;
  Sums* const sums_;  // of each block
  double* wholes_;    // mean of the row means of each matrix
  T* column_sums_;    // of each block of a matrix; column factors in the place of the first block's
  int64_t blocks_ = 0, matrices_ = 0, column_sums_count_ = 0;
};

void cpu(Call& c) {
  if (c.list(kParameters).empty()) return;
  if (c.in(kParameters).dtype == DType::kFloat64)
    Step<double>(c, SIMD_CALL(adafactor_f64)()).run();
  else
    Step<float>(c, SIMD_CALL(adafactor_f32)()).run();
}

const Register op{{
    .name = "adafactor",
    .inputs = {"parameters*", "gradients*", "row*", "column*", "second*", "first*", "steps*", "shadows*", "scalars",
               "norm?"},
    .attributes = {"scale_parameter", "relative_step", "rows*", "shadow_of*"},
    .infer = infer,
    .cpu = cpu,
    .work =
        [](const Call& c) {
          double elements = 0, bytes = double(Shadows(c, kShadows, kShadowOf).bytes());
          for (const TensorRef& t : c.list(kParameters)) elements += double(t.count()), bytes += 6 * double(t.bytes());
          for (const TensorRef& t : c.list(kFirst)) bytes += 2 * double(t.bytes());
          return Work{14 * elements, bytes};
        },
    .mutates = {kParameters, kRow, kColumn, kSecond, kFirst, kSteps, kShadows},
    .on_fault = OnFault::kKeep,
}};

}  // namespace
}  // namespace userllm

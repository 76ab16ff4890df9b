#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// How a second moment takes in a square: old * keep + (square + eps) * (1 - keep).
struct AdafactorMean {
  double gradient_factor, keep, eps;
};

// p = p * keep - rate * update, or minus the running mean of rate * update.
struct AdafactorChange {
  double gradient_factor, keep, rate, beta1;
};

// The inner loops. The update of a matrix is gradient * sqrt(whole / row mean) * column factor, that of any other
// tensor is gradient / sqrt(second).
template <class T> struct AdafactorLoops {
  // Squares of some rows of a gradient: takes their means into row_means, writes their sums by column, returns the sum
  // of the new row means.
  double (*squares)(const T* gradient, int64_t rows, int64_t width, const AdafactorMean& mean, T* row_means,
                    T* column_sums);
  // Adds up the column sums of all blocks, takes their means over `rows` into column_means, and leaves the factors
  // 1 / sqrt(column_means) in place of the first block's sums.
  void (*columns)(T* column_sums, int64_t blocks, int64_t rows, int64_t width, const AdafactorMean& mean,
                  T* column_means);
  // Sum of the squares of the update.
  double (*norm)(const T* gradient, int64_t rows, int64_t width, double gradient_factor, const T* row_means,
                 double whole, const T* column_factors);
  // The step itself. `first` may be null.
  void (*step)(T* parameter, const T* gradient, T* first, int64_t rows, int64_t width, const T* row_means, double whole,
               const T* column_factors, const AdafactorChange& change);

  // Takes squares into `second`; returns the sum of the squares of the update.
  double (*plain_squares)(const T* gradient, int64_t n, const AdafactorMean& mean, T* second);
  void (*plain_step)(T* parameter, const T* gradient, T* first, int64_t n, const T* second,
                     const AdafactorChange& change);

  double (*sum_of_squares)(const T* x, int64_t n);
};

SIMD_DECLARE(AdafactorLoops<float>, adafactor_f32, ())
SIMD_DECLARE(AdafactorLoops<double>, adafactor_f64, ())

}  // namespace userllm

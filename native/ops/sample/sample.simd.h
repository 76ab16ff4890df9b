#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

constexpr int64_t kWeightPiece = 1024, kMaximumPiece = 128;

// The largest of a row, NaN if there is one; and of each kMaximumPiece elements.
SIMD_DECLARE(float, maximum_f32, (const float* x, int64_t n))
SIMD_DECLARE(double, maximum_f64, (const double* x, int64_t n))
SIMD_DECLARE(void, maxima_f32, (const float* x, int64_t n, float* maxima))
SIMD_DECLARE(void, maxima_f64, (const double* x, int64_t n, double* maxima))

// weights[i] = exp((x[i] - max) / temperature), and the sum of each kWeightPiece of them; returns their sum.
SIMD_DECLARE(double, sample_weights_f32,
             (const float* x, int64_t n, float max, float temperature, float* weights, double* sums))
SIMD_DECLARE(double, sample_weights_f64,
             (const double* x, int64_t n, double max, double temperature, double* weights, double* sums))

// The positions of the elements that are at least `bound`, ascending; returns how many there are.
SIMD_DECLARE(int64_t, find_at_least_f32, (const float* x, int64_t n, float bound, int32_t* positions))
SIMD_DECLARE(int64_t, find_at_least_f64, (const double* x, int64_t n, double bound, int32_t* positions))

}  // namespace userllm

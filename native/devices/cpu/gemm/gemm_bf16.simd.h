// The part of the bfloat16 product that is compiled once per instruction set.
#pragma once
#include "devices/cpu/gemm/gemm_bf16.h"
#include "devices/cpu/gemm/operand.h"
#include "devices/cpu/simd.h"

namespace userllm {

// Packed layouts, the same for every instruction set. Rows of A: row-major, k rounded up to kBf16StepK with zeros, and
// readable up to a multiple of kBf16Columns rows. Panels of B: [n / 16][k / 2][16 columns][2], both rounded up.
constexpr int64_t kBf16Columns = 16, kBf16StepK = 32;

// Rows that are fetched from memory while a block is computed.
struct Bf16Ahead {
  const void* rows = nullptr;
  int64_t stride = 0, row_bytes = 0, count = 0;
};

// C[m, n] (+)= A · B, float32, and then, if there is a `finish`, what is left of the product.
struct Bf16Block {
  int64_t m, n, k;  // k a multiple of kBf16StepK
  const uint16_t* a;
  int64_t a_stride;
  const uint16_t* b;
  int64_t b_stride;  // from one panel to the next
  float* c;          // with a `finish`: only where long k parks its sums
  int64_t c_stride;
  bool accumulate;
  const GemmBf16* finish;
  int64_t finish_m, finish_n;  // where in the product's C this block lies
  Bf16Ahead ahead;
};

// Rows of A for inner products: widened to float32, zeros up to a multiple of kBf16StepK, and of every kBf16StepK the
// even ones before the odd ones, as they lie in the halves of B's words.
//
// C[rows, n_begin .. n_end) of a product whose B is [n, k] bfloat16, with what is left of it.
struct Bf16Dots {
  const float* rows;
  int64_t row_stride;
  int64_t n_begin, n_end;
};

struct Bf16Kernels {
  int64_t rows;     // what an A is cut into
  int64_t block_k;  // longer k is cut
  void (*multiply)(const Bf16Block&);
  // What is left to do with sums over k for rows m.. and columns n.. of C.
  void (*finish)(const GemmBf16&, const float* values, int64_t stride, int64_t m, int64_t rows, int64_t n,
                 int64_t columns);
  // The same for columns n.. of C with values that lie across: values[column * stride + row], all of C's rows.
  void (*finish_across)(const GemmBf16&, const float* values, int64_t stride, int64_t n, int64_t columns);
  // Rows [0, m) and columns [0, n) of an operand; whole multiples of kBf16Columns are written.
  void (*pack_rows)(const Operand&, int64_t m, int64_t k, uint16_t* to, int64_t to_stride);
  void (*pack_panels)(const Operand&, int64_t n, int64_t k, uint16_t* to, int64_t to_stride);
  // Of A's m rows, as Bf16Dots has them; and the inner products of few rows with B's as they lie.
  void (*widen_rows)(const Operand&, int64_t m, int64_t k, float* to, int64_t to_stride);
  void (*dots)(const GemmBf16&, const Bf16Dots&);
  // Around products on one thread.
  void (*enter)();
  void (*leave)();
  // `rounds` of independent multiply-adds in registers, entered; returns the number of floating-point operations. Null
  // where they are those of float32.
  double (*spin)(int64_t rounds);
};

SIMD_DECLARE(const Bf16Kernels&, gemm_bf16_kernels, ())
#if defined(USER_LLM_HAS_BF16)
// From the unit compiled for AVX512-BF16 and AMX.
const Bf16Kernels& gemm_bf16_kernels_avx512bf16();
const Bf16Kernels& gemm_bf16_kernels_amx();
#endif

// Those of the tier in use.
const Bf16Kernels& bf16_kernels();

}  // namespace userllm

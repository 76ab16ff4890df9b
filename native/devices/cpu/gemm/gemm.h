// Matrix products on the CPU, float32 and float64, for every instruction set we ship.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace userllm {

enum class Activation : int { kNone = 0, kGeluTanh = 1 };

// `batch` times, row-major:
//
//     preactivation = alpha · op(A)[m, k] · op(B)[k, n] + bias (+ C when accumulating)
//     C[m, n]       = activation(preactivation) + residual
//
// Strides count elements. Rows are contiguous: the element stride is 1. k == 0 gives the epilogue of zeros.
// Results do not depend on the number of threads; C overlaps no input, residual and preactivation included.
struct Gemm {
  int64_t batch = 1, m = 0, n = 0, k = 0;

  const void* a = nullptr;
  int64_t a_row_stride = 0, a_batch_stride = 0;
  bool a_transposed = false;  // stored [k, m]

  const void* b = nullptr;
  int64_t b_row_stride = 0, b_batch_stride = 0;
  bool b_transposed = false;  // stored [n, k], as the weight of nn.Linear

  const void* packed_b = nullptr;  // what gemm_pack_b made of b, which is then not read; shared by the batch

  void* c = nullptr;
  int64_t c_row_stride = 0, c_batch_stride = 0;

  double alpha = 1;
  bool accumulate = false;
  const void* bias = nullptr;      // [n]
  const void* residual = nullptr;  // [m, n] with C's strides
  Activation activation = Activation::kNone;
  void* preactivation = nullptr;  // [m, n] with C's strides, written when wanted

  // Of a batch of one: called with each range of C right before, and by the thread that, computes it. It may write what
  // C accumulates to, while the range is in the cache.
  void (*prologue)(const void* context, int64_t m_begin, int64_t m_end, int64_t n_begin, int64_t n_end) = nullptr;
  const void* prologue_context = nullptr;

  // Added to the product, for few k: extra_a [m, extra_k] · extra_b [extra_k, n]. Only where gemm_takes_extra.
  const void *extra_a = nullptr, *extra_b = nullptr;
  int64_t extra_a_stride = 0, extra_b_stride = 0, extra_k = 0;

  void* scratch = nullptr;  // gemm_scratch_bytes() bytes, aligned to 64
};

// A batch that shares B and whose rows follow each other is one product with more rows.
template <class G> G fold_batch(const G& g) {
  const bool shared = g.packed_b || g.b_batch_stride == 0;
  if (g.batch == 1 || !shared || g.a_transposed || g.a_batch_stride != g.m * g.a_row_stride ||
      g.c_batch_stride != g.m * g.c_row_stride)
    return g;
  G folded = g;
  folded.m *= g.batch;
  folded.batch = 1;
  return folded;
}

// T is float or double.

// Of a [k, n] operand rearranged for the register tiles of this machine. Aligned to 64 by the caller.
template <class T> size_t gemm_packed_bytes(int64_t n, int64_t k);

// Reads n, k and b of `gemm`.
template <class T> void gemm_pack_b(const Gemm& gemm, void* packed);

// Whether the product is of inner products that read few rows of b as they lie: faster than with b packed.
bool gemm_prefers_plain_b(const Gemm& gemm);

// Whether the register tiles of this product can go on with extra_a and extra_b, which spares a pass over C.
template <class T> bool gemm_takes_extra(const Gemm& gemm);

// Reads everything but the pointers' targets: the shape, the strides, and which pointers are set.
template <class T> size_t gemm_scratch_bytes(const Gemm& gemm);

template <class T> void gemm(const Gemm& gemm);

}  // namespace userllm

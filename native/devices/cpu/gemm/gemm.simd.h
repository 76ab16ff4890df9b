// The part of the matrix product that is compiled once per instruction set.
#pragma once

#include "devices/cpu/gemm/gemm.h"
#include "devices/cpu/gemm/operand.h"
#include "devices/cpu/simd.h"

namespace userllm {

// op(B) as the register tile reads it: column panels of GemmKernels::columns, in each of which the row for one k is
// contiguous. A packed operand and a plain [k, n] matrix are both of this form.
struct GemmPanels {
  const void* data;
  int64_t panel_stride, k_stride;
};

struct GemmRange {
  int64_t m_begin, m_end, n_begin, n_end;  // n_begin is a multiple of GemmKernels::columns
};

struct GemmKernels {
  int64_t rows, columns;  // the register tile
  int64_t block_k;        // longer k is cut
  int64_t slab_bytes;     // what `tiles` wants as `slab` for a transposed A

  // All three compute one range of C for one batch item, with the epilogue.
  void (*tiles)(const Gemm&, const GemmPanels&, const GemmRange&, void* slab);
  // Inner products of rows of A and rows of B: for A stored [m, k] and B stored [n, k] unpacked.
  void (*dots)(const Gemm&, const GemmRange&);
  // The sum of `count` products [m, n] made over pieces of k, `stride` elements apart.
  void (*sum)(const Gemm&, const void* parts, int64_t count, int64_t stride, const GemmRange&);

  // Panels [first, last) of b into `packed`, which holds all panels.
  void (*pack)(const Gemm&, void* packed, int64_t first, int64_t last);
  // An A, of either layout, as rows: what `tiles` reads. Whole lines are written, zeros from k on.
  void (*pack_rows)(const Operand&, int64_t m, int64_t k, void* rows, int64_t row_stride);
};

SIMD_DECLARE(const GemmKernels&, gemm_kernels_float, ())
SIMD_DECLARE(const GemmKernels&, gemm_kernels_double, ())

}  // namespace userllm

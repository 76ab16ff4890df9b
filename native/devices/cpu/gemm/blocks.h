// Products of packed blocks: the matrix product for the insides of fused ops.
//
//     C[m, n] (+)= A[m, k] · B[k, n]
//
// E is the type of the packed operands: float, double or BFloat16. Sums are E, or float for BFloat16, whose operands
// are rounded to nearest even while they are packed. All of it runs on the calling thread, so it is called from
// inside the tasks of a parallel_for, on blocks that stay in the caches; around products of BFloat16 a task keeps a
// BlockScope. Results depend on the operands alone, and not on how m and n are cut; cutting k rounds in between.
//
// A is packed as *rows*: plain row-major rows of E, block_row_stride<E>(k) elements apart, with zeros from k to
// block_k. B is packed as *panels* of block_columns<E>() columns each, one after the other. Their inside is the
// kernel's own, except that columns from j on, a multiple of block_columns, start at panels + j * block_k<E>(k), and k
// from a multiple of 32 on, as a block of fewer k, at + k * block_columns<E>().
//
// The three products of linear + cross-entropy, for rows of X and a block of the vocabulary, E = float or BFloat16:
//
//     S  = X · Wᵀ   rows of {x, width} (packed once per row block); panels of {w, width}
//     dX += P · W   rows of {p, block}; panels of {w, width, .k_major = true}
//     dW += Pᵀ · X  rows of {p, block, .k_major = true}; panels of {x, width, .k_major = true}
//
// where P is what a vector pass makes of S in place, in float. Every pack takes float (double for E = double) or, for
// E = BFloat16, either type. Packed memory is aligned to 64 by the caller.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "devices/cpu/gemm/operand.h"

namespace userllm {

template <class E> using BlockSum = Compute<E>;

// k as it is packed: rounded up, with zeros that add nothing.
template <class E> int64_t block_k(int64_t k);
// Columns of a panel of B.
template <class E> int64_t block_columns();
// Elements from one packed row of A to the next: never a multiple of a page, so that rows share no cache set.
template <class E> int64_t block_row_stride(int64_t k);

template <class E> size_t block_rows_bytes(int64_t m, int64_t k);
template <class E> size_t block_panels_bytes(int64_t n, int64_t k);

template <class E> void block_pack_rows(const Operand& a, int64_t m, int64_t k, E* rows);
template <class E> void block_pack_panels(const Operand& b, int64_t n, int64_t k, E* panels);

template <class E> struct BlockRows {
  const E* data;
  int64_t stride;
};
// The rows of an operand where they lie if a product can read them there, else packed into `rows`.
template <class E> BlockRows<E> block_rows(const Operand& a, int64_t m, int64_t k, E* rows);

template <class E> struct BlockProduct {
  int64_t m = 0, n = 0, k = 0;  // as the operands have them, before rounding up
  BlockRows<E> a = {};          // of block_rows or block_pack_rows
  const E* b = nullptr;         // panels
  int64_t b_stride = 0;         // elements from one panel to the next; 0: that of panels packed with this k
  BlockSum<E>* c = nullptr;
  int64_t c_stride = 0;
  bool accumulate = false;
};
template <class E> void block_multiply(const BlockProduct<E>& product);

// Keeps what the processor needs for products of BFloat16 (the configuration of its tile registers) set up on the
// calling thread. Cheap; scopes do not nest, and one does not outlive its task.
class BlockScope {
 public:
  BlockScope();
  ~BlockScope();
  BlockScope(const BlockScope&) = delete;
  BlockScope& operator=(const BlockScope&) = delete;
};

}  // namespace userllm

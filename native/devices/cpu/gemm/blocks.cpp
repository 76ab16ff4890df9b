#include "devices/cpu/gemm/blocks.h"

#include <type_traits>

#include "devices/cpu/gemm/gemm.simd.h"
#include "devices/cpu/gemm/gemm_bf16.simd.h"

namespace userllm {
namespace {

int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

template <class E> constexpr bool kBf16 = std::is_same_v<E, BFloat16>;

template <class T> const GemmKernels& kernels() {
  if constexpr (std::is_same_v<T, float>)
    return SIMD_CALL(gemm_kernels_float)();
  else
    return SIMD_CALL(gemm_kernels_double)();
}

uint16_t* bits(BFloat16* data) { return reinterpret_cast<uint16_t*>(data); }
const uint16_t* bits(const BFloat16* data) { return reinterpret_cast<const uint16_t*>(data); }

}  // namespace

template <class E> int64_t block_k(int64_t k) { return kBf16<E> ? round_up(k, kBf16StepK) : k; }

template <class E> int64_t block_columns() {
  if constexpr (kBf16<E>)
    return kBf16Columns;
  else
    return kernels<E>().columns;
}

template <class E> int64_t block_row_stride(int64_t k) {
  constexpr int64_t kLine = 64 / int64_t{sizeof(E)};
  const int64_t lines = round_up(k, kLine) / kLine;
  return (lines + (lines % 8 == 0)) * kLine;
}

template <class E> size_t block_rows_bytes(int64_t m, int64_t k) {
  return static_cast<size_t>(round_up(m, kBf16Columns) * block_row_stride<E>(k)) * sizeof(E);
}

template <class E> size_t block_panels_bytes(int64_t n, int64_t k) {
  return static_cast<size_t>(round_up(n, block_columns<E>()) * block_k<E>(k)) * sizeof(E);
}

template <class E> void block_pack_rows(const Operand& a, int64_t m, int64_t k, E* rows) {
  if constexpr (kBf16<E>)
    bf16_kernels().pack_rows(a, m, k, bits(rows), block_row_stride<E>(k));
  else
    kernels<E>().pack_rows(a, m, k, rows, block_row_stride<E>(k));
}

template <class E> void block_pack_panels(const Operand& b, int64_t n, int64_t k, E* panels) {
  if constexpr (kBf16<E>) {
    bf16_kernels().pack_panels(b, n, k, bits(panels), block_k<E>(k) * kBf16Columns);
  } else {
    Gemm g;
    g.n = n;
    g.k = k;
    g.b = b.data;
    g.b_row_stride = b.stride;
    g.b_transposed = !b.k_major;
    kernels<E>().pack(g, panels, 0, round_up(n, block_columns<E>()) / block_columns<E>());
  }
}

template <class E> BlockRows<E> block_rows(const Operand& a, int64_t m, int64_t k, E* rows) {
  const bool lie_well = !a.k_major && (!kBf16<E> || (a.bfloat16 && m % kBf16Columns == 0 && k % kBf16StepK == 0));
  if (lie_well) return {static_cast<const E*>(a.data), a.stride};
  block_pack_rows(a, m, k, rows);
  return {rows, block_row_stride<E>(k)};
}

template <class E> void block_multiply(const BlockProduct<E>& p) {
  if (p.m <= 0 || p.n <= 0) return;
  if (p.k <= 0) {
    for (int64_t i = 0; i < p.m && !p.accumulate; ++i)
      for (int64_t j = 0; j < p.n; ++j) p.c[i * p.c_stride + j] = 0;
    return;
  }
  const int64_t panel = p.b_stride ? p.b_stride : block_k<E>(p.k) * block_columns<E>();
  if constexpr (kBf16<E>) {
    bf16_kernels().multiply({.m = p.m,
                             .n = p.n,
                             .k = block_k<E>(p.k),
                             .a = bits(p.a.data),
                             .a_stride = p.a.stride,
                             .b = bits(p.b),
                             .b_stride = panel,
                             .c = p.c,
                             .c_stride = p.c_stride,
                             .accumulate = p.accumulate});
  } else {
    Gemm g = {.m = p.m, .n = p.n, .k = p.k};
    g.a = p.a.data;
    g.a_row_stride = p.a.stride;
    g.c = p.c;
    g.c_row_stride = p.c_stride;
    g.accumulate = p.accumulate;
    kernels<E>().tiles(g, {p.b, panel, block_columns<E>()}, {0, p.m, 0, p.n}, nullptr);
  }
}

BlockScope::BlockScope() { bf16_kernels().enter(); }
BlockScope::~BlockScope() { bf16_kernels().leave(); }

#define INSTANTIATE(E)                                                       \
  template int64_t block_k<E>(int64_t);                                      \
  template int64_t block_columns<E>();                                       \
  template int64_t block_row_stride<E>(int64_t);                             \
  template size_t block_rows_bytes<E>(int64_t, int64_t);                     \
  template size_t block_panels_bytes<E>(int64_t, int64_t);                   \
  template void block_pack_rows<E>(const Operand&, int64_t, int64_t, E*);    \
  template void block_pack_panels<E>(const Operand&, int64_t, int64_t, E*);  \
  template BlockRows<E> block_rows<E>(const Operand&, int64_t, int64_t, E*); \
  template void block_multiply<E>(const BlockProduct<E>&);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(BFloat16)
#undef INSTANTIATE

}  // namespace userllm

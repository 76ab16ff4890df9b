// The repacking of a weight that its storage keeps: made by the first product that wants it, and again after
// every change of the weight.
#pragma once
#include "core/op.h"
#include "devices/cpu/gemm/gemm.h"
#include "devices/cpu/gemm/gemm_bf16.h"

namespace userllm {

// What a storage knows a pack by, or 0 where a weight cannot have one: one that starts inside a storage (a slice).
// Sizes and layout fit without collisions: two packs of one key would be of different length.
inline int64_t pack_key(const TensorRef& weight, const Gemm& gemm) {
  constexpr int64_t kLimit = int64_t{1} << 31;
  if (gemm.batch <= 0 || gemm.m <= 0 || gemm.n <= 0 || gemm.k <= 0 || gemm.n >= kLimit || gemm.k >= kLimit ||
      weight.data != weight.storage->data)
    return 0;
  return gemm.n << 32 | gemm.k << 1 | int64_t{gemm.b_transposed};
}

// In `infer`: asks for the pack of input `weight` as the B of `gemm`; false when it gets none. One of few rows (the
// first matrix of a low-rank adapter) is read as it lies.
template <class T> bool ask_for_pack(Infer& c, int weight, const Gemm& gemm) {
  const int64_t key = gemm_prefers_plain_b(gemm) ? 0 : pack_key(c.in(weight), gemm);
  if (key) c.pack(weight, key, gemm_packed_bytes<T>(gemm.n, gemm.k));
  return key != 0;
}

// Packs of weights up to this size are kept. A larger one is read as it lies by products of few rows, and packed into
// scratch by those of many, which that costs little: a language model whose packs were kept would take twice its
// memory.
constexpr size_t kKeptPackBytes = 256 << 10;

// In `infer`: asks for the pack of input `weight` as the B of `gemm`, and for the product's scratch, into which a
// weight without a pack is packed call by call.
template <class T> void ask_for_weight_pack(Infer& c, int weight, Gemm gemm) {
  if (gemm_packed_bytes<T>(gemm.n, gemm.k) <= kKeptPackBytes && ask_for_pack<T>(c, weight, gemm))
    gemm.packed_b = c.in(weight).data;  // only whether it is set counts here
  c.scratch(gemm_scratch_bytes<T>(gemm));
}

// In the kernel: the pack that was asked for, brought up to date; null when there is none.
template <class T> const void* fresh_pack(Call& c, const Gemm& gemm) {
  if (c.pack() && c.pack_is_stale()) {
    gemm_pack_b<T>(gemm, c.pack());
    c.pack_is_fresh();
  }
  return c.pack();
}

// In the kernel: the product with the pack that was asked for.
template <class T> void gemm_with_weight_pack(Call& c, Gemm gemm) {
  gemm.packed_b = fresh_pack<T>(c, gemm);
  gemm.scratch = c.scratch<void>();
  userllm::gemm<T>(gemm);
}

// The same for a product in bfloat16, where `weight` is the input that is read: the weight or its shadow.
inline bool ask_for_pack(Infer& c, int weight, const GemmBf16& gemm) {
  const int64_t key = pack_key(c.in(weight), gemm);
  if (key) c.pack(weight, -key, gemm_bf16_packed_bytes(gemm.n, gemm.k));  // a weight may have both kinds
  return key != 0;
}
inline void ask_for_weight_pack(Infer& c, int weight, GemmBf16 gemm) {
  if (gemm_bf16_packed_bytes(gemm.n, gemm.k) <= kKeptPackBytes && ask_for_pack(c, weight, gemm))
    gemm.packed_b = c.in(weight).data;
  c.scratch(gemm_bf16_scratch_bytes(gemm));
}
inline const void* fresh_pack(Call& c, const GemmBf16& gemm) {
  if (c.pack() && c.pack_is_stale()) {
    gemm_bf16_pack_b(gemm, c.pack());
    c.pack_is_fresh();
  }
  return c.pack();
}
inline void gemm_with_weight_pack(Call& c, GemmBf16 gemm) {
  gemm.packed_b = fresh_pack(c, gemm);
  gemm.scratch = c.scratch<void>();
  gemm_bf16(gemm);
}

}  // namespace userllm

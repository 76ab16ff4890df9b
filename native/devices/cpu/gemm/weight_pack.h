// The repacking of a weight that its storage keeps: made by the first product that wants it, and again after
// every change of the weight.
#pragma once
#include "core/op.h"
#include "devices/cpu/gemm/gemm.h"

namespace userllm {

// In `infer`: asks for the pack of input `weight` as the B of `gemm`; false when it gets none. A weight that starts
// inside a storage (a slice) has no pack.
template <class T> bool ask_for_pack(Infer& c, int weight, const Gemm& gemm) {
  const TensorRef& w = c.in(weight);
  // Sizes and layout fit the key without collisions: two packs of one key would be of different length.
  constexpr int64_t kLimit = int64_t{1} << 31;
  if (gemm.batch <= 0 || gemm.m <= 0 || gemm.n <= 0 || gemm.k <= 0 || gemm.n >= kLimit || gemm.k >= kLimit ||
      w.data != w.storage->data)
    return false;
  c.pack(weight, gemm.n << 32 | gemm.k << 1 | int64_t{gemm.b_transposed}, gemm_packed_bytes<T>(gemm.n, gemm.k));
  return true;
}

// In `infer`: asks for the pack of input `weight` as the B of `gemm`, and for the product's scratch, into which a
// weight without a pack is packed call by call.
template <class T> void ask_for_weight_pack(Infer& c, int weight, Gemm gemm) {
  if (ask_for_pack<T>(c, weight, gemm)) gemm.packed_b = c.in(weight).data;  // only whether it is set counts here
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

}  // namespace userllm

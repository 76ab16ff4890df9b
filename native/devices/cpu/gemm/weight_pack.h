// The repacking of a weight that its storage keeps: made by the first product that wants it, and again after
// every change of the weight.
#pragma once
#include "core/op.h"
#include "devices/cpu/gemm/gemm.h"

namespace userllm {

// In `infer`: asks for the pack of input `weight` as the B of `gemm`, and for the product's scratch. A weight
// that starts inside a storage (a slice) has no pack: it is packed into the scratch, call by call.
template <class T> void ask_for_weight_pack(Infer& c, int weight, Gemm gemm) {
  const TensorRef& w = c.in(weight);
  // Sizes and layout fit the key without collisions: two packs of one key would be of different length.
  constexpr int64_t kLimit = int64_t{1} << 31;
  if (gemm.batch > 0 && gemm.m > 0 && gemm.n > 0 && gemm.k > 0 && gemm.n < kLimit && gemm.k < kLimit &&
      w.data == w.storage->data) {
    c.pack(weight, gemm.n << 32 | gemm.k << 1 | int64_t{gemm.b_transposed}, gemm_packed_bytes<T>(gemm.n, gemm.k));
    gemm.packed_b = w.data;  // only whether it is set counts here
  }
  c.scratch(gemm_scratch_bytes<T>(gemm));
}

// In the kernel: the product with the pack that was asked for, brought up to date.
template <class T> void gemm_with_weight_pack(Call& c, Gemm gemm) {
  if (c.pack()) {
    if (c.pack_is_stale()) {
      gemm_pack_b<T>(gemm, c.pack());
      c.pack_is_fresh();
    }
    gemm.packed_b = c.pack();
  }
  gemm.scratch = c.scratch<void>();
  userllm::gemm<T>(gemm);
}

}  // namespace userllm

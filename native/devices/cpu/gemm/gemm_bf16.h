// Matrix products of bfloat16 operands with float32 sums, on the best that the processor has for them.
#pragma once
#include "devices/cpu/gemm/gemm.h"

namespace userllm {

// How products of bfloat16 are made: all of them round operands alike and sum in float32, in different orders.
enum class Bf16Tier : int {
  kConvert = 0,  // widened to float32 in registers, on any processor
  kAvx512 = 1,   // vdpbf16ps
  kAmx = 2,      // tdpbf16ps on tiles
};

// The tier in use: the processor's best, or a lower one named by USER_LLM_BF16=convert|avx512bf16. Asks the system for
// the tile registers at the first call.
Bf16Tier bf16_tier();
const char* name_of(Bf16Tier tier);

// The product of gemm.h with types of its own for each operand; those of float32 are rounded while they are packed.
// Residual and preactivation have the type of C, in which a bfloat16 result is rounded once, at the end.
struct GemmBf16 : Gemm {
  bool a_bf16 = false, b_bf16 = false, c_bf16 = false, bias_bf16 = false;

  GemmBf16() = default;
  explicit GemmBf16(const Gemm& gemm) : Gemm(gemm) {}
};

// As their counterparts in gemm.h.
size_t gemm_bf16_packed_bytes(int64_t n, int64_t k);
void gemm_bf16_pack_b(const GemmBf16& gemm, void* packed);
size_t gemm_bf16_scratch_bytes(const GemmBf16& gemm);
void gemm_bf16(const GemmBf16& gemm);

}  // namespace userllm

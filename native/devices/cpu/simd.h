// Instruction sets: a file `x.simd.cpp` is compiled once for each of them, and the best one that the CPU has is
// chosen at run time. Those files include no STL and define no weak symbols, or the linker might keep an AVX-512
// copy of an inline function for everybody.
//
//   x.simd.h     SIMD_DECLARE(void, scale, (float* x, float by, int64_t n))
//   x.simd.cpp   SIMD_DEFINE(void, scale, (float* x, float by, int64_t n)) { for (...) ... }
//   x.cpp        SIMD_CALL(scale)(x, 2, n);
#pragma once
#include <stddef.h>
#include <stdint.h>

#if defined(USER_LLM_ISA_AVX512)
#define SIMD_NAME(name) name##_avx512
#elif defined(USER_LLM_ISA_AVX2)
#define SIMD_NAME(name) name##_avx2
#elif defined(USER_LLM_ISA_PLAIN)
#define SIMD_NAME(name) name##_plain
#endif

#define SIMD_DEFINE(result, name, parameters) \
  result SIMD_NAME(name)                      \
  parameters

namespace userllm {

enum class Isa : int { kPlain = 0, kAvx2 = 1, kAvx512 = 2 };

// The instruction set in use: the CPU's best, or a lower one named by USER_LLM_ISA=plain|avx2.
Isa isa();
const char* name_of(Isa isa);

}  // namespace userllm

#if defined(__x86_64__)
#define SIMD_DECLARE(result, name, parameters) \
  result name##_plain parameters;              \
  result name##_avx2 parameters;               \
  result name##_avx512 parameters;
#define SIMD_CALL(name)                                                   \
  (::userllm::isa() == ::userllm::Isa::kAvx512 ? ::userllm::name##_avx512 \
   : ::userllm::isa() == ::userllm::Isa::kAvx2 ? ::userllm::name##_avx2   \
                                               : ::userllm::name##_plain)
#else
#define SIMD_DECLARE(result, name, parameters) result name##_plain parameters;
#define SIMD_CALL(name) (::userllm::name##_plain)
#endif

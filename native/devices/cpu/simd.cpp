#include "devices/cpu/simd.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace userllm {
namespace {

Isa detect() {
  Isa best = Isa::kPlain;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = Isa::kAvx2;
  if (best == Isa::kAvx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    best = Isa::kAvx512;
#endif
  const char* wanted = std::getenv("USER_LLM_ISA");
  if (!wanted) return best;
  for (const Isa lower : {Isa::kPlain, Isa::kAvx2})
    if (lower < best && std::strcmp(wanted, name_of(lower)) == 0) return lower;
  return best;
}

}  // namespace

Isa isa() {
  static const Isa isa = detect();
  return isa;
}

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::kPlain: return "plain";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512: return "avx512";
  }
  return "?";
}

}  // namespace userllm

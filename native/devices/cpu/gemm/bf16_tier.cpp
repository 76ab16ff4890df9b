#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "devices/cpu/gemm/gemm_bf16.simd.h"
#include "devices/cpu/simd.h"

#if defined(USER_LLM_HAS_BF16)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace userllm {
namespace {

#if defined(USER_LLM_HAS_BF16)
// Tiles are 8 KB of registers that a process has to ask the system for; some systems do not know of them.
bool asks_for_tiles() {
#if defined(__linux__)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

Bf16Tier detect() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  // isa() has seen to it that the system keeps the wide registers, and USER_LLM_ISA lowers this tier with it.
  if (isa() != Isa::kAvx512 || !__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1)) return Bf16Tier::kConvert;
  const char* wanted = std::getenv("USER_LLM_BF16");
  for (const Bf16Tier lower : {Bf16Tier::kConvert, Bf16Tier::kAvx512})
    if (wanted && std::strcmp(wanted, name_of(lower)) == 0) return lower;
  __get_cpuid_count(7, 0, &a, &b, &c, &d);
  const bool has_tiles = (d >> 22 & 1) && (d >> 24 & 1);  // AMX-BF16, AMX-TILE
  return has_tiles && asks_for_tiles() ? Bf16Tier::kAmx : Bf16Tier::kAvx512;
}
#else
Bf16Tier detect() { return Bf16Tier::kConvert; }
#endif

}  // namespace

Bf16Tier bf16_tier() {
  static const Bf16Tier tier = detect();
  return tier;
}

const char* name_of(Bf16Tier tier) {
  switch (tier) {
    case Bf16Tier::kConvert: return "convert";
    case Bf16Tier::kAvx512: return "avx512bf16";
    case Bf16Tier::kAmx: return "amx";
  }
  return "?";
}

const Bf16Kernels& bf16_kernels() {
#if defined(USER_LLM_HAS_BF16)
  if (bf16_tier() == Bf16Tier::kAmx) return gemm_bf16_kernels_amx();
  if (bf16_tier() == Bf16Tier::kAvx512) return gemm_bf16_kernels_avx512bf16();
#endif
  return SIMD_CALL(gemm_bf16_kernels)();
}

}  // namespace userllm

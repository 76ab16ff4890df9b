// What happens to a tile of scores between the products of the fused loss with rounded operands. A tile stays in the
// first-level cache; rows lie in the lanes, so maxima and sums over classes need no shuffles.
#include "ops/linear_cross_entropy/linear_cross_entropy_bf16.simd.h"

#if defined(USER_LLM_ISA_AVX512)
// The headers of GCC 12 make "undefined" registers from themselves and then warn about it (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif
#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

typedef uint32_t Words __attribute__((vector_size(kVectorBytes)));
typedef uint16_t Halves __attribute__((vector_size(kVectorBytes / 2)));

constexpr int64_t kStride = kLceTileRows;
// The maximum is raised when it lags by more than this: 2^24 is far from overflow in every sum.
constexpr float kLag = 24;

// 2^x to 3e-7, for x up to 126; below -126 it stays there. Keeps NaN.
SIMD_INLINE VecF power_of_two(VecF x) {
#if defined(USER_LLM_ISA_AVX512)
  x = _mm512_max_ps(splat(-126.0f), x);  // the second operand where one is NaN
  const VecF whole = _mm512_roundscale_ps(x, 0), f = x - whole;
#else
  x = x < -126.0f ? splat(-126.0f) : x;
  const VecF shifted = x + 12582912.0f, whole = shifted - 12582912.0f, f = x - whole;
#endif
  VecF p = splat(1.8775767e-3f);
  p = p * f + 8.9893397e-3f;
  p = p * f + 5.5826318e-2f;
  p = p * f + 2.4015361e-1f;
  p = p * f + 6.9315308e-1f;
  p = p * f + 1.0f;
#if defined(USER_LLM_ISA_AVX512)
  return _mm512_scalef_ps(p, whole);
#else
  return p * (VecF)(((VecI)shifted - 0x4b400000 + 127) << 23);
#endif
}

SIMD_INLINE bool any_greater(VecF a, VecF b) {
#if defined(USER_LLM_ISA_AVX512)
  return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0;
#elif defined(USER_LLM_ISA_AVX2)
  return _mm256_movemask_ps((__m256)(a > b)) != 0;
#else
  const VecI greater = a > b;
  return greater[0] | greater[1] | greater[2] | greater[3];
#endif
}

void cap(const LceTile& t) {
  for (int64_t i = 0; i < t.classes; ++i)
    for (int64_t j = 0; j < t.columns; j += kLanes<float>) {
      VecF z = load(t.scores + i * kStride + j);
      if (t.bias) z += t.bias[i];
      if (t.soft_cap != 0) z = t.soft_cap * tanh_of(z * (1 / t.soft_cap));
      store(t.scores + i * kStride + j, z);
    }
}

void sums(const LceTile& t) {
  for (int64_t j = 0; j < t.columns; j += kLanes<float>) {
    const float* s = t.scores + j;
    VecF top = load(s), other = top;
    int64_t i = 0;
    for (; i + 2 <= t.classes; i += 2) {
      const VecF a = load(s + i * kStride), b = load(s + (i + 1) * kStride);
      top = a > top ? a : top;
      other = b > other ? b : other;
    }
    if (i < t.classes) {
      const VecF a = load(s + i * kStride);
      top = a > top ? a : top;
    }
    top = (other > top ? other : top) * kLog2E;
    VecF max = load(t.maxima + j), sum = load(t.sums + j);
    if (__builtin_expect(any_greater(top, max + kLag), 0)) {
      const VecF raised = top > max + kLag ? top : max;
      sum *= power_of_two(max - raised);
      max = raised;
      store(t.maxima + j, max);
    }
    VecF even = {}, odd = {};
    for (i = 0; i + 2 <= t.classes; i += 2) {
      even += power_of_two(load(s + i * kStride) * kLog2E - max);
      odd += power_of_two(load(s + (i + 1) * kStride) * kLog2E - max);
    }
    if (i < t.classes) even += power_of_two(load(s + i * kStride) * kLog2E - max);
    store(t.sums + j, sum + (even + odd));
    if (!t.score_sums) continue;
    VecF scores = {};
    for (i = 0; i < t.classes; ++i) scores += load(s + i * kStride);
    store(t.score_sums + j, load(t.score_sums + j) + scores);
  }
}

template <bool kCapped> SIMD_INLINE VecF gradient(VecF score, VecF max, VecF factor, VecF subtract, float inverse) {
  const VecF g = power_of_two(score * kLog2E - max) * factor - subtract;
  const VecF ratio = score * inverse;
  return kCapped ? g * (1 - ratio * ratio) : g;
}

// In the upper half of each word; what is below is rubbish. NaN stays NaN.
SIMD_INLINE Words rounded(VecF v) {
  const Words u = (Words)v, near = u + 0x7fff + ((u >> 16) & 1);
  return v != v ? (u | 0x400000) : near;
}

// Two classes of one vector of columns.
SIMD_INLINE void write(const LceTile& t, int64_t i, int64_t j, VecF first, VecF second) {
  uint16_t* const panel = t.panels + j / 16 * t.panel_stride + i * 16 + j % 16 * 2;
  uint16_t* const row = t.rows + i * t.row_stride + j;
#if defined(USER_LLM_ISA_BF16)
  alignas(64) static constexpr uint16_t kOrder[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  _mm512_storeu_si512(panel, _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), both));
  _mm256_storeu_si256((__m256i*)row, _mm512_castsi512_si256(both));
  if (i + 1 < t.classes) _mm256_storeu_si256((__m256i*)(row + t.row_stride), _mm512_extracti64x4_epi64(both, 1));
#else
  const Words low = rounded(first) >> 16, high = rounded(second);
  const Words pairs = low | (high & 0xffff0000);
  const Halves a = __builtin_convertvector(low, Halves), b = __builtin_convertvector(high >> 16, Halves);
  __builtin_memcpy(panel, &pairs, sizeof pairs);
  __builtin_memcpy(row, &a, sizeof a);
  if (i + 1 < t.classes) __builtin_memcpy(row + t.row_stride, &b, sizeof b);
#endif
}

template <bool kCapped, bool kMakes, bool kRounds> SIMD_INLINE void finish(const LceTile& t) {
  const float inverse = kCapped ? 1 / t.soft_cap : 0;
  for (int64_t j = 0; j < t.columns; j += kLanes<float>) {
    const VecF max = kMakes ? load(t.maxima + j) : VecF{}, factor = kMakes ? load(t.factors + j) : VecF{};
    const VecF subtract = kMakes ? load(t.subtract + j) : VecF{};
    float* const s = t.scores + j;
    const auto at = [&](int64_t i) {
      const VecF score = load(s + i * kStride);
      return kMakes ? gradient<kCapped>(score, max, factor, subtract, inverse) : score;
    };
    int64_t i = 0;
    for (; i + 2 <= t.classes; i += 2) {
      const VecF first = at(i), second = at(i + 1);
      if (kRounds) {
        write(t, i, j, first, second);
      } else {
        store(s + i * kStride, first);
        store(s + (i + 1) * kStride, second);
      }
    }
    if (i < t.classes) {
      const VecF last = at(i);
      if (kRounds)
        write(t, i, j, last, VecF{});
      else
        store(s + i * kStride, last);
    }
  }
  if (!kRounds) return;
  // What the products read beyond the tile.
  for (int64_t i = (t.classes + 1) / 2 * 2; i < kLceTileClasses; i += 2)
    for (int64_t j = 0; j < t.columns; j += 16) __builtin_memset(t.panels + j / 16 * t.panel_stride + i * 16, 0, 64);
  if (t.columns % 32)
    for (int64_t i = 0; i < t.classes; ++i) __builtin_memset(t.rows + i * t.row_stride + t.columns, 0, 32);
}

void gradients(const LceTile& t) { t.soft_cap == 0 ? finish<false, true, false>(t) : finish<true, true, false>(t); }
void round(const LceTile& t) { finish<false, false, true>(t); }
void rounded_gradients(const LceTile& t) {
  t.soft_cap == 0 ? finish<false, true, true>(t) : finish<true, true, true>(t);
}

void round_values(const float* from, uint16_t* to, int64_t count) {
  for_vectors<float>(count, [&](int64_t i, int64_t lanes) {
    const Halves halves = __builtin_convertvector(rounded(load_lanes(from + i, lanes)) >> 16, Halves);
    __builtin_memcpy(to + i, &halves, size_t(lanes) * sizeof(uint16_t));
  });
}

constexpr LceBf16Kernels kKernels = {cap, sums, gradients, round, rounded_gradients, round_values};

}  // namespace

#if defined(USER_LLM_ISA_BF16)
const LceBf16Kernels& lce_bf16_kernels_avx512bf16() { return kKernels; }
#else
SIMD_DEFINE(const LceBf16Kernels&, lce_bf16_kernels, ()) { return kKernels; }
#endif

}  // namespace userllm

// The bfloat16 product on one block of C, and the packing of its operands.
//
// Compiled once per instruction set, where operands are widened to float32 in registers, and once more with
// USER_LLM_ISA_BF16 for processors that multiply bfloat16 themselves.
#include "devices/cpu/gemm/gemm_bf16.simd.h"

#include "devices/cpu/gemm/gemm_vectors.simd.h"

namespace userllm {
namespace {

static_assert(sizeof(float) == 4);

inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

#define ALWAYS_INLINE inline __attribute__((always_inline))

// ---- Rounding to bfloat16

// Sixteen of them, whatever the width of the unit's registers.
typedef float Floats __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef int32_t Signs __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));

template <class V, class T> ALWAYS_INLINE void read(V& v, const T* from) { __builtin_memcpy(&v, from, sizeof v); }
template <class V, class T> ALWAYS_INLINE void write(T* to, const V& v) { __builtin_memcpy(to, &v, sizeof v); }

// In the upper half of each word; what is below it is rubbish. NaN stays NaN.
ALWAYS_INLINE void round_words(Words& u) {
  const Words rounded = u + 0x7fff + ((u >> 16) & 1), quiet = u | 0x400000;
  u = (Signs)(u & 0x7fffffff) > 0x7f800000 ? quiet : rounded;
}

// to[2 i] = even[i], to[2 i + 1] = odd[i]
ALWAYS_INLINE void interleave(const float* even, const float* odd, uint16_t* to) {
#if defined(USER_LLM_ISA_BF16)
  alignas(64) static constexpr uint16_t kOrder[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(odd), _mm512_loadu_ps(even));
  _mm512_storeu_si512(to, _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), both));
#else
  Words low, high;
  read(low, even), read(high, odd);
  round_words(low), round_words(high);
  write(to, (low >> 16) | (high & 0xffff0000));
#endif
}
ALWAYS_INLINE void interleave(const uint16_t* even, const uint16_t* odd, uint16_t* to) {
  Halves low, high;
  read(low, even), read(high, odd);
  write(to, __builtin_convertvector(low, Words) | __builtin_convertvector(high, Words) << 16);
}

// 32 in a row.
ALWAYS_INLINE void round_row(const float* from, uint16_t* to) {
#if defined(USER_LLM_ISA_BF16)
  _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from)));
#else
  for (int i = 0; i < 2; ++i) {
    Words u;
    read(u, from + 16 * i);
    round_words(u);
    write(to + 16 * i, __builtin_convertvector(u >> 16, Halves));
  }
#endif
}
ALWAYS_INLINE void round_row(const uint16_t* from, uint16_t* to) { __builtin_memcpy(to, from, 64); }

// ---- Packing

// kCount rows k, k + 1, ... of a k-major operand, of which there are `rows`, as lines of 16 columns, each with its pair
// of k: to[pair][column][2].
template <int64_t kCount, class T>
ALWAYS_INLINE void pairs(const T* from, int64_t stride, int64_t rows, int64_t columns, uint16_t* to) {
  constexpr int64_t kLine = 2 * kBf16Columns;
  if (rows >= kCount && columns >= kBf16Columns) {
#pragma GCC unroll 4
    for (int64_t k = 0; k < kCount; k += 2) interleave(from + k * stride, from + (k + 1) * stride, to + k / 2 * kLine);
    return;
  }
  T lines[2][kBf16Columns] = {};
  for (int64_t k = 0; k < kCount; k += 2) {
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t j = 0; j < kBf16Columns; ++j)
        lines[i][j] = k + i < rows && j < columns ? from[(k + i) * stride + j] : T(0);
    interleave(lines[0], lines[1], to + k / 2 * kLine);
  }
}

// The same columns some rows further down: they lie apart, where no prefetcher of the processor looks for them.
template <class T> ALWAYS_INLINE void prefetch_rows(const T* from, int64_t stride, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) __builtin_prefetch(from + i * stride);
}

// kRows rows of 32 k of an operand that is not k-major, of which there are `rows` and `k`: to[row][k].
template <int64_t kRows, class T>
ALWAYS_INLINE void rows_of(const T* from, int64_t stride, int64_t rows, int64_t k, uint16_t* to, int64_t to_stride) {
  for (int64_t i = 0; i < kRows; ++i) {
    uint16_t* const line = to + i * to_stride;
    if (i < rows && k == kBf16StepK) {
      round_row(from + i * stride, line);
      continue;
    }
    T values[kBf16StepK] = {};
    if (i < rows) __builtin_memcpy(values, from + i * stride, static_cast<size_t>(k) * sizeof(T));
    round_row(values, line);
  }
}

// 16 x 16 words across.
ALWAYS_INLINE void transpose_words(const uint16_t* from, uint16_t* to, int64_t to_stride) {
  constexpr int64_t kStep = kLanes<float>;
  for (int64_t i = 0; i < 16; i += kStep)
    for (int64_t j = 0; j < 16; j += kStep)
      transpose<float>(reinterpret_cast<const float*>(from) + i * 16 + j, 16, kStep, kStep,
                       reinterpret_cast<float*>(to) + j * (to_stride / 2) + i, to_stride / 2);
}

constexpr int64_t kBlockElements = kBf16Columns * kBf16StepK;
constexpr int64_t kPackRows = 8;  // of a k-major B that are packed together

template <class T> void pack_rows(const Operand& a, int64_t m, int64_t k, uint16_t* to, int64_t to_stride) {
  const T* from = static_cast<const T*>(a.data);
  if (!a.k_major) {
    for (int64_t i = 0; i < m; ++i) {
      const T* const row = from + i * a.stride;
      uint16_t* const line = to + i * to_stride;
      int64_t at = 0;
      for (; at + kBf16StepK <= k; at += kBf16StepK) round_row(row + at, line + at);
      if (at < k) rows_of<1>(row + at, a.stride, 1, k - at, line + at, to_stride);
    }
    for (int64_t i = m; i < round_up(m, kBf16Columns); ++i)
      __builtin_memset(to + i * to_stride, 0, static_cast<size_t>(round_up(k, kBf16StepK)) * 2);
    return;
  }
  alignas(64) uint16_t block[kBlockElements];
  for (int64_t at = 0; at < k; at += kBf16StepK)
    for (int64_t i = 0; i < m; i += kBf16Columns) {
      const T* const part = from + at * a.stride + i;
      prefetch_rows(part, a.stride, kBf16StepK, min(2 * kBf16StepK, k - at));
      pairs<kBf16StepK>(part, a.stride, k - at, m - i, block);
      transpose_words(block, to + i * to_stride + at, to_stride);
    }
}

template <class T> void pack_panels(const Operand& b, int64_t n, int64_t k, uint16_t* to, int64_t to_stride) {
  const T* from = static_cast<const T*>(b.data);
  if (b.k_major) {
    // A few rows at a time, along which memory is fastest.
    for (int64_t at = 0; at < round_up(k, kBf16StepK); at += kPackRows)
      for (int64_t j = 0; j < n; j += kBf16Columns) {
        const T* const part = from + at * b.stride + j;
        prefetch_rows(part, b.stride, kPackRows, min(2 * kPackRows, k - at));
        pairs<kPackRows>(part, b.stride, k - at, n - j, to + j / kBf16Columns * to_stride + at * kBf16Columns);
      }
    return;
  }
  alignas(64) uint16_t block[kBlockElements];
  for (int64_t j = 0; j < n; j += kBf16Columns)
    for (int64_t at = 0; at < k; at += kBf16StepK) {
      rows_of<kBf16Columns>(from + j * b.stride + at, b.stride, min(kBf16Columns, n - j), min(kBf16StepK, k - at),
                            block, kBf16StepK);
      transpose_words(block, to + j / kBf16Columns * to_stride + at * kBf16Columns, 2 * kBf16Columns);
    }
}

void pack_rows_of(const Operand& a, int64_t m, int64_t k, uint16_t* to, int64_t to_stride) {
  a.bfloat16 ? pack_rows<uint16_t>(a, m, k, to, to_stride) : pack_rows<float>(a, m, k, to, to_stride);
}
void pack_panels_of(const Operand& b, int64_t n, int64_t k, uint16_t* to, int64_t to_stride) {
  b.bfloat16 ? pack_panels<uint16_t>(b, n, k, to, to_stride) : pack_panels<float>(b, n, k, to, to_stride);
}

// ---- Epilogue

ALWAYS_INLINE Vec<float> widen(const uint16_t* from) {
  typedef uint16_t Part __attribute__((vector_size(kVectorBytes / 2)));
  Part part;
  read(part, from);
  return (Vec<float>)(__builtin_convertvector(part, Vec<uint32_t>) << 16);
}
ALWAYS_INLINE void narrow(uint16_t* to, const Vec<float>& v) {
#if defined(USER_LLM_ISA_BF16)
  const __m256i half = (__m256i)_mm512_cvtneps_pbh((__m512)v);
  write(to, half);
#else
  typedef uint16_t Part __attribute__((vector_size(kVectorBytes / 2)));
  typedef Vec<uint32_t> U;
  const U u = (U)v, rounded = u + 0x7fff + ((u >> 16) & 1), quiet = u | 0x400000;
  const U kept = (Vec<int32_t>)(u & 0x7fffffff) > 0x7f800000 ? quiet : rounded;
  write(to, __builtin_convertvector(kept >> 16, Part));
#endif
}

// A vector of a float32 or bfloat16 array from element `at` on, and back; `lanes` of it.
ALWAYS_INLINE Vec<float> load_of(const void* data, bool bf16, int64_t at, int lanes) {
  constexpr int kAll = kLanes<float>;
  if (!bf16) {
    const float* from = static_cast<const float*>(data) + at;
    return lanes == kAll ? load(from) : load(from, lanes);
  }
  const uint16_t* from = static_cast<const uint16_t*>(data) + at;
  if (lanes == kAll) return widen(from);
  uint16_t part[kAll] = {};
  __builtin_memcpy(part, from, static_cast<size_t>(lanes) * 2);
  return widen(part);
}
ALWAYS_INLINE void store_of(void* data, bool bf16, int64_t at, Vec<float> v, int lanes) {
  constexpr int kAll = kLanes<float>;
  if (!bf16) {
    float* to = static_cast<float*>(data) + at;
    lanes == kAll ? store(to, v) : store(to, v, lanes);
    return;
  }
  uint16_t* to = static_cast<uint16_t*>(data) + at;
  if (lanes == kAll) return narrow(to, v);
  uint16_t part[kAll];
  narrow(part, v);
  __builtin_memcpy(to, part, static_cast<size_t>(lanes) * 2);
}

// kPlain: there is nothing but the conversion to C's type.
template <bool kPlain, bool kBf16>
void finish_as(const GemmBf16& g, const float* values, int64_t stride, int64_t m, int64_t rows, int64_t n,
               int64_t columns) {
  const float alpha = static_cast<float>(g.alpha);
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t row = (m + i) * g.c_row_stride + n;
    const auto finish_vector = [&](int64_t j, int lanes) __attribute__((always_inline)) {
      const float* const from = values + i * stride + j;
      Vec<float> v = lanes == kLanes<float> ? load(from) : load(from, lanes);
      if (!kPlain) {
        v *= alpha;
        if (g.accumulate) v += load_of(g.c, kBf16, row + j, lanes);
        if (g.bias) v += load_of(g.bias, g.bias_bf16, n + j, lanes);
        if (g.preactivation) store_of(g.preactivation, kBf16, row + j, v, lanes);
        if (g.activation == Activation::kGeluTanh) v = gelu_tanh<float>(v);
        if (g.residual) v += load_of(g.residual, kBf16, row + j, lanes);
      }
      store_of(g.c, kBf16, row + j, v, lanes);
    };
    int64_t j = 0;
    for (; j + kLanes<float> <= columns; j += kLanes<float>) finish_vector(j, kLanes<float>);
    if (j < columns) finish_vector(j, static_cast<int>(columns - j));
  }
}

void finish(const GemmBf16& g, const float* values, int64_t stride, int64_t m, int64_t rows, int64_t n,
            int64_t columns) {
  const bool plain =
      g.alpha == 1 && !g.accumulate && !g.bias && !g.preactivation && !g.residual && g.activation == Activation::kNone;
  const auto as = g.c_bf16 ? plain ? finish_as<true, true> : finish_as<false, true>
                  : plain ? finish_as<true, false>
                           : finish_as<false, false>;
  as(g, values, stride, m, rows, n, columns);
}

void finish_across(const GemmBf16& g, const float* values, int64_t stride, int64_t n, int64_t columns) {
  constexpr int64_t kStep = kLanes<float>, kWidth = 48;
  alignas(64) float rows[kBf16Columns * kWidth];
  for (int64_t from = 0; from < columns; from += kWidth) {
    const int64_t width = min(kWidth, columns - from);
    for (int64_t m = 0; m < g.m; m += kBf16Columns) {
      const int64_t height = min(kBf16Columns, g.m - m);
      for (int64_t i = 0; i < height; i += kStep)
        for (int64_t j = 0; j < width; j += kStep)
          transpose<float>(values + (from + j) * stride + m + i, stride, min(kStep, width - j), min(kStep, height - i),
                           rows + i * kWidth + j, kWidth);
      finish(g, rows, kWidth, m, height, n + from, width);
    }
  }
}

// ---- Inner products

constexpr int kDotRows = 4, kDotColumns = 4;
constexpr int64_t kDotStrip = 64;          // columns of C that are finished together
constexpr int64_t kWords = kLanes<float>;  // of a step of k, each with an even and an odd element
static_assert(kBf16StepK % (2 * kWords) == 0);

void widen_rows(const Operand& a, int64_t m, int64_t k, float* to, int64_t to_stride) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t at = 0; at < k; at += kBf16StepK) {
      alignas(64) uint16_t rounded[kBf16StepK];
      const Operand row = {a.bfloat16
                               ? static_cast<const void*>(static_cast<const uint16_t*>(a.data) + i * a.stride + at)
                               : static_cast<const float*>(a.data) + i * a.stride + at,
                           a.stride, false, a.bfloat16};
      const int64_t count = min(kBf16StepK, k - at);
      row.bfloat16 ? rows_of<1>(static_cast<const uint16_t*>(row.data), 0, 1, count, rounded, 0)
                   : rows_of<1>(static_cast<const float*>(row.data), 0, 1, count, rounded, 0);
      float* const line = to + i * to_stride + at;
      for (int64_t j = 0; j < kBf16StepK; ++j) {
        const uint32_t word = uint32_t{rounded[j]} << 16;
        const int64_t step = j / (2 * kWords), within = j % (2 * kWords);
        __builtin_memcpy(line + step * 2 * kWords + within % 2 * kWords + within / 2, &word, 4);
      }
    }
}

// values[i * kDotStrip + j]: row i of A times row j of B.
template <int kR, int kC>
void dot_tile(const float* a, int64_t a_stride, const uint16_t* b, int64_t b_stride, int64_t k, float* values) {
  Vec<float> even[kR][kC] = {}, odd[kR][kC] = {};
  const auto step = [&](int64_t at, auto word_at) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int j = 0; j < kC; ++j) {
      const Vec<uint32_t> both = word_at(b + j * b_stride + at);
      const Vec<float> low = (Vec<float>)(both << 16), high = (Vec<float>)(both & 0xffff0000);
#pragma GCC unroll 4
      for (int i = 0; i < kR; ++i) {
        even[i][j] += load(a + i * a_stride + at) * low;
        odd[i][j] += load(a + i * a_stride + at + kWords) * high;
      }
    }
  };
  int64_t at = 0;
  for (; at + 2 * kWords <= k; at += 2 * kWords)
    step(at, [b_stride](const uint16_t* from) {
      __builtin_prefetch(from + kC * b_stride);
      Vec<uint32_t> both;
      read(both, from);
      return both;
    });
  if (at < k)
    step(at, [rest = k - at](const uint16_t* from) {
      uint16_t part[2 * kWords] = {};
      __builtin_memcpy(part, from, static_cast<size_t>(rest) * 2);
      Vec<uint32_t> both;
      read(both, part);
      return both;
    });
#pragma GCC unroll 4
  for (int i = 0; i < kR; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kC; ++j) {
      float sum = 0;
      const Vec<float> lanes = even[i][j] + odd[i][j];
      for (int64_t lane = 0; lane < kWords; ++lane) sum += lanes[lane];
      values[i * kDotStrip + j] = sum;
    }
}

typedef void (*DotFunction)(const float*, int64_t, const uint16_t*, int64_t, int64_t, float*);

// By rows and columns, each less one.
struct DotTable {
  DotFunction of[kDotRows][kDotColumns];
};
template <int kR, int kC> constexpr void fill_dots(DotTable& table) {
  table.of[kR - 1][kC - 1] = dot_tile<kR, kC>;
  if constexpr (kC > 1)
    fill_dots<kR, kC - 1>(table);
  else if constexpr (kR > 1)
    fill_dots<kR - 1, kDotColumns>(table);
}
constexpr DotTable make_dot_table() {
  DotTable table{};
  fill_dots<kDotRows, kDotColumns>(table);
  return table;
}

void dots(const GemmBf16& g, const Bf16Dots& d) {
  static constexpr DotTable table = make_dot_table();
  alignas(64) float values[kDotRows * kDotStrip];
  const uint16_t* b = static_cast<const uint16_t*>(g.b);
  // A few rows of B come from memory once, for all rows of A.
  for (int64_t n = d.n_begin; n < d.n_end; n += kDotStrip) {
    const int64_t strip = min(kDotStrip, d.n_end - n);
    for (int64_t m = 0; m < g.m; m += kDotRows) {
      const int64_t rows = min(kDotRows, g.m - m);
      for (int64_t j = 0; j < strip; j += kDotColumns)
        table.of[rows - 1][min(kDotColumns, strip - j) - 1](
            d.rows + m * d.row_stride, d.row_stride, b + (n + j) * g.b_row_stride, g.b_row_stride, g.k, values + j);
      finish(g, values, kDotStrip, m, rows, n, strip);
    }
  }
}

// ---- Blocks

// One tile of sums: out[height, width] = a · b (+ in), where `in` and `out` have room for whole units of the tier.
struct Sums {
  const uint16_t* b;
  int64_t b_stride;
  int64_t k;
  int64_t height, width;
  const float* in;  // or null
  int64_t in_stride;
  float* out;
  int64_t out_stride;
};

// Walks over the cache lines of rows, a few at a time.
struct Prefetch {
  Bf16Ahead left;
  int64_t at = 0;

  void step(int64_t lines) {
    for (; lines > 0 && left.count > 0; --lines) {
      __builtin_prefetch(static_cast<const char*>(left.rows) + at, 0, 2);
      at += 64;
      if (at >= left.row_bytes) at = 0, left.rows = static_cast<const char*>(left.rows) + left.stride, --left.count;
    }
  }
};

inline void copy(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i)
    __builtin_memcpy(to + i * to_stride, from + i * from_stride, static_cast<size_t>(columns) * 4);
}

// Covers a block with the tiles of a tier:
//   kRows, kColumns       of a tile
//   kRowUnit, kColumnUnit what it writes whole
//   kBlockK               longer k is cut
//   Tier(a, stride, height, k) looks at rows of A, whose tile(sums) are then asked for
template <class Tier> void multiply(const Bf16Block& g) {
  alignas(64) float values[Tier::kRows * Tier::kColumns];
  // Cut evenly.
  const int64_t k_blocks = ceil_div(g.k, Tier::kBlockK), block_k = round_up(ceil_div(g.k, k_blocks), kBf16StepK);
  const int64_t tiles = ceil_div(g.m, Tier::kRows) * ceil_div(g.n, Tier::kColumns) * k_blocks;
  const int64_t ahead_lines = ceil_div(g.ahead.count * ceil_div(g.ahead.row_bytes, 64), tiles);
  Prefetch ahead = {g.ahead};
  for (int64_t m = 0; m < g.m; m += Tier::kRows) {
    const int64_t height = min(Tier::kRows, g.m - m);
    for (int64_t k = 0; k < g.k; k += block_k) {
      const int64_t steps = min(block_k, g.k - k);
      const bool finishes = g.finish && k + steps == g.k;
      const Tier tier(g.a + m * g.a_stride + k, g.a_stride, height, steps);
      Sums sums;
      sums.b_stride = g.b_stride;
      sums.k = steps;
      sums.height = height;
      const bool continues = k > 0 || g.accumulate;
      for (int64_t n = 0; n < g.n; n += Tier::kColumns) {
        const int64_t width = min(Tier::kColumns, g.n - n);
        ahead.step(ahead_lines);
        float* const c = g.c + m * g.c_stride + n;
        sums.b = g.b + n / kBf16Columns * g.b_stride + n % kBf16Columns * 2 + k * kBf16Columns;
        sums.width = width;
        const bool whole = height % Tier::kRowUnit == 0 && width % Tier::kColumnUnit == 0;
        const bool to_c = whole && !finishes;
        sums.in = !continues ? nullptr : whole ? c : values;
        sums.in_stride = whole ? g.c_stride : Tier::kColumns;
        sums.out = to_c ? c : values;
        sums.out_stride = to_c ? g.c_stride : Tier::kColumns;
        if (continues && !whole) copy(c, g.c_stride, values, Tier::kColumns, height, width);
        tier.tile(sums);
        if (finishes)
          finish(*g.finish, values, Tier::kColumns, g.finish_m + m, height, g.finish_n + n, width);
        else if (!to_c)
          copy(values, Tier::kColumns, c, g.c_stride, height, width);
      }
    }
  }
}

template <class Tier>
constexpr Bf16Kernels kKernels = {.rows = Tier::kBlockRows,
                                  .block_k = Tier::kBlockK,
                                  .multiply = multiply<Tier>,
                                  .finish = finish,
                                  .finish_across = finish_across,
                                  .pack_rows = pack_rows_of,
                                  .pack_panels = pack_panels_of,
                                  .widen_rows = widen_rows,
                                  .dots = dots,
                                  .enter = Tier::enter,
                                  .leave = Tier::leave,
                                  .spin = Tier::spin};

#if !defined(USER_LLM_ISA_BF16)

// Widens to float32: A once for a row block, B in registers.
struct Convert {
#if defined(USER_LLM_ISA_AVX512)
  static constexpr int64_t kRows = 12, kVectors = 2;
#elif defined(USER_LLM_ISA_AVX2)
  static constexpr int64_t kRows = 6, kVectors = 2;
#elif defined(__aarch64__)
  static constexpr int64_t kRows = 6, kVectors = 4;
#else
  static constexpr int64_t kRows = 4, kVectors = 2;
#endif
  static constexpr int64_t kColumns = kVectors * kLanes<float>;
  static constexpr int64_t kRowUnit = 1, kColumnUnit = kColumns < kBf16Columns ? kColumns : kBf16Columns;
  static constexpr int64_t kBlockRows = 48, kBlockK = 512;

  alignas(64) float rows[kRows * kBlockK];

  Convert(const uint16_t* a, int64_t stride, int64_t height, int64_t k) {
    for (int64_t i = 0; i < height; ++i)
      for (int64_t at = 0; at < k; at += kLanes<float>) store(rows + i * kBlockK + at, widen(a + i * stride + at));
  }

  template <int kR, int kV> static void run(const float* a, const Sums& s) {
    Vec<float> sum[kR][kV] = {};
    if (s.in)
#pragma GCC unroll 12
      for (int i = 0; i < kR; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < kV; ++j) sum[i][j] = load(s.in + i * s.in_stride + j * kLanes<float>);
    const uint16_t* b[kV];
    for (int j = 0; j < kV; ++j)
      b[j] = s.b + j * kLanes<float> / kBf16Columns * s.b_stride + j * kLanes<float> % kBf16Columns * 2;
    for (int64_t k = 0; k < s.k; k += 2) {
      Vec<float> even[kV], odd[kV];
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j) {
        Vec<uint32_t> both;
        read(both, b[j] + k * kBf16Columns);
        even[j] = (Vec<float>)(both << 16);
        odd[j] = (Vec<float>)(both & 0xffff0000);
      }
#pragma GCC unroll 12
      for (int i = 0; i < kR; ++i) {
        const float first = a[i * kBlockK + k], second = a[i * kBlockK + k + 1];
#pragma GCC unroll 4
        for (int j = 0; j < kV; ++j) sum[i][j] += first * even[j];
#pragma GCC unroll 4
        for (int j = 0; j < kV; ++j) sum[i][j] += second * odd[j];
      }
    }
#pragma GCC unroll 12
    for (int i = 0; i < kR; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j) store(s.out + i * s.out_stride + j * kLanes<float>, sum[i][j]);
  }

  typedef void (*Run)(const float*, const Sums&);
  struct Table {
    Run of[kVectors][kRows];
  };
  template <int kR, int kV> static constexpr void fill(Table& table) {
    table.of[kV - 1][kR - 1] = run<kR, kV>;
    if constexpr (kR > 1)
      fill<kR - 1, kV>(table);
    else if constexpr (kV > 1)
      fill<kRows, kV - 1>(table);
  }
  static constexpr Table make_table() {
    Table table{};
    fill<kRows, kVectors>(table);
    return table;
  }

  void tile(const Sums& s) const {
    static constexpr Table table = make_table();
    // Panels are filled up to their width.
    const int64_t vectors = min(kVectors, round_up(s.width, kBf16Columns) / kLanes<float>);
    table.of[vectors - 1][s.height - 1](rows, s);
  }

  static void enter() {}
  static void leave() {}
  static constexpr double (*spin)(int64_t) = nullptr;
};

#else

// vdpbf16ps: a pair of k of one row of A, broadcast, times those of sixteen columns.
struct Avx512 {
  static constexpr int64_t kRows = 12, kColumns = 32, kRowUnit = 1, kColumnUnit = 16, kBlockRows = 48, kBlockK = 1024;

  const uint16_t* a;
  int64_t stride;

  Avx512(const uint16_t* a_, int64_t stride_, int64_t, int64_t) : a(a_), stride(stride_) {}

  template <int kR, int kV> static void run(const uint16_t* a, int64_t stride, const Sums& s) {
    __m512 sum[kR][kV];
#pragma GCC unroll 12
    for (int i = 0; i < kR; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < kV; ++j)
        sum[i][j] = s.in ? _mm512_loadu_ps(s.in + i * s.in_stride + j * 16) : _mm512_setzero_ps();
    const uint16_t* b = s.b;
    const int64_t b_stride = s.b_stride;
    for (int64_t k = 0; k < s.k; k += 2) {
      __m512bh columns[kV];
#pragma GCC unroll 2
      for (int j = 0; j < kV; ++j) columns[j] = (__m512bh)_mm512_loadu_si512(b + j * b_stride);
#pragma GCC unroll 12
      for (int i = 0; i < kR; ++i) {
        int32_t pair;
        __builtin_memcpy(&pair, a + i * stride + k, 4);
        const __m512bh row = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 2
        for (int j = 0; j < kV; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], row, columns[j]);
      }
      b += 2 * kBf16Columns;
    }
#pragma GCC unroll 12
    for (int i = 0; i < kR; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < kV; ++j) _mm512_storeu_ps(s.out + i * s.out_stride + j * 16, sum[i][j]);
  }

  typedef void (*Run)(const uint16_t*, int64_t, const Sums&);
  struct Table {
    Run of[2][kRows];
  };
  template <int kR> static constexpr void fill(Table& table) {
    table.of[0][kR - 1] = run<kR, 1>;
    table.of[1][kR - 1] = run<kR, 2>;
    if constexpr (kR > 1) fill<kR - 1>(table);
  }
  static constexpr Table make_table() {
    Table table{};
    fill<kRows>(table);
    return table;
  }

  void tile(const Sums& s) const {
    static constexpr Table table = make_table();
    table.of[s.width > 16][s.height - 1](a, stride, s);
  }

  static void enter() {}
  static void leave() {}

  static double spin(int64_t rounds) {
    constexpr int kChains = 24;
    const __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f00), b = (__m512bh)_mm512_set1_epi16(0x3a80);
    __m512 sum[kChains];
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) sum[i] = _mm512_set1_ps(float(i));
    for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 24
      for (int i = 0; i < kChains; ++i) sum[i] = _mm512_dpbf16_ps(sum[i], a, b);
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) __asm__ volatile("" ::"v"(sum[i]));
    return 64.0 * kChains * double(rounds);
  }
};

// The compiler may think that a tile instruction touches no memory.
ALWAYS_INLINE void settle_memory() { __asm__ volatile("" ::: "memory"); }

// tdpbf16ps: tiles of 16 rows of 64 bytes. Two of A times two of B make four of C.
struct Amx {
  static constexpr int64_t kRows = 32, kColumns = 32, kRowUnit = 16, kColumnUnit = 16, kBlockRows = 32, kBlockK = 320;

  const uint16_t* a;
  int64_t stride;

  Amx(const uint16_t* a_, int64_t stride_, int64_t, int64_t) : a(a_), stride(stride_) {}

  template <int kR, int kC> ALWAYS_INLINE void run(const Sums& s) const {
    const int64_t out_bytes = s.out_stride * 4, a_bytes = stride * 2;
    float* const below = s.out + 16 * s.out_stride;
    settle_memory();
    if (s.in) {
      const int64_t in_bytes = s.in_stride * 4;
      const float* const in_below = s.in + 16 * s.in_stride;
      _tile_loadd(0, s.in, in_bytes);
      if constexpr (kC > 1) _tile_loadd(1, s.in + 16, in_bytes);
      if constexpr (kR > 1) _tile_loadd(2, in_below, in_bytes);
      if constexpr (kR > 1 && kC > 1) _tile_loadd(3, in_below + 16, in_bytes);
    } else {
      _tile_zero(0);
      if constexpr (kC > 1) _tile_zero(1);
      if constexpr (kR > 1) _tile_zero(2);
      if constexpr (kR > 1 && kC > 1) _tile_zero(3);
    }
    const uint16_t *row = a, *next = a + 16 * stride, *panel = s.b, *beside = s.b + s.b_stride;
    for (int64_t k = 0; k < s.k; k += kBf16StepK) {
      _tile_loadd(6, panel, 64);
      _tile_loadd(4, row, a_bytes);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (kC > 1) {
        _tile_loadd(7, beside, 64);
        _tile_dpbf16ps(1, 4, 7);
      }
      if constexpr (kR > 1) {
        _tile_loadd(5, next, a_bytes);
        _tile_dpbf16ps(2, 5, 6);
      }
      if constexpr (kR > 1 && kC > 1) _tile_dpbf16ps(3, 5, 7);
      row += kBf16StepK, next += kBf16StepK;
      panel += kBlockElements, beside += kBlockElements;
    }
    _tile_stored(0, s.out, out_bytes);
    if constexpr (kC > 1) _tile_stored(1, s.out + 16, out_bytes);
    if constexpr (kR > 1) _tile_stored(2, below, out_bytes);
    if constexpr (kR > 1 && kC > 1) _tile_stored(3, below + 16, out_bytes);
    settle_memory();
  }

  void tile(const Sums& s) const {
    if (s.height > 16)
      s.width > 16 ? run<2, 2>(s) : run<2, 1>(s);
    else
      s.width > 16 ? run<1, 2>(s) : run<1, 1>(s);
  }

  static void enter() {
    struct alignas(64) Configuration {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    static_assert(sizeof(Configuration) == 64);
    static constexpr Configuration configuration;
    settle_memory();
    _tile_loadconfig(&configuration);
  }
  static void leave() { _tile_release(); }

  static double spin(int64_t rounds) {
    _tile_zero(6);
    _tile_zero(7);
    for (int64_t round = 0; round < rounds; ++round) {
      _tile_dpbf16ps(0, 6, 7);
      _tile_dpbf16ps(1, 6, 7);
      _tile_dpbf16ps(2, 6, 7);
      _tile_dpbf16ps(3, 6, 7);
      _tile_dpbf16ps(4, 6, 7);
      _tile_dpbf16ps(5, 6, 7);
    }
    return 6.0 * 2 * 16 * 16 * 32 * double(rounds);
  }
};

#endif

}  // namespace

#if defined(USER_LLM_ISA_BF16)
const Bf16Kernels& gemm_bf16_kernels_avx512bf16() { return kKernels<Avx512>; }
const Bf16Kernels& gemm_bf16_kernels_amx() { return kKernels<Amx>; }
#else
SIMD_DEFINE(const Bf16Kernels&, gemm_bf16_kernels, ()) { return kKernels<Convert>; }
#endif

}  // namespace userllm

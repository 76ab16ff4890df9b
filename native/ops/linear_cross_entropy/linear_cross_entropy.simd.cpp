// The three products of the fused loss, each over register tiles of kR x kV vectors that run down their inner dimension
// once. Rows of x lie in the lanes of the scores, so maxima and sums over classes need no shuffles, and the weight is
// read where it lies, as A of one product and as B of the next:
//
//     scores[class, row]  = weight[class, :] · x[row, :]         kR classes, kV vectors of rows
//     x_grad[row, :]     += exponentials[:, row] · weight        kR rows, kV vectors of the width
//     weight_grad[c, :]  += exponentials[c, :] · scaled x        kR classes, kV vectors of the width
#include "ops/linear_cross_entropy/linear_cross_entropy.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

#if defined(USER_LLM_ISA_AVX512)
constexpr int kR = 12, kV = 2;
#elif defined(USER_LLM_ISA_AVX2)
constexpr int kR = 6, kV = 2;
#else
constexpr int kR = 4, kV = 2;
#endif
template <class T> constexpr int kColumns = kV* kLanes<T>;
static_assert(kStripRows % kColumns<float> == 0 && kStripRows % kR == 0 && kTileClasses % kR == 0 &&
              kPanelWidth % kColumns<float> == 0);

// The maximum is raised when it lags by more than this: e^16 is far from overflow in every sum.
constexpr int kLag = 16;
constexpr int64_t kStep = 16;   // of the inner dimension between prefetches from far
constexpr int64_t kAheadB = 8;  // rows of B that are fetched ahead from the second-level cache

SIMD_INLINE int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
SIMD_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Lower than any score, and finite: the exponential of -inf less it is 0.
template <class T> constexpr T kLowest = sizeof(T) == 4 ? T(-1e38) : T(-1e300);

template <class T> SIMD_INLINE bool any_greater(Vec<T> a, Vec<T> b) {
#if defined(USER_LLM_ISA_AVX512)
  if constexpr (sizeof(T) == 4)
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ) != 0;
  else
    return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_GT_OQ) != 0;
#elif defined(USER_LLM_ISA_AVX2)
  if constexpr (sizeof(T) == 4)
    return _mm256_movemask_ps((__m256)(a > b)) != 0;
  else
    return _mm256_movemask_pd((__m256d)(a > b)) != 0;
#else
  const auto greater = a > b;
  for (int i = 0; i < kLanes<T>; ++i)
    if (greater[i]) return true;
  return false;
#endif
}

// Contiguous memory that later tiles need, fetched a few lines at a time.
struct Ahead {
  const char* at = nullptr;
  const char* end = nullptr;
  int64_t lines = 0;  // for each kStep

  void plan(const void* from, int64_t bytes, int64_t steps) {
    at = static_cast<const char*>(from);
    end = at + bytes;
    lines = steps > 0 ? ceil_div(ceil_div(bytes, 64), steps) : 0;
  }
  inline __attribute__((always_inline)) void step() {
    for (int64_t i = lines; i > 0 && at < end; --i, at += 64) __builtin_prefetch(at, 0, 2);
  }
};

template <class T, int R> using Tile = Vec<T>[R][kV];

// sum[i][j] += sum over k of a[i a_row + k a_k] b[k b_k + lanes of j]. `rest` is the width of a partial panel of B.
template <bool kPartial, class T, int R>
SIMD_INLINE void multiply(Tile<T, R>& sum, const T* from, int64_t a_row, int64_t a_k, const T* b, int64_t b_k,
                          int64_t k_end, int64_t rest, Ahead& near, Ahead& far) {
  const int64_t lanes0 = min(rest, kLanes<T>), lanes1 = rest - lanes0;
  // One pointer for every three rows: [p], [p + stride] and [p + 2 stride] are addressing modes.
  const T* a[(R + 2) / 3];
#pragma GCC unroll 8
  for (int i = 0; i < (R + 2) / 3; ++i) a[i] = from + 3 * i * a_row;
  const auto step = [&]() __attribute__((always_inline)) {
    Vec<T> row[kV];
    row[0] = kPartial ? load_part(b, lanes0) : load(b);
    row[1] = kPartial ? load_part(b + kLanes<T>, lanes1) : load(b + kLanes<T>);
    __builtin_prefetch(b + kAheadB * b_k);
    __builtin_prefetch(b + kAheadB * b_k + kLanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const T factor = a[i / 3][i % 3 * a_row];
      sum[i][0] += factor * row[0];
      sum[i][1] += factor * row[1];
    }
#pragma GCC unroll 8
    for (int i = 0; i < (R + 2) / 3; ++i) a[i] += a_k;
    b += b_k;
  };
  for (; k_end >= kStep; k_end -= kStep) {
    near.step();
    far.step();
#pragma GCC unroll 2
    for (int64_t k = 0; k < kStep; ++k) step();
  }
#pragma GCC unroll 1
  for (; k_end > 0; --k_end) step();
}

template <class T, int R> SIMD_INLINE void clear(Tile<T, R>& sum) {
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) sum[i][0] = sum[i][1] = Vec<T>{};
}

// Tiles in memory, to be worked on in a loop.
template <class T, int R> SIMD_INLINE void save(const Tile<T, R>& sum, T* to) {
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kV; ++j) store(to + i * kColumns<T> + j * kLanes<T>, sum[i][j]);
}
template <class T, int R> SIMD_INLINE void restore(Tile<T, R>& sum, const T* from) {
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kV; ++j) sum[i][j] = load(from + i * kColumns<T> + j * kLanes<T>);
}

// ---- Scores and their exponentials

// The maxima of rows [row, row + kColumns) have fallen behind `top`: they are raised, and what was made with the old
// ones is scaled: sums, the exponentials of `classes` classes, the gradient so far.
template <class T>
__attribute__((noinline)) void raise_maxima(const LceBlock<T>& b, int64_t row, const T* top, T* exponentials,
                                            int64_t classes) {
  for (int64_t j = 0; j < kColumns<T>; j += kLanes<T>) {
    const Vec<T> old = load(b.maxima + row + j), now = load(top + j);
    const Vec<T> raised = now > old + T(kLag) ? now : old;
    const Vec<T> factor = exp_of(old - raised);
    store(b.maxima + row + j, raised);
    store(b.sums + row + j, load(b.sums + row + j) * factor);
    for (int64_t c = 0; c < classes; ++c) {
      T* e = exponentials + c * kStripRows + j;
      store(e, load(e) * factor);
    }
    if (!b.x_grad) continue;
    const int64_t stride = ceil_div(b.width, kPanelWidth) * kPanelWidth;
    for (int i = 0; i < kLanes<T>; ++i) {
      if (factor[i] == 1) continue;
      T* grad = b.x_grad + (row + j + i) * stride;
      for (int64_t d = 0; d < stride; d += kLanes<T>) store(grad + d, load(grad + d) * T(factor[i]));
    }
  }
}

// One tile of scores. Online, the maxima follow; otherwise the log-sums are known and probabilities are made.
template <bool kCapped, bool kOnline, class T, int R>
SIMD_INLINE void score_tile(const LceBlock<T>& b, int64_t c, int64_t row, const T* panel, T* exponentials,
                            T* first_exponential, Ahead& near, Ahead& far) {
  Tile<T, R> sum;
  clear<T, R>(sum);
  multiply<false, T, R>(sum, b.weight + c * b.width, b.width, 1, panel, kColumns<T>, b.width, 0, near, far);
  if (b.bias)
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Vec<T> bias = splat(b.bias[c + i]);
      sum[i][0] += bias;
      sum[i][1] += bias;
    }
  T slope[kCapped ? R * kColumns<T> : 1];
  if constexpr (kCapped) {
    T capped[R * kColumns<T>];
    save<T, R>(sum, capped);
#pragma GCC unroll 1
    for (int i = 0; i < R * kColumns<T>; i += kLanes<T>) {
      const Vec<T> t = tanh_of(load(capped + i) * (1 / b.soft_cap));
      store(capped + i, b.soft_cap * t);
      store(slope + i, 1 - t * t);
    }
    restore<T, R>(sum, capped);
  }
  if constexpr (!kOnline) {
#pragma GCC unroll 2
    for (int j = 0; j < kV; ++j) {
      const Vec<T> max = load(b.maxima + row + j * kLanes<T>), log_sum = load(b.log_sums + row + j * kLanes<T>);
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) {
        Vec<T> p = exp_of(sum[i][j] - max - log_sum) - b.floor;
        if constexpr (kCapped) p *= load(slope + i * kColumns<T> + j * kLanes<T>);
        store(exponentials + i * kStripRows + j * kLanes<T>, p);
      }
    }
    return;
  }

  Vec<T> top[kV] = {sum[0][0], sum[0][1]};
#pragma GCC unroll 16
  for (int i = 1; i < R; ++i) {
    top[0] = sum[i][0] > top[0] ? sum[i][0] : top[0];
    top[1] = sum[i][1] > top[1] ? sum[i][1] : top[1];
  }
  if (__builtin_expect(any_greater<T>(top[0], load(b.maxima + row) + T(kLag)) ||
                           any_greater<T>(top[1], load(b.maxima + row + kLanes<T>) + T(kLag)),
                       0)) {
    // The registers are saved by hand, where the compiler would make room for them in the common case too.
    T tops[kColumns<T>], saved[R * kColumns<T>];
    for (int j = 0; j < kV; ++j) store(tops + j * kLanes<T>, top[j]);
    save<T, R>(sum, saved);
    raise_maxima(b, row, tops, first_exponential, exponentials ? (exponentials - first_exponential) / kStripRows : 0);
    restore<T, R>(sum, saved);
  }
#pragma GCC unroll 2
  for (int j = 0; j < kV; ++j) {
    const int64_t at = row + j * kLanes<T>;
    const Vec<T> max = load(b.maxima + at);
    if (b.score_sums) {
      Vec<T> scores = sum[0][j];
#pragma GCC unroll 16
      for (int i = 1; i < R; ++i) scores += sum[i][j];
      store(b.score_sums + at, load(b.score_sums + at) + scores);
    }
    Vec<T> total = {};
    if (exponentials)
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) {
        Vec<T> e = exp_of(sum[i][j] - max);
        total += e;
        if constexpr (kCapped) e *= load(slope + i * kColumns<T> + j * kLanes<T>);
        store(exponentials + i * kStripRows + j * kLanes<T>, e);
      }
    else
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) total += exp_of(sum[i][j] - max);
    store(b.sums + at, load(b.sums + at) + total);
  }
}

// Classes [begin, end) against one strip.
template <bool kCapped, bool kOnline, class T>
SIMD_INLINE void score_strip(const LceBlock<T>& b, int64_t strip, int64_t begin, int64_t end, T* exponentials,
                             T* first_exponential) {
  const int64_t first_row = strip * kStripRows, rows = min(kStripRows, b.rows - first_row);
  const int64_t panels = ceil_div(rows, kColumns<T>), steps = panels * ceil_div(b.width, kStep);
  Ahead near, far;
  for (int64_t c = begin; c < end;) {
    const int64_t height = c + kR <= end ? kR : 1;
    T* e = exponentials ? exponentials + (c - begin) * kStripRows : nullptr;
    const int64_t next = min(kR, end - c - height);
    near.plan(b.weight + (c + height) * b.width, next * b.width * int64_t{sizeof(T)}, steps);
    far.plan(e ? e + height * kStripRows : nullptr, e ? next * kStripRows * int64_t{sizeof(T)} : 0, steps);
    for (int64_t p = 0; p < panels; ++p) {
      const int64_t row = first_row + p * kColumns<T>;
      const T* panel = b.x + row * b.width;
      T* to = e ? e + p * kColumns<T> : nullptr;
      T* first = first_exponential ? first_exponential + p * kColumns<T> : nullptr;
      if (height == kR)
        score_tile<kCapped, kOnline, T, kR>(b, c, row, panel, to, first, near, far);
      else
        score_tile<kCapped, kOnline, T, 1>(b, c, row, panel, to, first, near, far);
    }
    c += height;
  }
}

// Rows of the strip: their gradient += exponentials · weight over classes [begin, end).
template <class T>
SIMD_INLINE void add_x_grad(const LceBlock<T>& b, int64_t strip, int64_t begin, int64_t end, const T* exponentials) {
  const int64_t first_row = strip * kStripRows, rows = min(kStripRows, b.rows - first_row);
  const int64_t stride = ceil_div(b.width, kPanelWidth) * kPanelWidth;
  Ahead none;
  for (int64_t r = 0; r < rows; r += kR)
    for (int64_t d = 0; d < b.width; d += kColumns<T>) {
      T* to = b.x_grad + (first_row + r) * stride + d;
      Tile<T, kR> sum;
#pragma GCC unroll 16
      for (int i = 0; i < kR; ++i)
#pragma GCC unroll 2
        for (int j = 0; j < kV; ++j) sum[i][j] = load(to + i * stride + j * kLanes<T>);
      const T* weight = b.weight + begin * b.width + d;
      if (b.width - d >= kColumns<T>)
        multiply<false, T, kR>(sum, exponentials + r, 1, kStripRows, weight, b.width, end - begin, 0, none, none);
      else
        multiply<true, T, kR>(sum, exponentials + r, 1, kStripRows, weight, b.width, end - begin, b.width - d, none,
                              none);
#pragma GCC unroll 16
      for (int i = 0; i < kR; ++i)
#pragma GCC unroll 2
        for (int j = 0; j < kV; ++j) store(to + i * stride + j * kLanes<T>, sum[i][j]);
    }
}

template <class T> SIMD_INLINE void start_x_grad(const LceBlock<T>& b, int64_t first, int64_t last) {
  const int64_t stride = ceil_div(b.width, kPanelWidth) * kPanelWidth;
  if (b.x_grad)
    for (int64_t i = first * kStripRows * stride; i < last * kStripRows * stride; i += kLanes<T>)
      store(b.x_grad + i, Vec<T>{});
}

template <bool kCapped, class T> SIMD_INLINE void scores(const LceBlock<T>& b, int64_t first, int64_t last) {
  for (int64_t r = first * kStripRows; r < last * kStripRows; r += kLanes<T>) {
    store(b.maxima + r, splat(kLowest<T>));
    store(b.sums + r, Vec<T>{});
    if (b.score_sums) store(b.score_sums + r, Vec<T>{});
  }
  start_x_grad(b, first, last);
  const int64_t group = lce_group_classes(b.width, sizeof(T));
  for (int64_t begin = 0; begin < b.classes; begin += group) {
    const int64_t end = min(begin + group, b.classes);
    for (int64_t strip = first; strip < last; ++strip) {
      T* start = !b.exponentials ? nullptr : b.kept ? b.exponentials + strip * b.strip_stride : b.exponentials;
      T* exponentials = b.kept ? start + begin * kStripRows : start;
      score_strip<kCapped, true>(b, strip, begin, end, exponentials, start);
      if (b.x_grad) add_x_grad(b, strip, begin, end, exponentials);
    }
  }
}

// ---- Gradients of weight and bias

template <class T, int R>
SIMD_INLINE void weight_tile(const LceBlock<T>& b, int64_t c, int64_t d, const T* exponentials, Ahead& near,
                             Ahead& far) {
  const int64_t lanes0 = min(b.width - d, kLanes<T>), lanes1 = min(b.width - d - lanes0, kLanes<T>);
  T* to = b.weight_grad + c * b.width + d;
  const T* from = b.weight_start ? b.weight_start + d : to;
  const int64_t stride = b.weight_start ? 0 : b.width;
  Tile<T, R> sum;
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    sum[i][0] = load_part(from + i * stride, lanes0);
    sum[i][1] = load_part(from + i * stride + kLanes<T>, lanes1);
  }
  const T* x = b.scaled_x + d * b.rows;
  for (int64_t row = 0; row < b.rows; row += kStripRows) {
    multiply<false, T, R>(sum, exponentials, kStripRows, 1, x, kColumns<T>, min(kStripRows, b.rows - row), 0, near,
                          far);
    exponentials += b.strip_stride;
    x += kStripRows * kColumns<T>;
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    store_part(to + i * b.width, sum[i][0], lanes0);
    store_part(to + i * b.width + kLanes<T>, sum[i][1], lanes1);
  }
}

// Classes [begin, end), whose exponentials start at `exponentials` in every strip.
template <class T>
SIMD_INLINE void add_weight_grad(const LceBlock<T>& b, int64_t begin, int64_t end, const T* exponentials) {
  const int64_t strips = ceil_div(b.rows, kStripRows), panels = ceil_div(b.width, kColumns<T>);
  const int64_t steps = panels * strips * (kStripRows / kStep);
  Ahead near, far;
  for (int64_t c = begin; c < end;) {
    const int64_t height = c + kR <= end ? kR : 1;
    const T* e = exponentials + (c - begin) * kStripRows;
    if (b.bias_grad)
      for (int64_t i = 0; i < height; ++i) {
        Vec<T> sum = {};
        for (int64_t row = 0; row < b.rows; row += kStripRows) {
          const T* piece = e + i * kStripRows + row / kStripRows * b.strip_stride;
          for_vectors<T>(min(kStripRows, b.rows - row), [&](int64_t at, int64_t lanes) {
            sum += load_lanes(piece + at, lanes) * load_lanes(b.factors + row + at, lanes);
          });
        }
        b.bias_grad[c + i] = (b.weight_start ? b.bias_start : b.bias_grad[c + i]) + reduce_add(sum);
      }
    if (b.weight_grad) {
      const int64_t next = min(kR, end - c - height);
      near.plan(b.weight_grad + (c + height) * b.width, next * b.width * int64_t{sizeof(T)}, steps);
      for (int64_t p = 0; p < panels; ++p) {
        const int64_t strip = p * strips / panels;
        // Strip by strip, the exponentials of the next tile.
        far.plan(e + height * kStripRows + strip * b.strip_stride, next * kStripRows * int64_t{sizeof(T)},
                 kStripRows / kStep);
        if (height == kR)
          weight_tile<T, kR>(b, c, p * kColumns<T>, e, near, far);
        else
          weight_tile<T, 1>(b, c, p * kColumns<T>, e, near, far);
      }
    }
    c += height;
  }
}

template <bool kCapped, class T> SIMD_INLINE void recompute(const LceBlock<T>& b) {
  const int64_t strips = ceil_div(b.rows, kStripRows), group = lce_group_classes(b.width, sizeof(T));
  start_x_grad(b, 0, strips);
  for (int64_t begin = 0; begin < b.classes; begin += group) {
    const int64_t end = min(begin + group, b.classes);
    for (int64_t strip = 0; strip < strips; ++strip) {
      T* exponentials = b.exponentials + strip * b.strip_stride;
      score_strip<kCapped, false>(b, strip, begin, end, exponentials, exponentials);
      if (b.x_grad) add_x_grad(b, strip, begin, end, exponentials);
    }
    if (b.weight_grad || b.bias_grad) add_weight_grad(b, begin, end, b.exponentials);
  }
}

// ---- Rows

template <class T> SIMD_INLINE void pack_rows(const T* x, const int32_t* index, int64_t rows, int64_t width, T* to) {
  for (int64_t r = 0; r < ceil_div(rows, kColumns<T>) * kColumns<T>; ++r) {
    T* column = to + r / kColumns<T> * kColumns<T> * width + r % kColumns<T>;
    const T* row = r < rows ? x + index[r] * width : nullptr;
    for (int64_t k = 0; k < width; ++k) column[k * kColumns<T>] = row ? row[k] : 0;
  }
}

template <class T>
SIMD_INLINE void scale_rows(const T* x, const int32_t* index, const T* factors, int64_t rows, int64_t width, T* to) {
  for (int64_t d = 0; d < width; d += kColumns<T>) {
    const int64_t lanes0 = min(width - d, kLanes<T>), lanes1 = min(width - d - lanes0, kLanes<T>);
    for (int64_t r = 0; r < rows; ++r, to += kColumns<T>) {
      const T* row = x + index[r] * width + d;
      store(to, load_part(row, lanes0) * factors[r]);
      store(to + kLanes<T>, load_part(row + kLanes<T>, lanes1) * factors[r]);
    }
  }
}

// One sum down the width, as a lane of score_tile() makes it.
template <class T> SIMD_INLINE T score(const T* x, const T* weight, T bias, T soft_cap, int64_t width) {
  T sum = 0;
  for (int64_t k = 0; k < width; ++k) sum += weight[k] * x[k];
  sum += bias;
  return soft_cap == 0 ? sum : soft_cap * T(tanh_of(splat(sum * (1 / soft_cap)))[0]);
}

template <class T>
SIMD_INLINE void combine(const T* parts, int64_t stride, const T* factors, int64_t factor_stride, int64_t count, T* to,
                         int64_t width) {
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
    Vec<T> sum = {};
    for (int64_t p = 0; p < count; ++p) sum += load_lanes(parts + p * stride + i, lanes) * factors[p * factor_stride];
    store_lanes(to + i, sum, lanes);
  });
}

template <class T> SIMD_INLINE void add_scaled(const T* x, T factor, T* to, int64_t width) {
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
    store_lanes(to + i, load_lanes(to + i, lanes) + factor * load_lanes(x + i, lanes), lanes);
  });
}

}  // namespace

#define LCE_DEFINE(T, suffix)                                                                                         \
  SIMD_DEFINE(void, lce_pack_rows_##suffix, (const T* x, const int32_t* index, int64_t rows, int64_t width, T* to)) { \
    pack_rows(x, index, rows, width, to);                                                                             \
  }                                                                                                                   \
  SIMD_DEFINE(void, lce_scores_##suffix, (const LceBlock<T>& block, int64_t first, int64_t last)) {                   \
    block.soft_cap == 0 ? scores<false>(block, first, last) : scores<true>(block, first, last);                       \
  }                                                                                                                   \
  SIMD_DEFINE(void, lce_scale_rows_##suffix,                                                                          \
              (const T* x, const int32_t* index, const T* factors, int64_t rows, int64_t width, T* to)) {             \
    scale_rows(x, index, factors, rows, width, to);                                                                   \
  }                                                                                                                   \
  SIMD_DEFINE(void, lce_weight_grad_##suffix, (const LceBlock<T>& block)) {                                           \
    add_weight_grad(block, 0, block.classes, block.exponentials);                                                     \
  }                                                                                                                   \
  SIMD_DEFINE(void, lce_recompute_##suffix, (const LceBlock<T>& block)) {                                             \
    block.soft_cap == 0 ? recompute<false>(block) : recompute<true>(block);                                           \
  }                                                                                                                   \
  SIMD_DEFINE(T, lce_score_##suffix, (const T* x, const T* weight, T bias, T soft_cap, int64_t width)) {              \
    return score(x, weight, bias, soft_cap, width);                                                                   \
  }                                                                                                                   \
  SIMD_DEFINE(void, lce_combine_##suffix,                                                                             \
              (const T* parts, int64_t stride, const T* factors, int64_t factor_stride, int64_t count, T* to,         \
               int64_t width)) {                                                                                      \
    combine(parts, stride, factors, factor_stride, count, to, width);                                                 \
  }                                                                                                                   \
  SIMD_DEFINE(void, lce_add_scaled_##suffix, (const T* x, T factor, T* to, int64_t width)) {                          \
    add_scaled(x, factor, to, width);                                                                                 \
  }

LCE_DEFINE(float, f32)
LCE_DEFINE(double, f64)

}  // namespace userllm

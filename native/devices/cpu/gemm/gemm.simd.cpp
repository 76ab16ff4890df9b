// The matrix product on one range of C, for one instruction set.
//
// C is covered by register tiles of kRows x kVectors vectors. A tile runs down k once: it loads one row of a column
// panel of B, broadcasts one element of each of its rows of A, and multiplies. All loads and stores stay inside the
// operands: the last vector of a partial panel is masked.
#include "devices/cpu/gemm/gemm.simd.h"

#include "devices/cpu/gemm/gemm_vectors.simd.h"

namespace userllm {
namespace {

#if defined(USER_LLM_ISA_AVX512)
constexpr int kRows = 12, kVectors = 2, kDotRows = 6, kDotColumns = 4;
#elif defined(USER_LLM_ISA_AVX2)
constexpr int kRows = 6, kVectors = 2, kDotRows = 3, kDotColumns = 4;
#elif defined(__aarch64__)
constexpr int kRows = 6, kVectors = 4, kDotRows = 6, kDotColumns = 4;
#else
constexpr int kRows = 4, kVectors = 2, kDotRows = 2, kDotColumns = 4;
#endif

// k is cut so that kBlockK of a row block stay in the first-level cache, and of a slab in the second.
constexpr int64_t kBlockK = 768;
constexpr int64_t kAheadK = 64;      // steps of k between bursts of prefetches
constexpr int64_t kAheadB = 8;       // rows of a panel that are fetched ahead from the second-level cache
constexpr int64_t kPackRows = 8;     // of a [k, n] operand that are packed together
constexpr int64_t kAheadPack = 8;    // rows that packing prefetches ahead
constexpr int64_t kSlabBlocks = 16;  // row blocks of a transposed A that are packed together
constexpr int kDotStrip = 64;        // columns of C that inner products finish together

template <class T> constexpr int kColumns = kVectors* kLanes<T>;

// ---- Epilogue

// What is left to do with sums over k for rows m.. and columns n..: they are in values[row * value_stride + column].
template <class T>
void finish(const Gemm& g, const T* values, int64_t value_stride, int64_t m, int64_t rows, int64_t n, int64_t columns) {
  const T alpha = static_cast<T>(g.alpha);
  const T* bias = static_cast<const T*>(g.bias);
  const T* residual = static_cast<const T*>(g.residual);
  T* preactivation = static_cast<T*>(g.preactivation);
  T* c = static_cast<T*>(g.c);
  for (int64_t i = 0; i < rows; ++i) {
    const auto finish_vector = [&](int64_t j, const auto& load_at, const auto& store_at) {
      const int64_t at = (m + i) * g.c_row_stride + n + j;
      Vec<T> v = load_at(values + i * value_stride + j) * alpha;
      if (g.accumulate) v += load_at(c + at);
      if (bias) v += load_at(bias + n + j);
      if (preactivation) store_at(preactivation + at, v);
      if (g.activation == Activation::kGeluTanh) v = gelu_tanh<T>(v);
      if (residual) v += load_at(residual + at);
      store_at(c + at, v);
    };
    int64_t j = 0;
    for (; j + kLanes<T> <= columns; j += kLanes<T>)
      finish_vector(
          j, [](const T* from) { return load(from); }, [](T* to, Vec<T> v) { store(to, v); });
    if (j < columns) {
      const int rest = static_cast<int>(columns - j);
      finish_vector(
          j, [rest](const T* from) { return load(from, rest); }, [rest](T* to, Vec<T> v) { store(to, v, rest); });
    }
  }
}

// ---- Register tile

// Walks over the cache lines of a matrix, a few at a time.
struct Prefetch {
  const void* row = nullptr;
  int64_t stride = 0, row_bytes = 0, rows = 0, at = 0;

  void step(int64_t lines) {
    for (; lines > 0 && rows > 0; --lines) {
      __builtin_prefetch(static_cast<const char*>(row) + at, 0, 2);
      at += 64;
      if (at >= row_bytes) at = 0, row = static_cast<const char*>(row) + stride, --rows;
    }
  }
};

template <class T> struct Tile {
  const T* a;  // element (i, k) at a[i * a_row + k * a_k]
  int64_t a_row, a_k;
  const T* b;  // row k of the panel at b[k * b_k]
  int64_t b_k;
  int64_t k;
  const T *extra_a, *extra_b;  // goes on after k, over extra_k: as a and b, the rows of a contiguous
  int64_t extra_a_row, extra_b_k, extra_k;
  const T* bias;  // what the sums start from, or null
  T alpha;
  T* c;
  int64_t c_row;
  const T* addend;  // with C's row stride, or null
  int lanes;        // of the last vector, when the tile is partial
  Prefetch* ahead;  // what later tiles need from memory, `ahead_lines` of it for every kAheadK of k
  int64_t ahead_lines;
};

template <class T, int kR, int kV, bool kPartial> void tile(const Tile<T>& t) {
  const int lanes = t.lanes;
  const auto load_at = [lanes](const T* from, int j) {
    return kPartial && j == kV - 1 ? load(from + j * kLanes<T>, lanes) : load(from + j * kLanes<T>);
  };
  Vec<T> sum[kR][kV];
#pragma GCC unroll 8
  for (int j = 0; j < kV; ++j) {
    const Vec<T> start = t.bias ? load_at(t.bias, j) : Vec<T>{};
#pragma GCC unroll 16
    for (int i = 0; i < kR; ++i) sum[i][j] = start;
  }

  // One pointer for every three rows: [p], [p + stride] and [p + 2 stride] are addressing modes.
  const T* a[(kR + 2) / 3];
#pragma GCC unroll 8
  for (int i = 0; i < (kR + 2) / 3; ++i) a[i] = t.a + 3 * i * t.a_row;
  const int64_t a_row = t.a_row, a_k = t.a_k, b_k = t.b_k;
  const T* b = t.b;
  for (int64_t left = t.k; left > 0; left -= kAheadK) {
    t.ahead->step(t.ahead_lines);
    for (int64_t k = min(left, kAheadK); k > 0; --k) {
      Vec<T> row[kV];
#pragma GCC unroll 8
      for (int j = 0; j < kV; ++j) row[j] = load_at(b, j);
#pragma GCC unroll 8
      for (int j = 0; j < kV; ++j) __builtin_prefetch(b + kAheadB * b_k + j * kLanes<T>);
#pragma GCC unroll 16
      for (int i = 0; i < kR; ++i) {
        const T factor = a[i / 3][i % 3 * a_row];
#pragma GCC unroll 8
        for (int j = 0; j < kV; ++j) sum[i][j] += factor * row[j];
      }
#pragma GCC unroll 8
      for (int i = 0; i < (kR + 2) / 3; ++i) a[i] += a_k;
      b += b_k;
    }
  }

  const T* extra_a = t.extra_a;
  b = t.extra_b;
  for (int64_t k = t.extra_k; k > 0; --k, ++extra_a, b += t.extra_b_k) {
    Vec<T> row[kV];
#pragma GCC unroll 8
    for (int j = 0; j < kV; ++j) row[j] = load_at(b, j);
#pragma GCC unroll 16
    for (int i = 0; i < kR; ++i) {
      const T factor = extra_a[i * t.extra_a_row];
#pragma GCC unroll 8
      for (int j = 0; j < kV; ++j) sum[i][j] += factor * row[j];
    }
  }

  // One expression, or some heights would round twice and others once.
  if (t.addend) {
#pragma GCC unroll 16
    for (int i = 0; i < kR; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < kV; ++j) sum[i][j] = sum[i][j] * t.alpha + load_at(t.addend + i * t.c_row, j);
  } else if (t.alpha != 1) {
#pragma GCC unroll 16
    for (int i = 0; i < kR; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < kV; ++j) sum[i][j] *= t.alpha;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kR; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < kV; ++j) {
      T* c = t.c + i * t.c_row + j * kLanes<T>;
      if (kPartial && j == kV - 1)
        store(c, sum[i][j], lanes);
      else
        store(c, sum[i][j]);
    }
}

template <class T> using TileFunction = void (*)(const Tile<T>&);

// By vectors, whether the last one is partial, and rows, each less one.
template <class T> struct TileTable { TileFunction<T> of[kVectors][2][kRows]; };

template <class T, int kV, int kR> constexpr void fill_rows(TileTable<T>& table) {
  table.of[kV - 1][0][kR - 1] = tile<T, kR, kV, false>;
  table.of[kV - 1][1][kR - 1] = tile<T, kR, kV, true>;
  if constexpr (kR > 1) fill_rows<T, kV, kR - 1>(table);
}

template <class T, int kV = kVectors> constexpr TileTable<T> make_tile_table() {
  TileTable<T> table{};
  if constexpr (kV > 1) table = make_tile_table<T, kV - 1>();
  fill_rows<T, kV, kRows>(table);
  return table;
}

template <class T> constexpr TileTable<T> kTiles = make_tile_table<T>();

// Rows [m[0], m[blocks]) of a transposed A, k steps of them from `a` on, as slab[block][k][kRows].
template <class T>
void pack_slab(const T* a, int64_t row_stride, int64_t m_all, int64_t k, const int64_t* m, int64_t blocks, T* slab) {
  // Whole tile heights are copied, of which a block may use less, but nothing past the end of a row.
  int64_t whole = blocks;
  while (whole > 0 && m[whole - 1] + kRows > m_all) --whole;
  for (int64_t i = 0; i < k; ++i) {
    const T* row = a + i * row_stride;
    T* to = slab + i * kRows;
    if (i + kAheadPack < k)
      for (int64_t at = m[0]; at < m[blocks]; at += 64 / int64_t{sizeof(T)})
        __builtin_prefetch(row + kAheadPack * row_stride + at);
    for (int64_t block = 0; block < whole; ++block) {
      __builtin_memcpy(to, row + m[block], kRows * sizeof(T));
      to += k * kRows;
    }
    for (int64_t block = whole; block < blocks; ++block) {
      for (int64_t r = 0; m[block] + r < m[block + 1]; ++r) to[r] = row[m[block] + r];
      to += k * kRows;
    }
  }
}

// A range of C over a block of k, a few row blocks at a time.
template <class T> struct Step {
  const Gemm& g;
  const GemmPanels& panels;
  const GemmRange& range;
  int64_t k_begin, k;
  bool in_registers;  // the epilogue needs no more than bias, alpha and one addend
  int64_t extra_k;    // in the last block of k

  // The tile of one row block, whose rows of A t describes, and one panel.
  void run(Tile<T>& t, int64_t panel, int64_t m, int64_t height) const {
    const int64_t n = panel * kColumns<T>, width = min(range.n_end - n, kColumns<T>);
    const int64_t vectors = ceil_div(width, kLanes<T>);
    const int64_t at = m * g.c_row_stride + n;
    alignas(64) T values[kRows * kColumns<T>];
    t.k = k;
    t.b = static_cast<const T*>(panels.data) + panel * panels.panel_stride + k_begin * panels.k_stride;
    t.b_k = panels.k_stride;
    t.extra_k = extra_k;
    t.extra_a = static_cast<const T*>(g.extra_a) + (extra_k ? m * g.extra_a_stride : 0);
    t.extra_b = static_cast<const T*>(g.extra_b) + (extra_k ? n : 0);
    t.extra_a_row = g.extra_a_stride, t.extra_b_k = g.extra_b_stride;
    t.lanes = static_cast<int>(width - (vectors - 1) * kLanes<T>);
    const TileFunction<T> tile = kTiles<T>.of[vectors - 1][t.lanes != kLanes<T>][height - 1];
    if (in_registers) {
      t.alpha = static_cast<T>(g.alpha);
      t.bias = g.bias ? static_cast<const T*>(g.bias) + n : nullptr;
      t.c = static_cast<T*>(g.c) + at;
      t.c_row = g.c_row_stride;
      t.addend = g.accumulate ? t.c : g.residual ? static_cast<const T*>(g.residual) + at : nullptr;
      tile(t);
    } else {
      t.alpha = 1;
      t.bias = t.addend = nullptr;
      t.c = values;
      t.c_row = kColumns<T>;
      tile(t);
      finish(g, values, kColumns<T>, m, height, n, width);
    }
  }

  void prefetch_c(int64_t m, int64_t height, int64_t panel) const {
    const T* c = static_cast<const T*>(g.c) + m * g.c_row_stride + panel * kColumns<T>;
    for (int64_t i = 0; i < height; ++i)
      for (int64_t j = 0; j < kColumns<T>; j += 64 / int64_t{sizeof(T)})
        __builtin_prefetch(c + i * g.c_row_stride + j, 1);
  }
};

template <class T> void tiles(const Gemm& g, const GemmPanels& panels, const GemmRange& range, void* slab_memory) {
  T* const slab = static_cast<T*>(slab_memory);
  const int64_t rows = range.m_end - range.m_begin, row_blocks = ceil_div(rows, kRows);
  const int64_t first_panel = range.n_begin / kColumns<T>, last_panel = ceil_div(range.n_end, kColumns<T>);
  const int64_t k_blocks = ceil_div(g.k, kBlockK);

  for (int64_t k_block = 0; k_block < k_blocks; ++k_block) {
    const int64_t k_begin = g.k * k_block / k_blocks, k = g.k * (k_block + 1) / k_blocks - k_begin;
    const T* a = static_cast<const T*>(g.a) + (g.a_transposed ? k_begin * g.a_row_stride : k_begin);
    // Sums are parked in C between the blocks of k; the last block does the epilogue.
    Gemm now = g;
    now.accumulate = g.accumulate || k_block > 0;
    if (k_block < k_blocks - 1) {
      now.bias = now.residual = nullptr;
      now.preactivation = nullptr;
      now.activation = Activation::kNone;
    }
    const bool in_registers = now.activation == Activation::kNone && !now.preactivation &&
                              !(now.accumulate && now.residual) && !(now.bias && now.alpha != 1);
    const Step<T> step = {now, panels, range, k_begin, k, in_registers, k_block < k_blocks - 1 ? 0 : g.extra_k};

    for (int64_t first = 0; first < row_blocks; first += kSlabBlocks) {
      const int64_t blocks = min(kSlabBlocks, row_blocks - first);
      // Cut evenly: 50 rows are 5 x 10, not 4 x 12 and 2.
      int64_t m[kSlabBlocks + 1];
      for (int64_t i = 0; i <= blocks; ++i) m[i] = range.m_begin + rows * (first + i) / row_blocks;
      Prefetch ahead;
      Tile<T> t;
      t.ahead = &ahead;
      if (g.a_transposed) {
        // The slab stays in the second-level cache, and a panel with it while the slab's row blocks pass by.
        pack_slab(a, g.a_row_stride, g.m, k, m, blocks, slab);
        t.a_row = 1, t.a_k = kRows;
        // While the tiles of one panel run, the next panel comes from memory.
        const bool packed = panels.k_stride == kColumns<T>;
        const int64_t lines = ceil_div(k * kColumns<T> * int64_t{sizeof(T)}, 64);
        t.ahead_lines = ceil_div(lines, blocks * ceil_div(k, kAheadK));
        for (int64_t panel = first_panel; panel < last_panel; ++panel) {
          if (panel + 1 < last_panel) {
            ahead = {static_cast<const T*>(panels.data) + (panel + 1) * panels.panel_stride + k_begin * panels.k_stride,
                     panels.k_stride * int64_t{sizeof(T)}, kColumns<T> * int64_t{sizeof(T)}, k};
            if (packed) ahead.row_bytes = lines * 64, ahead.rows = 1;
          }
          for (int64_t i = 0; i < blocks; ++i) {
            t.a = slab + i * k * kRows;
            if (i + 1 < blocks) step.prefetch_c(m[i + 1], m[i + 2] - m[i + 1], panel);
            step.run(t, panel, m[i], m[i + 1] - m[i]);
          }
        }
        continue;
      }
      // The panels stay in the second-level cache, and a row block in the first. While its tiles run, the rows of the
      // next one come from memory.
      t.a_row = g.a_row_stride, t.a_k = 1;
      for (int64_t i = 0; i < blocks; ++i) {
        const int64_t height = m[i + 1] - m[i];
        t.a = a + m[i] * g.a_row_stride;
        if (first + i + 1 < row_blocks)
          ahead = {a + m[i + 1] * g.a_row_stride, g.a_row_stride * int64_t{sizeof(T)}, k * int64_t{sizeof(T)}, kRows};
        t.ahead_lines =
            ceil_div(ahead.rows * ceil_div(ahead.row_bytes, 64), (last_panel - first_panel) * ceil_div(k, kAheadK));
        for (int64_t panel = first_panel; panel < last_panel; ++panel) {
          if (panel + 1 < last_panel) step.prefetch_c(m[i], height, panel + 1);
          step.run(t, panel, m[i], height);
        }
      }
    }
  }
}

// ---- Inner products

inline float horizontal_sum(Vec<float> v) {
#if defined(USER_LLM_ISA_AVX512)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float sum = 0;
  for (int i = 0; i < kLanes<float>; ++i) sum += v[i];
  return sum;
#endif
}

inline double horizontal_sum(Vec<double> v) {
  double sum = 0;
  for (int i = 0; i < kLanes<double>; ++i) sum += v[i];
  return sum;
}

template <class T, int kR, int kC>
void dot_tile(const T* a, int64_t a_row, const T* b, int64_t b_row, int64_t k, T* values) {
  Vec<T> sum[kR][kC] = {};
  const auto step = [&](int64_t at, auto load_at) {
    Vec<T> rows[kR];
#pragma GCC unroll 8
    for (int i = 0; i < kR; ++i) rows[i] = load_at(a + i * a_row + at);
#pragma GCC unroll 8
    for (int j = 0; j < kC; ++j) {
      __builtin_prefetch(b + (j + kC) * b_row + at);
      const Vec<T> column = load_at(b + j * b_row + at);
#pragma GCC unroll 8
      for (int i = 0; i < kR; ++i) sum[i][j] += rows[i] * column;
    }
  };
  int64_t at = 0;
  for (; at + kLanes<T> <= k; at += kLanes<T>) step(at, [](const T* from) { return load(from); });
  if (at < k) {
    const int rest = static_cast<int>(k - at);
    step(at, [rest](const T* from) { return load(from, rest); });
  }
#pragma GCC unroll 8
  for (int i = 0; i < kR; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < kC; ++j) values[i * kDotStrip + j] = horizontal_sum(sum[i][j]);
}

template <class T> using DotFunction = void (*)(const T*, int64_t, const T*, int64_t, int64_t, T*);

// By rows and columns, each less one.
template <class T> struct DotTable { DotFunction<T> of[kDotRows][kDotColumns]; };

template <class T, int kR, int kC> constexpr void fill_dots(DotTable<T>& table) {
  table.of[kR - 1][kC - 1] = dot_tile<T, kR, kC>;
  if constexpr (kC > 1)
    fill_dots<T, kR, kC - 1>(table);
  else if constexpr (kR > 1)
    fill_dots<T, kR - 1, kDotColumns>(table);
}

template <class T> constexpr DotTable<T> make_dot_table() {
  DotTable<T> table{};
  fill_dots<T, kDotRows, kDotColumns>(table);
  return table;
}

template <class T> constexpr DotTable<T> kDots = make_dot_table<T>();

template <class T> void dots(const Gemm& g, const GemmRange& range) {
  alignas(64) T values[kDotRows * kDotStrip];
  const T* a = static_cast<const T*>(g.a);
  const T* b = static_cast<const T*>(g.b);
  const int64_t all_rows = range.m_end - range.m_begin, blocks = ceil_div(all_rows, kDotRows);
  // A few rows of B are read once for all rows of A.
  for (int64_t n = range.n_begin; n < range.n_end; n += kDotStrip) {
    const int64_t strip = min(kDotStrip, range.n_end - n);
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t m = range.m_begin + all_rows * block / blocks;
      const int64_t rows = range.m_begin + all_rows * (block + 1) / blocks - m;
      for (int64_t j = 0; j < strip; j += kDotColumns) {
        const int64_t columns = min(kDotColumns, strip - j);
        kDots<T>.of[rows - 1][columns - 1](a + m * g.a_row_stride, g.a_row_stride, b + (n + j) * g.b_row_stride,
                                           g.b_row_stride, g.k, values + j);
      }
      finish(g, values, kDotStrip, m, rows, n, strip);
    }
  }
}

// ---- Sums of the pieces of k

template <class T> void sum(const Gemm& g, const void* parts, int64_t count, int64_t stride, const GemmRange& range) {
  constexpr int64_t kStrip = 512;
  alignas(64) T values[kStrip];
  for (int64_t m = range.m_begin; m < range.m_end; ++m)
    for (int64_t n = range.n_begin; n < range.n_end; n += kStrip) {
      const int64_t columns = min(kStrip, range.n_end - n);
      const T* part = static_cast<const T*>(parts) + m * g.n + n;
      for (int64_t j = 0; j < columns; ++j) values[j] = count ? part[j] : T(0);
      for (int64_t i = 1; i < count; ++i)
        for (int64_t j = 0; j < columns; ++j) values[j] += part[i * stride + j];
      finish(g, values, kStrip, m, 1, n, columns);
    }
}

// ---- Packing of B

template <class T> void pack(const Gemm& g, void* packed, int64_t first, int64_t last) {
  const T* b = static_cast<const T*>(g.b);
  T* to = static_cast<T*>(packed);
  const auto to_panel = [&](int64_t panel, int64_t k_begin, int64_t k_end) {
    for (int64_t j = 0; j < kColumns<T>; j += kLanes<T>) {
      const int64_t n = panel * kColumns<T> + j, width = n < g.n ? min(kLanes<T>, g.n - n) : 0;
      T* rows = to + panel * g.k * kColumns<T> + j;
      if (g.b_transposed)
        for (int64_t k = k_begin; k < k_end; k += kLanes<T>)
          transpose(width ? b + n * g.b_row_stride + k : b, g.b_row_stride, width, min(kLanes<T>, k_end - k),
                    rows + k * kColumns<T>, kColumns<T>);
      else if (width == kLanes<T>)
        for (int64_t k = k_begin; k < k_end; ++k) store(rows + k * kColumns<T>, load(b + k * g.b_row_stride + n));
      else
        for (int64_t k = k_begin; k < k_end; ++k)
          store(rows + k * kColumns<T>, width ? load(b + k * g.b_row_stride + n, static_cast<int>(width)) : Vec<T>{});
    }
  };
  // Along the rows of the stored matrix, which memory is fastest at.
  if (g.b_transposed)
    for (int64_t panel = first; panel < last; ++panel) to_panel(panel, 0, g.k);
  else
    for (int64_t k = 0; k < g.k; k += kPackRows)
      for (int64_t panel = first; panel < last; ++panel) to_panel(panel, k, min(k + kPackRows, g.k));
}

template <class T> void pack_rows(const Operand& a, int64_t m, int64_t k, void* rows, int64_t row_stride) {
  const T* from = static_cast<const T*>(a.data);
  T* to = static_cast<T*>(rows);
  if (a.k_major) {
    for (int64_t at = 0; at < k; at += kLanes<T>)
      for (int64_t i = 0; i < m; i += kLanes<T>)
        transpose(from + at * a.stride + i, a.stride, min(kLanes<T>, k - at), min(kLanes<T>, m - i),
                  to + i * row_stride + at, row_stride);
    return;
  }
  for (int64_t i = 0; i < m; ++i)
    for (int64_t at = 0; at < k; at += kLanes<T>) {
      const T* part = from + i * a.stride + at;
      store(to + i * row_stride + at, at + kLanes<T> <= k ? load(part) : load(part, static_cast<int>(k - at)));
    }
}

template <class T>
constexpr GemmKernels kKernels = {kRows,       kColumns<T>, kBlockK, kSlabBlocks* kRows* kBlockK* int64_t{sizeof(T)},
                                  tiles<T>,    dots<T>,     sum<T>,  pack<T>,
                                  pack_rows<T>};

}  // namespace

SIMD_DEFINE(const GemmKernels&, gemm_kernels_float, ()) { return kKernels<float>; }
SIMD_DEFINE(const GemmKernels&, gemm_kernels_double, ()) { return kKernels<double>; }

}  // namespace userllm

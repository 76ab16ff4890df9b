// Products of blocks that lie in the caches, over register tiles. Only for `*.simd.cpp` files (see simd.h).
#pragma once
#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

#if defined(USER_LLM_ISA_AVX512)
constexpr int kTileRows = 12;
#elif defined(USER_LLM_ISA_AVX2) || defined(__aarch64__)
constexpr int kTileRows = 6;
#else
constexpr int kTileRows = 4;
#endif
constexpr int kTileVectors = 2;
template <class T> constexpr int kTileColumns = kTileVectors* kLanes<T>;

// What becomes of the product.
enum class Into {
  kSet,    // c = a · b
  kAdd,    // c += a · b
  kDecay,  // c = c · decay[column] + a · b
};

template <class T> struct TileProduct {
  const T* a;  // element (i, k) at a[i * a_row + k * a_k]
  int64_t a_row, a_k;
  const T* b;  // row k at b[k * b_k]
  int64_t b_k;
  T* c;
  int64_t c_row;
  int64_t k;
  const T* decay = nullptr;
};

template <class T, int kRows, int kVectors, Into kInto> static void product_tile(const TileProduct<T>& t) {
  Vec<T> sum[kRows][kVectors] = {};
  // One pointer for every three rows: [p], [p + stride] and [p + 2 stride] are addressing modes.
  const T* a[(kRows + 2) / 3];
#pragma GCC unroll 8
  for (int i = 0; i < (kRows + 2) / 3; ++i) a[i] = t.a + 3 * i * t.a_row;
  const int64_t a_row = t.a_row, a_k = t.a_k, b_k = t.b_k;
  const T* b = t.b;
  for (int64_t k = t.k; k > 0; --k) {
    Vec<T> row[kVectors];
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) row[j] = load(b + j * kLanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const T factor = a[i / 3][i % 3 * a_row];
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) sum[i][j] += factor * row[j];
    }
#pragma GCC unroll 8
    for (int i = 0; i < (kRows + 2) / 3; ++i) a[i] += a_k;
    b += b_k;
  }
  Vec<T> decay[kVectors];
  if constexpr (kInto == Into::kDecay)
    for (int j = 0; j < kVectors; ++j) decay[j] = load(t.decay + j * kLanes<T>);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) {
      T* c = t.c + i * t.c_row + j * kLanes<T>;
      if constexpr (kInto == Into::kAdd) sum[i][j] += load(c);
      if constexpr (kInto == Into::kDecay) sum[i][j] += load(c) * decay[j];
      store(c, sum[i][j]);
    }
}

template <class T, Into kInto> struct ProductTiles { void (*of[kTileVectors][kTileRows])(const TileProduct<T>&); };

template <class T, Into kInto, int kRows> constexpr void fill_product_tiles(ProductTiles<T, kInto>& table) {
  table.of[0][kRows - 1] = product_tile<T, kRows, 1, kInto>;
  table.of[1][kRows - 1] = product_tile<T, kRows, 2, kInto>;
  if constexpr (kRows > 1) fill_product_tiles<T, kInto, kRows - 1>(table);
}
template <class T, Into kInto> constexpr ProductTiles<T, kInto> make_product_tiles() {
  ProductTiles<T, kInto> table{};
  fill_product_tiles<T, kInto, kTileRows>(table);
  return table;
}
template <class T, Into kInto> constexpr ProductTiles<T, kInto> kProductTiles = make_product_tiles<T, kInto>();

// All of an [m, columns] product; `columns` is a multiple of the lanes.
template <Into kInto, class T> static void multiply(TileProduct<T> t, int64_t m, int64_t columns) {
  const int64_t blocks = (m + kTileRows - 1) / kTileRows;
  const T* const a = t.a;
  T* const c = t.c;
  for (int64_t n = 0; n < columns; n += kTileColumns<T>) {
    const auto& tiles = kProductTiles<T, kInto>.of[columns - n > kLanes<T>];
    for (int64_t i = 0; i < blocks; ++i) {
      // Cut evenly: 64 rows are 4 x 11 and 2 x 10, not 5 x 12 and 4.
      const int64_t begin = m * i / blocks, end = m * (i + 1) / blocks;
      t.a = a + begin * t.a_row;
      t.c = c + begin * t.c_row + n;
      tiles[end - begin - 1](t);
    }
    t.b += kTileColumns<T>;
    if (t.decay) t.decay += kTileColumns<T>;
  }
}

}  // namespace
}  // namespace userllm

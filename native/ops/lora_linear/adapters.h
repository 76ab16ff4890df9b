// What forward and backward of a linear layer with adapters share: the adapters of a call, and the product with the
// base weight that takes in what they add.
#pragma once
#include <algorithm>

#include "core/op.h"
#include "devices/cpu/gemm/linear_product.h"
#include "devices/cpu/gemm/precision.h"
#include "devices/cpu/gemm/weight_pack.h"
#include "devices/cpu/thread_pool.h"
#include "ops/lora_linear/lora_linear.simd.h"

namespace userllm::lora {

constexpr int64_t kMaxRanks = 1 << 16;    // of all adapters
constexpr int64_t kTaskWork = 1 << 20;    // in multiply-adds
constexpr int64_t kBlockBytes = 1 << 19;  // of rows that are gone over more than once
constexpr int64_t kNarrowRank = 16;  // up to it x · aᵀ is inner products; the tiles of the general product are for more
constexpr int64_t kMostExtra = 32;  // ranks of all adapters that the tiles of the base product go on with

template <class T> void down(const LoraDown<T>& call) {
  if constexpr (sizeof(T) == 8)
    SIMD_CALL(lora_down_f64)(call);
  else
    SIMD_CALL(lora_down_f32)(call);
}
template <class T> void up(const LoraUp<T>& call) {
  if constexpr (sizeof(T) == 8)
    SIMD_CALL(lora_up_f64)(call);
  else
    SIMD_CALL(lora_up_f32)(call);
}
template <class T> void outer(const LoraOuter<T>& call) {
  if constexpr (sizeof(T) == 8)
    SIMD_CALL(lora_outer_f64)(call);
  else
    SIMD_CALL(lora_outer_f32)(call);
}

// ---- Adapters

// One of a call: a [rank, inWidth], b [width, rank].
struct Adapter {
  const TensorRef &a, &b;
  int64_t rank, first_rank;  // its columns among those of all adapters
  int64_t width, begin;      // its columns of the result
  int64_t first_factor;      // its elements among those of all b
  double scale;

  bool narrow() const { return rank <= kNarrowRank; }
};

struct Adapters {
  std::span<const TensorRef> a, b;
  std::span<const double> offsets, scales;

  Adapters(const Call& c, int a_input, int b_input)
      : a(c.list(a_input)), b(c.list(b_input)), offsets(c.numbers(0)), scales(c.numbers(1)) {}

  template <class Body> void each(const Body& body) const {
    int64_t ranks = 0, factors = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const int64_t rank = a[i].shape[0], width = b[i].shape[0];
      body(Adapter{a[i], b[i], rank, ranks, width, int64_t(offsets[i]), factors, scales[i]});
      ranks += rank;
      factors += b[i].count();
    }
  }
  bool any_narrow() const {
    bool any = false;
    each([&](const Adapter& adapter) { any = any || adapter.narrow(); });
    return any;
  }
  int64_t ranks() const {
    int64_t sum = 0;
    for (const TensorRef& t : a) sum += t.shape[0];
    return sum;
  }
  int64_t factors() const {
    int64_t sum = 0;
    for (const TensorRef& t : b) sum += t.count();
    return sum;
  }
};

inline void check_adapters(const Infer& c, const Adapters& all, DType dtype, int64_t in_width, int64_t out_width) {
  const size_t count = all.a.size();
  if (count == 0 || all.b.size() != count || all.offsets.size() != count || all.scales.size() != count)
    c.fail_usage("there must be as many a as b, offsets and scales, at least one (", count, ", ", all.b.size(), ", ",
                 all.offsets.size(), ", ", all.scales.size(), ")");
  int64_t ranks = 0;
  for (size_t i = 0; i < count; ++i) {
    const Shape &a = all.a[i].shape, &b = all.b[i].shape;
    const double offset = all.offsets[i];
    for (const TensorRef* t : {&all.a[i], &all.b[i]})
      if (t->dtype != dtype)
        fail(c.call, ErrorKind::kDType, t == &all.a[i] ? "a[" : "b[", i, "] is ", name_of(t->dtype), ", must be ",
             name_of(dtype), ", as ", c.name(0));
    if (a.rank != 2 || a[1] != in_width)
      c.fail("a[", i, "] must be [rank, ", in_width, "], of the input width, got ", to_string(a));
    if (b.rank != 2 || b[1] != a[0])
      c.fail("b[", i, "] must be [outWidth, ", a[0], "], of the rank of a[", i, "], got ", to_string(b));
    if (!(offset >= 0 && offset <= double(out_width - b[0]) && offset == double(int64_t(offset))))
      c.fail("b[", i, "] ", to_string(b), " at offset ", offset, " must lie within the output width ", out_width);
    if (!(all.scales[i] >= -1e30 && all.scales[i] <= 1e30))
      c.fail_usage("scales must be numbers from -1e30 to 1e30, got ", all.scales[i]);
    ranks = std::min(ranks + a[0], kMaxRanks + 1);
  }
  if (ranks > kMaxRanks)
    c.fail("the ranks of the adapters may add up to ", kMaxRanks, ", a[0] is ", to_string(all.a[0].shape));
}

// ---- Scratch

// Laid out the same way in `infer` and in the kernel: the product's scratch comes last.
struct Scratch {
  const Call& call;
  size_t bytes = 0;
  bool fits = true;

  // [rows, columns] elements of T, if they are wanted; returns where they begin.
  template <class T> T* add(bool wanted, int64_t rows, int64_t columns) {
    if (!wanted) return nullptr;
    fits = fits && double(rows) * double(columns) <= double(kMaxElements);
    T* const begin = reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(call.scratch<void>()) + bytes);
    if (fits) bytes += (size_t(rows * columns) * sizeof(T) + 63) & ~size_t{63};
    return begin;
  }
};

// The op's own, then that of one product at a time: with the base weight (asked for before), or `wide` with an adapter.
template <class T, class Wide>
void ask_for_scratch(Infer& c, const Scratch& own, const Adapters& adapters, const Wide& wide) {
  if (!own.fits) c.fail("the adapters are too large for the output width of ", c.show(0));
  size_t bytes = c.scratch_bytes;
  adapters.each([&](const Adapter& adapter) {
    if (!adapter.narrow()) bytes = std::max(bytes, gemm_scratch_bytes<T>(wide(adapter)));
  });
  c.scratch(own.bytes + bytes);
}

template <class T, class Wide>
void multiply_wide(Call& c, const Scratch& own, const Adapters& adapters, const Wide& wide) {
  adapters.each([&](const Adapter& adapter) {
    if (adapter.narrow()) return;
    Gemm gemm = wide(adapter);
    gemm.scratch = c.scratch<char>() + own.bytes;
    userllm::gemm<T>(gemm);
  });
}

// ---- The base weight

// The product of float32 rows with the weight or its shadow in bfloat16; the adapters stay float32.
inline GemmBf16 in_bf16(const Call& c, const Gemm& gemm, int weight, int shadow, int bias) {
  const TensorRef& source = c.in(source_of(c, weight, shadow));
  GemmBf16 g(gemm);
  g.b = source.data;
  g.b_bf16 = source.dtype == DType::kBFloat16;
  g.bias_bf16 = bias >= 0 && c.in(bias).dtype == DType::kBFloat16;
  return g;
}

// Of factors of what adapters add, one row for each rank: an odd number of cache lines, or rows whose length is a power
// of two would share a few sets of the cache.
template <class T> int64_t up_stride(int64_t width) {
  constexpr int64_t kPerLine = 64 / sizeof(T);
  return ((width + kPerLine - 1) / kPerLine | 1) * kPerLine;
}

// Rows of x that a task multiplies by all adapters in turn.
template <class T> int64_t block_rows(int64_t width, int64_t ranks) {
  const int64_t by_work = kTaskWork / (width * ranks + 1), by_bytes = kBlockBytes / (width * int64_t(sizeof(T)) + 1);
  return std::max(std::min(by_work, by_bytes), int64_t{12});
}

// ---- What adapters add

// result[:, columns] = residual + sum over r of downs[:, r] · factors[r, columns]
template <class T> struct Addition {
  const T* downs;  // [rows, ranks]
  int64_t ranks;
  const T* factors;  // [ranks, stride], zero where an adapter adds nothing
  int64_t stride;
  const Adapters* adapters;  // when they add to a part of the columns each
  const T* residual;
  T* result;
  int64_t width;

  void write(int64_t row_begin, int64_t row_end, int64_t begin, int64_t end) const {
    for (int64_t column = begin, next; column < end; column = next) {
      // From here to `next` the same adapters add, with ranks in [first, last).
      int64_t first = 0, last = ranks;
      next = end;
      if (adapters) {
        first = ranks, last = 0;
        adapters->each([&](const Adapter& adapter) {
          const int64_t adapter_end = adapter.begin + adapter.width;
          if (adapter.begin > column) next = std::min(next, adapter.begin);
          if (adapter.begin > column || adapter_end <= column) return;
          next = std::min(next, adapter_end);
          first = std::min(first, adapter.first_rank);
          last = std::max(last, adapter.first_rank + adapter.rank);
        });
        first = std::min(first, last);
      }
      const int64_t at = row_begin * width + column;
      up<T>({
          .down = downs + row_begin * ranks + first,
          .down_stride = ranks,
          .up = factors + first * stride + column,
          .up_stride = stride,
          .residual = residual ? residual + at : nullptr,
          .result = result + at,
          .result_stride = width,
          .rows = row_end - row_begin,
          .width = next - column,
          .ranks = last - first,
      });
    }
  }

  // Makes `gemm` add this to its product: in its tiles where they can, else by starting from it. A residual is here.
  template <class E> void join(Gemm& gemm) const {
    gemm.accumulate = false;
    gemm.residual = residual;
    if (ranks > kMostExtra || !gemm_takes_extra<E>(gemm)) return precede(gemm);
    gemm.extra_a = downs, gemm.extra_a_stride = ranks;
    gemm.extra_b = factors, gemm.extra_b_stride = stride;
    gemm.extra_k = ranks;
  }

  // Makes `gemm` add its product to this.
  void precede(Gemm& gemm) const {
    gemm.accumulate = true;
    gemm.residual = nullptr;
    gemm.prologue_context = this;
    gemm.prologue = [](const void* self, int64_t m_begin, int64_t m_end, int64_t n_begin, int64_t n_end) {
      static_cast<const Addition*>(self)->write(m_begin, m_end, n_begin, n_end);
    };
  }
};

// Its scratch follows the op's own. Without k there is no weight, and every arithmetic is the same.
template <class T> void multiply(Call& c, Gemm gemm, const Scratch& own, const Addition<T>* addition) {
  gemm.packed_b = fresh_pack<T>(c, gemm);
  if (addition) addition->template join<T>(gemm);
  gemm.scratch = c.scratch<char>() + own.bytes;
  userllm::gemm<T>(gemm);
}
template <class T> void multiply_bf16(Call& c, GemmBf16 gemm, const Scratch& own, const Addition<T>* addition) {
  gemm.packed_b = fresh_pack(c, gemm);
  if (addition) addition->precede(gemm);
  gemm.scratch = c.scratch<char>() + own.bytes;
  gemm_bf16(gemm);
}

// to[r * stride + i] = scale · b[i, r]
template <class T> void transpose_scaled(const Adapter& adapter, T* to, int64_t stride) {
  const T* b = adapter.b.as<T>();
  const T scale = T(adapter.scale);
  for (int64_t i = 0; i < adapter.width; ++i)
    for (int64_t r = 0; r < adapter.rank; ++r) to[r * stride + i] = scale * b[i * adapter.rank + r];
}

}  // namespace userllm::lora

// A linear layer with low-rank adapters. Forward and backward are each one product with the base weight that starts
// from what the adapters add, written range by range while it is in the cache. The narrow products with the adapters
// read their wide operand once; the product of an adapter's two matrices is never made.
//
// Hu et al., "LoRA: low-rank adaptation of large language models", arXiv:2106.09685
#include <algorithm>

#include "core/op.h"
#include "devices/cpu/gemm/precision.h"
#include "devices/cpu/gemm/weight_pack.h"
#include "devices/cpu/thread_pool.h"
#include "ops/lora_linear/lora_linear.simd.h"

namespace userllm {
namespace {

constexpr int64_t kMaxRanks = 1 << 16;    // of all adapters
constexpr int64_t kTaskWork = 1 << 20;    // in multiply-adds
constexpr int64_t kBlockBytes = 1 << 19;  // of rows that are gone over more than once
constexpr int64_t kGroups = 16, kGroupRows = 128;
constexpr int64_t kNarrowRank = 16;  // up to it x · aᵀ is inner products; the tiles of the general product are for more
constexpr int64_t kSumGrain = 4096;

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

void check_adapters(const Infer& c, const Adapters& all, DType dtype, int64_t in_width, int64_t out_width) {
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
GemmBf16 in_bf16(const Call& c, const Gemm& gemm, int weight, int shadow, int bias) {
  const TensorRef& source = c.in(source_of(c, weight, shadow));
  GemmBf16 g(gemm);
  g.b = source.data;
  g.b_bf16 = source.dtype == DType::kBFloat16;
  g.bias_bf16 = bias >= 0 && c.in(bias).dtype == DType::kBFloat16;
  return g;
}

// Its scratch follows the op's own. Without k there is no weight, and every arithmetic is the same.
template <class T> void multiply(Call& c, Gemm gemm, const Scratch& own) {
  gemm.packed_b = fresh_pack<T>(c, gemm);
  gemm.scratch = c.scratch<char>() + own.bytes;
  userllm::gemm<T>(gemm);
}
void multiply_bf16(Call& c, GemmBf16 gemm, const Scratch& own) {
  gemm.packed_b = fresh_pack(c, gemm);
  gemm.scratch = c.scratch<char>() + own.bytes;
  gemm_bf16(gemm);
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

// to[r * stride + i] = scale · b[i, r]
template <class T> void transpose_scaled(const Adapter& adapter, T* to, int64_t stride) {
  const T* b = adapter.b.as<T>();
  const T scale = T(adapter.scale);
  for (int64_t i = 0; i < adapter.width; ++i)
    for (int64_t r = 0; r < adapter.rank; ++r) to[r * stride + i] = scale * b[i * adapter.rank + r];
}

// ---- result = x · weightᵀ + bias + residual, and for each adapter result[..., columns] += scale · (input · aᵀ) · bᵀ

namespace forward {

enum In { kX, kWeight, kBias, kResidual, kAdapterInput, kShadow, kA, kB };
enum Attribute { kPrecision = 2 };
enum Out { kResult, kDown };

bool is_bf16(const Call& c) { return multiplies_bf16(c, kWeight, c.integer(kPrecision)); }

Gemm product(const Call& c) {
  const Shape &x = c.in(kX).shape, &weight = c.in(kWeight).shape;
  Gemm g;
  g.m = x.rows();
  g.n = weight[0];
  g.k = weight[1];
  g.a = c.in(kX).data;
  g.a_row_stride = g.k;
  g.b = c.in(kWeight).data;
  g.b_row_stride = g.k;
  g.b_transposed = true;
  g.c = c.out(kResult).data;
  g.c_row_stride = g.n;
  g.accumulate = true;
  g.bias = c.in(kBias).data;
  return g;
}

// input · aᵀ of one adapter
Gemm down_product(const Call& c, const Adapter& adapter) {
  Gemm g;
  g.m = c.in(kX).shape.rows();
  g.n = adapter.rank;
  g.k = c.in(kX).shape[-1];
  g.a = c.in(c.in(kAdapterInput) ? kAdapterInput : kX).data;
  g.a_row_stride = g.k;
  g.b = adapter.a.data;
  g.b_row_stride = g.k;
  g.b_transposed = true;
  return g;
}

template <class T> struct Memory {
  T *downs, *factors;
  Memory(Scratch& scratch, bool keeps_downs, int64_t rows, int64_t ranks, int64_t out_width)
      : downs(scratch.add<T>(!keeps_downs, rows, ranks)),
        factors(scratch.add<T>(true, ranks, up_stride<T>(out_width))) {}
};

template <class T> void ask(Infer& c, const Adapters& adapters) {
  if (is_bf16(c.call))
    ask_for_weight_pack(c, source_of(c.call, kWeight, kShadow),
                        in_bf16(c.call, product(c.call), kWeight, kShadow, kBias));
  else
    ask_for_weight_pack<T>(c, kWeight, product(c.call));
  Scratch scratch{c.call};
  Memory<T>(scratch, c.call.wants(kDown), c.shape(kX).rows(), adapters.ranks(), c.shape(kWeight)[0]);
  ask_for_scratch<T>(c, scratch, adapters, [&](const Adapter& adapter) { return down_product(c.call, adapter); });
}

void infer(Infer& c) {
  c.require_float(kX);
  if (require_precision(c, kX, kWeight, kShadow, kPrecision))
    c.require_dtype(kBias, {DType::kFloat32, DType::kBFloat16});
  else
    c.require_same_dtype(kX, kBias);
  for (const int i : {kResidual, kAdapterInput}) c.require_same_dtype(kX, i);
  c.require_rank_at_least(kX, 1, "[..., inWidth]");
  c.require_rank(kWeight, 2, "[outWidth, inWidth]");
  c.require_same(kX, -1, kWeight, 1, "input width");
  c.require_same_shape(kX, kAdapterInput);
  const Shape& x = c.shape(kX);
  const DType dtype = c.in(kX).dtype;
  const int64_t out_width = c.shape(kWeight)[0];
  const Shape result = x.with(-1, out_width);
  c.require_shape(kBias, {out_width}, "the output width of weight");
  c.require_shape(kResidual, result, "the shape of the result");
  const Adapters adapters(c.call, kA, kB);
  check_adapters(c, adapters, dtype, x[-1], out_width);
  c.output(kResult, dtype, result);
  c.output(kDown, dtype, x.with(-1, adapters.ranks()));
  dtype == DType::kFloat64 ? ask<double>(c, adapters) : ask<float>(c, adapters);
}

template <class T> void run(Call& c) {
  const Adapters adapters(c, kA, kB);
  Gemm gemm = product(c);
  const int64_t width = gemm.k, ranks = adapters.ranks(), stride = up_stride<T>(gemm.n);
  Scratch scratch{c};
  const Memory<T> memory(scratch, c.wants(kDown), gemm.m, ranks, gemm.n);
  T* const downs = c.wants(kDown) ? c.out(kDown).as<T>() : memory.downs;
  std::fill_n(memory.factors, ranks * stride, T(0));
  adapters.each([&](const Adapter& adapter) {
    transpose_scaled(adapter, memory.factors + adapter.first_rank * stride + adapter.begin, stride);
  });
  const T* const input = c.in(c.in(kAdapterInput) ? kAdapterInput : kX).as<T>();
  multiply_wide<T>(c, scratch, adapters, [&](const Adapter& adapter) {
    Gemm g = down_product(c, adapter);
    g.c = downs + adapter.first_rank;
    g.c_row_stride = ranks;
    return g;
  });
  if (adapters.any_narrow())
    parallel_ranges(gemm.m, block_rows<T>(width, ranks), [&](int64_t begin, int64_t end) {
      adapters.each([&](const Adapter& adapter) {
        if (!adapter.narrow()) return;
        down<T>({
            .x = input + begin * width,
            .x_stride = width,
            .weight = adapter.a.as<T>(),
            .weight_stride = width,
            .down = downs + begin * ranks + adapter.first_rank,
            .down_stride = ranks,
            .rows = end - begin,
            .width = width,
            .ranks = adapter.rank,
        });
      });
    });
  const Addition<T> addition{
      .downs = downs,
      .ranks = ranks,
      .factors = memory.factors,
      .stride = stride,
      .adapters = &adapters,
      .residual = c.in(kResidual).as<T>(),
      .result = c.out(kResult).as<T>(),
      .width = gemm.n,
  };
  addition.precede(gemm);
  if (is_bf16(c) && gemm.k > 0)
    multiply_bf16(c, in_bf16(c, gemm, kWeight, kShadow, kBias), scratch);
  else
    multiply<T>(c, gemm, scratch);
}

const Register op{{
    .name = "lora_linear",
    .inputs = {"x", "weight", "bias?", "residual?", "adapter_input?", "shadow?", "a*", "b*"},
    .attributes = {"offsets*", "scales*", "precision"},
    .outputs = {"result", "down?"},
    .infer = infer,
    .cpu = [](Call& c) { c.in(kX).dtype == DType::kFloat64 ? run<double>(c) : run<float>(c); },
    .work =
        [](const Call& c) {
          const Adapters adapters(c, kA, kB);
          const double per_row = double(c.in(kWeight).count()) + double(adapters.factors()) +
                                 double(adapters.ranks()) * double(c.in(kX).shape[-1]);
          return Work{2 * double(c.in(kX).shape.rows()) * per_row};
        },
}};

}  // namespace forward

// ---- With up = scale · grad[..., columns] · b of each adapter:
//
//     x_grad             = grad · weight (+ up · a, when the adapters' input is x)
//     adapter_input_grad = up · a
//     a_grad             = upᵀ · input, those of all adapters below each other
//     b_grad             = scale · grad[..., columns]ᵀ · down, those of all adapters behind each other

namespace backward {

enum In { kGrad, kWeight, kAdapterInput, kDown, kShadow, kA, kB };
enum Attribute { kPrecision = 2, kShared };
enum Out { kXGrad, kAdapterInputGrad, kAGrad, kBGrad };

bool is_bf16(const Call& c) { return multiplies_bf16(c, kWeight, c.integer(kPrecision)); }

Gemm product(const Call& c) {
  const Shape &grad = c.in(kGrad).shape, &weight = c.in(kWeight).shape;
  Gemm g;
  g.m = grad.rows();
  g.n = weight[1];
  g.k = weight[0];
  g.a = c.in(kGrad).data;
  g.a_row_stride = g.k;
  g.b = c.in(kWeight).data;
  g.b_row_stride = g.n;
  g.c = c.out(kXGrad).data;
  g.c_row_stride = g.n;
  g.accumulate = c.flag(kShared);
  return g;
}

// scale · grad[:, columns] · b of one adapter
Gemm up_product(const Call& c, const Adapter& adapter) {
  const Shape& grad = c.in(kGrad).shape;
  Gemm g;
  g.m = grad.rows();
  g.n = adapter.rank;
  g.k = adapter.width;
  g.a = static_cast<const char*>(c.in(kGrad).data) + size_t(adapter.begin) * size_of(c.in(kGrad).dtype);
  g.a_row_stride = grad[-1];
  g.b = adapter.b.data;
  g.b_row_stride = g.n;
  g.alpha = adapter.scale;
  return g;
}

// What is computed, and in which memory. Sums over rows are made group by group, then the groups are added in order.
template <class T> struct Plan {
  int64_t rows, in_width, out_width, ranks, factors;
  bool x_grad, a_grad, b_grad, ups_wanted, spreads_ups;
  int64_t groups;
  T *ups, *transposed, *a_copy, *a_sums, *b_sums;

  Plan(const Call& c, const Adapters& adapters, Scratch& scratch)
      : rows(c.in(kGrad).shape.rows()),
        in_width(adapters.a[0].shape[1]),
        out_width(c.in(kGrad).shape[-1]),
        ranks(adapters.ranks()),
        factors(adapters.factors()),
        x_grad(c.wants(kXGrad)),
        a_grad(c.wants(kAGrad)),
        b_grad(c.wants(kBGrad)),
        spreads_ups((x_grad && c.flag(kShared)) || c.wants(kAdapterInputGrad)),
        groups(std::clamp(rows / kGroupRows, int64_t{1}, kGroups)) {
    ups_wanted = a_grad || spreads_ups;
    ups = scratch.add<T>(ups_wanted, rows, ranks);
    transposed = scratch.add<T>(ups_wanted, 1, factors);
    a_copy = scratch.add<T>(spreads_ups, ranks, up_stride<T>(in_width));
    a_sums = scratch.add<T>(a_grad, groups, ranks * in_width);
    b_sums = scratch.add<T>(b_grad, groups, factors);
  }
};

template <class T> void ask(Infer& c) {
  if (c.call.wants(kXGrad) && is_bf16(c.call))
    ask_for_weight_pack(c, source_of(c.call, kWeight, kShadow), in_bf16(c.call, product(c.call), kWeight, kShadow, -1));
  else if (c.call.wants(kXGrad))
    ask_for_weight_pack<T>(c, kWeight, product(c.call));
  Scratch scratch{c.call};
  const Adapters adapters(c.call, kA, kB);
  const Plan<T> plan(c.call, adapters, scratch);
  c.output(kXGrad, c.in(kGrad).dtype, c.shape(kGrad).with(-1, plan.in_width));
  c.output(kAdapterInputGrad, c.in(kGrad).dtype, c.shape(kGrad).with(-1, plan.in_width));
  c.output(kAGrad, c.in(kGrad).dtype, {plan.ranks, plan.in_width});
  c.output(kBGrad, c.in(kGrad).dtype, {plan.factors});
  ask_for_scratch<T>(c, scratch, adapters, [&](const Adapter& adapter) { return up_product(c.call, adapter); });
}

void infer(Infer& c) {
  c.require_float(kGrad);
  c.integer(kPrecision, 0, 1);
  if (c.in(kWeight)) require_precision(c, kGrad, kWeight, kShadow, kPrecision);
  for (const int i : {kAdapterInput, kDown}) c.require_same_dtype(kGrad, i);
  c.require_rank_at_least(kGrad, 1, "[..., outWidth]");
  c.require_rank(kWeight, 2, "[outWidth, inWidth]");
  c.require_same(kGrad, -1, kWeight, 0, "output width");
  c.flag(kShared);
  const auto a = c.list(kA);
  const int64_t in_width = c.in(kWeight) ? c.shape(kWeight)[1] : a.empty() || a[0].shape.rank != 2 ? 0 : a[0].shape[1];
  const Adapters adapters(c.call, kA, kB);
  check_adapters(c, adapters, c.in(kGrad).dtype, in_width, c.shape(kGrad)[-1]);
  c.require_shape(kAdapterInput, c.shape(kGrad).with(-1, in_width), "the rows of grad, of the input width");
  c.require_shape(kDown, c.shape(kGrad).with(-1, adapters.ranks()), "the rows of grad, one column for each rank");
  if (c.call.wants(kXGrad) && !c.in(kWeight)) c.fail_usage("x_grad needs weight");
  if (c.call.wants(kAGrad) && !c.in(kAdapterInput)) c.fail_usage("a_grad needs adapter_input");
  if (c.call.wants(kBGrad) && !c.in(kDown)) c.fail_usage("b_grad needs down");
  c.in(kGrad).dtype == DType::kFloat64 ? ask<double>(c) : ask<float>(c);
}

// One group of rows: up, and the sums for the gradients of a and b. The blocks of rows stay in the second-level cache.
template <class T> void run_group(const Call& c, const Adapters& adapters, const Plan<T>& plan, int64_t group) {
  const int64_t in_width = plan.in_width, out_width = plan.out_width, ranks = plan.ranks;
  const int64_t end = plan.rows * (group + 1) / plan.groups;
  const int64_t step =
      std::clamp(kBlockBytes / ((in_width + out_width) * int64_t(sizeof(T)) + 1), int64_t{12}, kGroupRows);
  T* const a_sums = plan.a_sums + (plan.a_grad ? group * ranks * in_width : 0);
  T* const b_sums = plan.b_sums + (plan.b_grad ? group * plan.factors : 0);
  if (plan.a_grad) std::fill_n(a_sums, ranks * in_width, T(0));
  if (plan.b_grad) std::fill_n(b_sums, plan.factors, T(0));
  for (int64_t begin = plan.rows * group / plan.groups; begin < end; begin += step) {
    const int64_t rows = std::min(step, end - begin);
    const T* const grad = c.in(kGrad).as<T>() + begin * out_width;
    adapters.each([&](const Adapter& adapter) {
      if (plan.ups_wanted && adapter.narrow())
        down<T>({
            .x = grad + adapter.begin,
            .x_stride = out_width,
            .weight = plan.transposed + adapter.first_factor,
            .weight_stride = adapter.width,
            .down = plan.ups + begin * ranks + adapter.first_rank,
            .down_stride = ranks,
            .rows = rows,
            .width = adapter.width,
            .ranks = adapter.rank,
        });
      if (plan.b_grad)
        outer<T>({
            .down = c.in(kDown).as<T>() + begin * ranks + adapter.first_rank,
            .down_stride = ranks,
            .x = grad + adapter.begin,
            .x_stride = out_width,
            .sums = b_sums + adapter.first_factor,
            .sums_stride = adapter.width,
            .rows = rows,
            .width = adapter.width,
            .ranks = adapter.rank,
        });
    });
    if (plan.a_grad)
      outer<T>({
          .down = plan.ups + begin * ranks,
          .down_stride = ranks,
          .x = c.in(kAdapterInput).as<T>() + begin * in_width,
          .x_stride = in_width,
          .sums = a_sums,
          .sums_stride = in_width,
          .rows = rows,
          .width = in_width,
          .ranks = ranks,
      });
  }
}

template <class T> void add_groups(const Call& c, const Adapters& adapters, const Plan<T>& plan) {
  const auto total = [&](const T* sums, int64_t size, int64_t i) {
    T sum = sums[i];
    for (int64_t group = 1; group < plan.groups; ++group) sum += sums[group * size + i];
    return sum;
  };
  if (plan.a_grad) {
    const int64_t size = plan.ranks * plan.in_width;
    T* const a_grad = c.out(kAGrad).as<T>();
    parallel_ranges(size, kSumGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) a_grad[i] = total(plan.a_sums, size, i);
    });
  }
  if (!plan.b_grad) return;
  adapters.each([&](const Adapter& adapter) {
    T* const b_grad = c.out(kBGrad).as<T>() + adapter.first_factor;
    parallel_ranges(adapter.width, kSumGrain / (adapter.rank + 1) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = 0; r < adapter.rank; ++r)
        for (int64_t i = begin; i < end; ++i)
          b_grad[i * adapter.rank + r] =
              T(adapter.scale) * total(plan.b_sums, plan.factors, adapter.first_factor + r * adapter.width + i);
    });
  });
}

template <class T> void run(Call& c) {
  const Adapters adapters(c, kA, kB);
  Scratch scratch{c};
  const Plan<T> plan(c, adapters, scratch);
  if (plan.ups_wanted) {
    adapters.each([&](const Adapter& adapter) {
      if (adapter.narrow()) transpose_scaled(adapter, plan.transposed + adapter.first_factor, adapter.width);
    });
    multiply_wide<T>(c, scratch, adapters, [&](const Adapter& adapter) {
      Gemm g = up_product(c, adapter);
      g.c = plan.ups + adapter.first_rank;
      g.c_row_stride = plan.ranks;
      return g;
    });
  }
  if (plan.ups_wanted || plan.b_grad) {
    parallel_for(plan.groups, [&](int64_t group) { run_group(c, adapters, plan, group); });
    add_groups(c, adapters, plan);
  }
  const int64_t stride = up_stride<T>(plan.in_width);
  Addition<T> addition{
      .downs = plan.ups,
      .ranks = plan.ranks,
      .factors = plan.a_copy,
      .stride = stride,
      .adapters = nullptr,
      .residual = nullptr,
      .result = c.out(kAdapterInputGrad).as<T>(),
      .width = plan.in_width,
  };
  if (plan.spreads_ups)
    adapters.each([&](const Adapter& adapter) {
      for (int64_t r = 0; r < adapter.rank; ++r)
        std::copy_n(adapter.a.as<T>() + r * plan.in_width, plan.in_width,
                    plan.a_copy + (adapter.first_rank + r) * stride);
    });
  if (c.wants(kAdapterInputGrad))
    parallel_ranges(plan.rows, block_rows<T>(plan.in_width, plan.ranks),
                    [&](int64_t begin, int64_t end) { addition.write(begin, end, 0, plan.in_width); });
  if (plan.x_grad) {
    Gemm gemm = product(c);
    addition.result = c.out(kXGrad).as<T>();
    if (c.flag(kShared)) addition.precede(gemm);
    if (is_bf16(c) && gemm.k > 0)
      multiply_bf16(c, in_bf16(c, gemm, kWeight, kShadow, -1), scratch);
    else
      multiply<T>(c, gemm, scratch);
  }
}

const Register op{{
    .name = "lora_linear_backward",
    .inputs = {"grad", "weight?", "adapter_input?", "down?", "shadow?", "a*", "b*"},
    .attributes = {"offsets*", "scales*", "precision", "shared"},
    .outputs = {"x_grad?", "adapter_input_grad?", "a_grad?", "b_grad?"},
    .infer = infer,
    .cpu = [](Call& c) { c.in(kGrad).dtype == DType::kFloat64 ? run<double>(c) : run<float>(c); },
    .work =
        [](const Call& c) {
          const Adapters adapters(c, kA, kB);
          const double a = double(adapters.ranks()) * double(adapters.a[0].shape[1]), b = double(adapters.factors());
          const double spread = c.wants(kAdapterInputGrad) || (c.wants(kXGrad) && c.flag(kShared)) ? a : 0;
          const double per_row = (c.wants(kXGrad) ? double(c.in(kWeight).count()) : 0) + spread +
                                 (spread > 0 || c.wants(kAGrad) ? b : 0) + (c.wants(kAGrad) ? a : 0) +
                                 (c.wants(kBGrad) ? b : 0);
          return Work{2 * double(c.in(kGrad).shape.rows()) * per_row};
        },
}};

}  // namespace backward

}  // namespace
}  // namespace userllm

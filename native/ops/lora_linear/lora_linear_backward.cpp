#include "ops/lora_linear/adapters.h"

namespace userllm::lora {
namespace {

constexpr int64_t kGroups = 16, kGroupRows = 128;
constexpr int64_t kSumGrain = 4096;

// ---- With up = scale · grad[..., columns] · b of each adapter:
//
//     x_grad             = grad · weight (+ up · a, when the adapters' input is x)
//     adapter_input_grad = up · a
//     a_grad             = upᵀ · input, those of all adapters below each other
//     b_grad             = scale · grad[..., columns]ᵀ · down, those of all adapters behind each other

enum In { kGrad, kWeight, kAdapterInput, kDown, kShadow, kA, kB };
enum Attribute { kPrecision = 2, kShared };
enum Out { kXGrad, kAdapterInputGrad, kAGrad, kBGrad };

bool is_bf16(const Call& c) { return multiplies_bf16(c, kWeight, c.integer(kPrecision)); }

Gemm product(const Call& c) {
  Gemm g = linear_input_grad_product(c.in(kGrad), c.in(kWeight), c.out(kXGrad));
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
    const Addition<T>* const added = c.flag(kShared) ? &addition : nullptr;
    if (is_bf16(c) && gemm.k > 0)
      multiply_bf16(c, in_bf16(c, gemm, kWeight, kShadow, -1), scratch, added);
    else
      multiply<T>(c, gemm, scratch, added);
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

}  // namespace
}  // namespace userllm::lora

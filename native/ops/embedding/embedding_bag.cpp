// Sums or means of table rows over bags of ids: bag b holds ids[offsets[b] .. offsets[b + 1]).
#include "core/op.h"
#include "devices/cpu/offsets.h"
#include "devices/cpu/thread_pool.h"
#include "ops/embedding/scatter.h"

namespace userllm {
namespace {

enum Mode { kSum = 0, kMean = 1 };

void require_bags(Infer& c, int ids, int offsets) {
  c.require_dtype(ids, {DType::kInt32});
  c.require_dtype(offsets, {DType::kInt32});
  c.require_rank(ids, 1, "[ids]");
  c.require_rank(offsets, 1, "[bags + 1]");
  if (c.shape(offsets)[0] == 0) c.fail(c.show(offsets), " must be [bags + 1], with at least one element");
  if (c.in(ids).count() > INT32_MAX) c.fail(c.show(ids), " are too many: at most ", INT32_MAX);
}

namespace forward {

enum In { kTable, kIds, kOffsets };

void infer(Infer& c) {
  c.require_float(kTable);
  c.require_rank(kTable, 2, "[rows, width]");
  require_bags(c, kIds, kOffsets);
  c.integer(0, kSum, kMean);
  c.output(0, c.in(kTable).dtype, {c.shape(kOffsets)[0] - 1, c.shape(kTable)[1]});
}

template <class T> void run(Call& c) {
  const int64_t bags = c.out(0).shape[0], width = c.out(0).shape[1];
  const int64_t count = c.in(kIds).count(), rows = c.in(kTable).shape[0];
  const int32_t *ids = c.in(kIds).as<int32_t>(), *offsets = c.in(kOffsets).as<int32_t>();
  const bool mean = c.integer(0) == kMean;
  T* const result = c.out(0).as<T>();
  if (!check_offsets(c, kOffsets, count, "ids")) {
    std::fill_n(result, bags * width, T(0));
    return;
  }
  const int64_t work_per_bag = width * (bags ? count / bags + 1 : 1);
  parallel_ranges(bags, 16384 / (work_per_bag + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      int64_t held = offsets[b + 1] - offsets[b];
      for (int64_t i = offsets[b]; i < offsets[b + 1]; ++i)
        if (ids[i] < 0 || ids[i] >= rows) {
          c.index_fault(kIds, i, ids[i], rows);
          held = 0;
        }
      const T scale = mean && held ? 1 / T(held) : 1;
      sum_rows(
          RowSum<T>{c.in(kTable).as<T>(), width, ids + offsets[b], held, nullptr, scale, width, result + b * width});
    }
  });
}

const Register op{{
    .name = "embedding_bag",
    .inputs = {"table", "ids", "offsets"},
    .attributes = {"mode"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = [](Call& c) { c.in(kTable).dtype == DType::kFloat64 ? run<double>(c) : run<float>(c); },
    .work =
        [](const Call& c) {
          const double read = double(c.in(kIds).count()) * double(c.in(kTable).shape[1]);
          return Work{read, read * double(size_of(c.in(kTable).dtype)) + double(c.out(0).bytes())};
        },
}};

}  // namespace forward

namespace backward {

enum In { kGrad, kIds, kOffsets };
enum Attribute { kRows, kMode };

void infer(Infer& c) {
  c.require_float(kGrad);
  c.require_rank(kGrad, 2, "[bags, width]");
  require_bags(c, kIds, kOffsets);
  const Shape& grad = c.shape(kGrad);
  c.require_shape(kOffsets, {grad[0] + 1}, "one more than the rows of grad");
  const int64_t rows = c.integer(kRows, 0, kMaxElements);
  c.integer(kMode, kSum, kMean);
  c.output(0, c.in(kGrad).dtype, {rows, grad[1]});
  c.scratch(size_t(grad[0]) * size_of(c.in(kGrad).dtype) + scatter_bytes(rows, c.in(kIds).count()));
}

template <class T> void run(Call& c) {
  const int64_t bags = c.in(kGrad).shape[0], width = c.in(kGrad).shape[1], count = c.in(kIds).count();
  const int32_t* offsets = c.in(kOffsets).as<int32_t>();
  if (!check_offsets(c, kOffsets, count, "ids")) {
    std::fill_n(c.out(0).as<T>(), c.out(0).count(), T(0));
    return;
  }
  T* const shares = c.scratch<T>();
  for (int64_t b = 0; b < bags; ++b) shares[b] = 1 / T(std::max(offsets[b + 1] - offsets[b], 1));
  Scatter scatter(shares + bags, c.integer(kRows));
  int64_t bag = 0;
  scatter.sort(c, kIds, c.in(kIds).as<int32_t>(), count, [&](int64_t i) {
    while (i >= offsets[bag + 1]) ++bag;  // ids come in order
    return bag;
  });
  scatter.add_up<T>(c.in(kGrad).as<T>(), width, c.integer(kMode) == kMean ? shares : nullptr, width, c.out(0).as<T>());
}

const Register op{{
    .name = "embedding_bag_backward",
    .inputs = {"grad", "ids", "offsets"},
    .attributes = {"rows", "mode"},
    .outputs = {"table_grad"},
    .infer = infer,
    .cpu = [](Call& c) { c.in(kGrad).dtype == DType::kFloat64 ? run<double>(c) : run<float>(c); },
    .work = [](const Call& c) { return Work{double(c.in(kIds).count()) * double(c.in(kGrad).shape[1])}; },
}};

}  // namespace backward

}  // namespace
}  // namespace userllm

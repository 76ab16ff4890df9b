// Rows of tables by id: one table, or several side by side, as the features of an event.
#include <cstring>

#include "core/op.h"
#include "devices/cpu/thread_pool.h"
#include "ops/embedding/scatter.h"

namespace userllm {
namespace {

namespace forward {

enum In { kTables, kIds };

void infer(Infer& c) {
  const auto tables = c.list(kTables), ids = c.list(kIds);
  if (tables.empty() || tables.size() != ids.size())
    c.fail_usage("there must be as many tables as tensors of ids, at least one (", tables.size(), " and ", ids.size(),
                 ")");
  c.require_dtype(kIds, {DType::kInt32});
  int64_t width = 0;
  for (size_t i = 0; i < tables.size(); ++i) {
    const Shape& table = tables[i].shape;
    if (table.rank != 2) c.fail("tables[", i, "] must be [rows, width], got ", to_string(table));
    if (tables[i].dtype != tables[0].dtype)
      fail(c.call, ErrorKind::kDType, "tables[", i, "] is ", name_of(tables[i].dtype), " and tables[0] is ",
           name_of(tables[0].dtype), "; they must be the same");
    if (!(ids[i].shape == ids[0].shape))
      c.fail("ids[", i, "] ", to_string(ids[i].shape), " and ids[0] ", to_string(ids[0].shape),
             " must have the same shape");
    width += table[1];
  }
  if (ids[0].shape.rank == kMaxRank) c.fail("ids must have at most ", kMaxRank - 1, " dimensions");
  if (ids[0].count() > INT32_MAX) c.fail("ids ", to_string(ids[0].shape), " are too many: at most ", INT32_MAX);
  Shape result = ids[0].shape;
  result.push(width);
  c.output(0, tables[0].dtype, result);
}

void cpu(Call& c) {
  const auto tables = c.list(kTables), ids = c.list(kIds);
  const size_t element = size_of(c.out(0).dtype), row_bytes = size_t(c.out(0).shape[-1]) * element;
  char* const result = c.out(0).as<char>();
  parallel_ranges(ids[0].count(), int64_t(65536 / (row_bytes + 1) + 1), [&](int64_t begin, int64_t end) {
    size_t offset = 0;
    for (size_t feature = 0; feature < tables.size(); ++feature) {
      const char* table = tables[feature].as<char>();
      const int32_t* id = ids[feature].as<int32_t>();
      const int64_t rows = tables[feature].shape[0];
      const size_t bytes = size_t(tables[feature].shape[1]) * element;
      if (bytes == 0) continue;
      for (int64_t i = begin; i < end; ++i) {
        char* to = result + size_t(i) * row_bytes + offset;
        if (id[i] >= 0 && id[i] < rows) {
          std::memcpy(to, table + size_t(id[i]) * bytes, bytes);
        } else {
          std::memset(to, 0, bytes);
          c.index_fault(kIds, i, id[i], rows);
        }
      }
      offset += bytes;
    }
  });
}

const Register op{{
    .name = "embedding",
    .inputs = {"tables*", "ids*"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
    .work =
        [](const Call& c) {
          return Work{0, 2.0 * double(c.out(0).bytes())};
        },
}};

}  // namespace forward

namespace backward {

enum In { kGrad, kIds };
enum Attribute { kRows, kColumn, kWidth };

void infer(Infer& c) {
  c.require_float(kGrad);
  c.require_dtype(kIds, {DType::kInt32});
  c.require_rank_at_least(kGrad, 1, "[..., width]");
  c.require_shape(kIds, c.shape(kGrad).without(-1), "one id for each row of grad");
  const int64_t rows = c.integer(kRows, 0, kMaxElements), grad_width = c.shape(kGrad)[-1];
  const int64_t column = c.integer(kColumn, 0, grad_width), width = c.integer(kWidth, 0, grad_width - column);
  if (c.in(kIds).count() > INT32_MAX) c.fail(c.show(kIds), " are too many: at most ", INT32_MAX);
  c.output(0, c.in(kGrad).dtype, {rows, width});
  c.scratch(scatter_bytes(rows, c.in(kIds).count()));
}

template <class T> void run(Call& c) {
  Scatter scatter(c.scratch<void>(), c.integer(kRows));
  scatter.sort(c, kIds, c.in(kIds).as<int32_t>(), c.in(kIds).count(), [](int64_t i) { return i; });
  const T* grad = c.in(kGrad).as<T>() + c.integer(kColumn);
  scatter.add_up<T>(grad, c.in(kGrad).shape[-1], nullptr, c.integer(kWidth), c.out(0).as<T>());
}

const Register op{{
    .name = "embedding_backward",
    .inputs = {"grad", "ids"},
    .attributes = {"rows", "column", "width"},
    .outputs = {"table_grad"},
    .infer = infer,
    .cpu = [](Call& c) { c.in(kGrad).dtype == DType::kFloat64 ? run<double>(c) : run<float>(c); },
    .work = [](const Call& c) { return Work{double(c.in(kIds).count()) * c.number(kWidth)}; },
}};

}  // namespace backward

}  // namespace
}  // namespace userllm

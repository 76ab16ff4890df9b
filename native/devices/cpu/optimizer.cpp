#include "devices/cpu/optimizer.h"

#include <cmath>

namespace userllm {

void require_optimizer_scalars(const Infer& c, int list, int scalars, int norm, int rows, int columns) {
  c.require_dtype(scalars, {DType::kFloat64});
  c.require_rank(scalars, 2, "[rows, scalars]");
  if (c.shape(scalars)[1] != columns) c.fail(c.show(scalars), " must have ", columns, " columns");
  const size_t given = c.integers(rows, 0, c.shape(scalars)[0] - 1).size();
  if (given != c.list(list).size())
    c.fail("rows must name a row of scalars for each of ", c.name(list), " (", given, " vs ", c.list(list).size(), ")");
  c.require_float(norm);
  if (c.in(norm) && c.in(norm).count() != 1) c.fail(c.show(norm), " must have one element");
}

double gradient_factor(const double* row, const TensorRef& norm) {
  const double scale = row[kGradientScale];
  if (!norm) return scale;
  const double whole = norm.dtype == DType::kFloat64 ? *norm.as<double>() : double(*norm.as<float>());
  const double clip = row[kClipNorm] / (whole * std::abs(scale) + 1e-6);
  return clip > 1 ? scale : clip * scale;
}

}  // namespace userllm

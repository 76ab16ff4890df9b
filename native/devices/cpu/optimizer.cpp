#include "devices/cpu/optimizer.h"

#include <algorithm>
#include <cmath>

#include "devices/cpu/optimizer.simd.h"

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

void require_steps(const Infer& c, int list, int steps) {
  if (c.list(steps).size() != c.list(list).size())
    c.fail(c.name(list), " and ", c.name(steps), " must be lists of the same length (", c.list(list).size(), " vs ",
           c.list(steps).size(), ")");
  c.require_dtype(steps, {DType::kFloat32});
  for (const TensorRef& t : c.list(steps))
    if (t.count() != 1) c.fail(c.name(steps), " ", to_string(t.shape), " must have one element");
}

void count_steps(const Call& c, int steps) {
  for (const TensorRef& t : c.list(steps)) ++*t.as<float>();
}

void require_shadows(const Infer& c, int list, int shadows, int shadow_of) {
  const auto parameters = c.list(list), copies = c.list(shadows);
  const auto owners = c.integers(shadow_of, 0, int64_t(parameters.size()) - 1);
  if (owners.size() != copies.size())
    c.fail("shadow_of must name one of ", c.name(list), " for each of ", c.name(shadows), " (", owners.size(), " vs ",
           copies.size(), ")");
  c.require_dtype(shadows, {DType::kBFloat16});
  if (!copies.empty()) c.require_dtype(list, {DType::kFloat32});
  for (size_t k = 0; k < copies.size(); ++k) {
    if (k > 0 && owners[k] <= owners[k - 1])
      c.fail_usage("shadow_of must ascend, got ", owners[k - 1], " before ", owners[k]);
    const Shape& shape = parameters[size_t(owners[k])].shape;
    if (!(copies[k].shape == shape))
      c.fail(c.name(list), "[", owners[k], "] ", to_string(shape), " and ", c.name(shadows), "[", k, "] ",
             to_string(copies[k].shape), " must have the same shape");
  }
}

void Shadows::update(const TensorRef& parameter, size_t i, int64_t from, int64_t count) const {
  const auto found = std::lower_bound(shadow_of_.begin(), shadow_of_.end(), double(i));
  if (found == shadow_of_.end() || *found != double(i)) return;
  uint16_t* const bits = shadows_[size_t(found - shadow_of_.begin())].as<uint16_t>();
  SIMD_CALL(round_to_bfloat16)(parameter.as<float>() + from, bits + from, count);
}

size_t Shadows::bytes() const {
  size_t sum = 0;
  for (const TensorRef& t : shadows_) sum += t.bytes();
  return sum;
}

}  // namespace userllm

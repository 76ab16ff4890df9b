// The two products of a linear layer with its weight [outWidth, inWidth], of all rows of their operand.
#pragma once
#include "core/storage.h"
#include "devices/cpu/gemm/gemm.h"

namespace userllm {

// result = x · weightᵀ
inline Gemm linear_product(const TensorRef& x, const TensorRef& weight, const TensorRef& result) {
  Gemm g;
  g.m = x.shape.rows();
  g.n = weight.shape[0];
  g.k = weight.shape[1];
  g.a = x.data;
  g.a_row_stride = g.k;
  g.b = weight.data;
  g.b_row_stride = g.k;
  g.b_transposed = true;
  g.c = result.data;
  g.c_row_stride = g.n;
  return g;
}

// x_grad = grad · weight
inline Gemm linear_input_grad_product(const TensorRef& grad, const TensorRef& weight, const TensorRef& x_grad) {
  Gemm g;
  g.m = grad.shape.rows();
  g.n = weight.shape[1];
  g.k = weight.shape[0];
  g.a = grad.data;
  g.a_row_stride = g.k;
  g.b = weight.data;
  g.b_row_stride = g.n;
  g.c = x_grad.data;
  g.c_row_stride = g.n;
  return g;
}

}  // namespace userllm

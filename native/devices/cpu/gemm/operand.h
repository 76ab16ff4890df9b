// A matrix in memory as an operand of a product, of float32 or bfloat16.
#pragma once
#include <stdint.h>

namespace userllm {

// Element (i, k): i counts rows of A or columns of B, k what the product sums over.
struct Operand {
  const void* data = nullptr;
  int64_t stride = 0;     // elements from one stored row to the next
  bool k_major = false;   // element (i, k) lies at k * stride + i, else at i * stride + k
  bool bfloat16 = false;  // the type of the elements, where it is not that of the product
};

}  // namespace userllm

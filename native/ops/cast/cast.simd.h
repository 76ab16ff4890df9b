#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// Element types in the order of DType's codes.
enum class Element : int { kFloat32, kBFloat16, kInt32, kUInt8, kFloat64 };

SIMD_DECLARE(void, cast_elements, (Element from, const void* x, Element into, void* to, int64_t count))

}  // namespace userllm

#pragma once

namespace userllm {

// The numbers are the wire codes of src/ops/rotary.ts.
enum class RotaryStyle : int {
  kNone = 0,
  kInterleaved = 1,  // pairs (2i, 2i + 1)
  kHalf = 2,         // pairs (i, i + rotaryWidth / 2)
};

}  // namespace userllm

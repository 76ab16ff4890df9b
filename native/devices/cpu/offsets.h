// Lists of different lengths, one after the other: list i holds the elements offsets[i] .. offsets[i + 1].
#pragma once
#include "core/op.h"

namespace userllm {

// Whether the offsets of input `i` run from 0 to `total`, the number of `elements`, without falling; reports the first
// that does not.
inline bool check_offsets(Call& c, int i, int64_t total, const char* elements) {
  const int32_t* offsets = c.in(i).as<const int32_t>();
  const int64_t last = c.in(i).count() - 1;
  for (int64_t k = 0; k <= last; ++k) {
    const bool fits = k == 0 ? offsets[0] == 0 : offsets[k] >= offsets[k - 1];
    if (fits && offsets[k] <= total && (k < last || offsets[k] == total)) continue;
    const std::string name = plain_name(c.op->inputs[i]);
    c.fault(concat(name, "[", k, "] = ", offsets[k], " does not fit: ", name, " must rise from 0 to ", total,
                   ", the number of ", elements));
    return false;
  }
  return true;
}

}  // namespace userllm

// Training windows as index arithmetic: for every user a run of target rows, a stride apart. Nothing is kept per
// window.
#pragma once
#include <cstdint>

#include "data/column.h"

namespace userllm {

// The inputs are rows start ... target - 1 of the events, the target is row `target`.
struct Window {
  int32_t user = 0;
  int64_t start = 0, target = 0;
  int64_t inputs() const { return target - start; }
};

struct Windows {
  Column<double> first;       // [users] target row of each user's first window
  Column<double> cumulative;  // [users + 1] windows before each user
  Column<double> starts;      // [users + 1] first row of each user
  int64_t longest = 0;        // most inputs of a window
  int64_t stride = 1;         // from one target to the next

  uint64_t count() const { return uint64_t(cumulative[cumulative.length() - 1]); }
  // Throws std::runtime_error unless every window lies in the rows of its user, of `events` rows in all. Without that
  // nothing else may be called.
  void check(size_t events) const;
  Window at(uint64_t index) const;
};

}  // namespace userllm

#include "data/windows.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "core/error.h"

namespace userllm {

void Windows::check(size_t events) const {
  const size_t users = first.length();
  if (cumulative.length() != users + 1 || starts.length() != users + 1)
    throw std::runtime_error(concat("windows: ", users, " users take ", users + 1,
                                    " cumulative counts and starts, got ", cumulative.length(), " and ",
                                    starts.length()));
  if (users > size_t(INT32_MAX)) throw std::runtime_error(concat("windows: more than ", INT32_MAX, " users"));

  const auto is_row = [&](double x) { return x >= 0 && x <= double(events) && x == std::floor(x); };
  bool right = starts[0] == 0 && cumulative[0] == 0;
  for (size_t user = 0; user < users && right; ++user) {
    const double windows = cumulative[user + 1] - cumulative[user], end = starts[user + 1];
    right = is_row(end) && end >= starts[user] && is_row(windows);
    if (right && windows > 0)
      right = is_row(first[user]) && first[user] > starts[user] && first[user] + (windows - 1) * double(stride) < end;
    if (!right) throw std::runtime_error(concat("windows: those of user ", user, " do not lie in the user's rows"));
  }
  if (!right) throw std::runtime_error("windows: starts and cumulative counts must begin with 0");
}

Window Windows::at(uint64_t index) const {
  const double* const ends = cumulative.data() + 1;
  const auto user = std::upper_bound(ends, ends + first.length(), double(index)) - ends;
  const auto target = int64_t(first[user]) + int64_t(index - uint64_t(cumulative[user])) * stride;
  return {int32_t(user), std::max(int64_t(starts[user]), target - longest), target};
}

}  // namespace userllm

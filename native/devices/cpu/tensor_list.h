// Ops over many tensors in one call: the list is one range of elements, split evenly whatever the tensors'
// sizes.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <span>

#include "core/op.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {

class TensorList {
 public:
  static constexpr int64_t kGrain = 1 << 14;  // elements of one task

  static size_t scratch_bytes(std::span<const TensorRef> tensors) { return (tensors.size() + 1) * sizeof(int64_t); }
  static int64_t tasks(std::span<const TensorRef> tensors) {
    int64_t total = 0;
    for (const TensorRef& t : tensors) total += padded(t);
    return (total + kGrain - 1) / kGrain;
  }

  // `starts` is scratch of `scratch_bytes`.
  TensorList(std::span<const TensorRef> tensors, int64_t* starts) : tensors_(tensors), starts_(starts) {
    starts_[0] = 0;
    for (size_t i = 0; i < tensors.size(); ++i) starts_[i + 1] = starts_[i] + padded(tensors[i]);
  }

  // Calls body(task, tensor, from, count) for every piece of a tensor, tasks in parallel, the pieces of one
  // in order.
  template <class Body> void for_pieces(const Body& body) const {
    parallel_ranges(starts_[tensors_.size()], kGrain, [&](int64_t begin, int64_t end) {
      const int64_t* const after = std::upper_bound(starts_, starts_ + tensors_.size() + 1, begin);
      for (size_t i = size_t(after - starts_) - 1; i < tensors_.size() && starts_[i] < end; ++i) {
        const int64_t from = std::max(begin, starts_[i]) - starts_[i];
        const int64_t to = std::min(end - starts_[i], tensors_[i].count());
        if (from < to) body(begin / kGrain, i, from, to - from);
      }
    });
  }

 private:
  // Tensors start at whole vectors, and so do the pieces.
  static int64_t padded(const TensorRef& t) { return (t.count() + 63) / 64 * 64; }

  std::span<const TensorRef> tensors_;
  int64_t* starts_;
};

// Every tensor of list `i` is float32, or every one is float64.
void require_one_float_dtype(const Infer& c, int i);
// List `j` has as many tensors as list `i`, each with the shape and the dtype of its counterpart.
void require_same_list(const Infer& c, int i, int j);
// No two tensors of the `changed` lists share memory, nor does one of them with a tensor of the `read`
// inputs.
void require_no_shared_memory(const Infer& c, std::initializer_list<int> changed, std::initializer_list<int> read);

}  // namespace userllm

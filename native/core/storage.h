// The memory behind tensors, and who may touch which part of it from which thread.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/shape.h"

namespace userllm {

class Allocator;

// Why a tensor has no value. Shared by everything derived from the op that failed.
struct Fault {
  std::string message;
};

// A weight repacked for GEMM. Block and list belong to the calling thread, `version` to the stream thread:
// the pack is current when it equals the storage's version.
struct Pack {
  int64_t key = 0;
  void* data = nullptr;
  size_t bytes = 0;
  uint64_t version = 0;
};

struct Storage {
  // Calling thread. When the last handle goes, the block returns to the free list at once: whoever gets it next
  // is enqueued later on the same stream, so queued tasks that still read it run first.
  void* data = nullptr;
  size_t bytes = 0;
  uint32_t handles = 0;
  std::vector<std::unique_ptr<Pack>> packs;

  // Stream thread.
  uint64_t version = 1;
  std::shared_ptr<const Fault> fault;

  // Lifetime of this object (not of the block): one for all handles together, one per queued use.
  std::atomic<uint32_t> references{1};
  void retain() { references.fetch_add(1, std::memory_order_relaxed); }
  void drop() {
    if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
};

// A tensor as ops see it: checked, contiguous, row-major.
struct TensorRef {
  Storage* storage = nullptr;
  void* data = nullptr;
  DType dtype = DType::kFloat32;
  Shape shape;

  explicit operator bool() const { return storage != nullptr; }
  int64_t count() const { return shape.count(); }
  size_t bytes() const { return size_t(count()) * size_of(dtype); }
  template <class T> T* as() const { return static_cast<T*>(data); }
};

inline std::string describe(const TensorRef& t) { return to_string(t.shape); }

}  // namespace userllm

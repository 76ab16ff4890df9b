// Caching allocator of one environment. Calling thread only.
//
// Blocks come in size classes of an eighth of an octave and are kept on free lists. A released block is reusable at
// once (stream order makes that safe, see storage.h). Giving memory back to the system must wait for queued tasks,
// so that goes through `retire`, which the owner enqueues.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace userllm {

struct MemoryStats {
  uint64_t in_use = 0;  // bytes held by tensors and packs
  uint64_t cached = 0;  // bytes on the free lists
  uint64_t peak = 0;    // highest in_use since the last reset
  uint64_t limit = 0;   // in_use + cached may not exceed it
};

class Allocator {
 public:
  using Retire = std::function<void(void* block, size_t bytes)>;
  explicit Allocator(Retire retire);
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // 64-byte aligned, at least `bytes` long, uninitialised. Throws UserError(kMemory) over the limit.
  void* allocate(size_t bytes);
  void release(void* block, size_t bytes);
  // Gives all cached blocks back to the system, in stream order.
  void trim();
  void reset_peak() { stats_.peak = stats_.in_use; }
  void set_limit(uint64_t bytes) { stats_.limit = bytes; }
  const MemoryStats& stats() const { return stats_; }

  // A block from the system, outside all accounting; null when there is none. Any thread.
  static void* allocate_block(size_t bytes);
  // Frees a block of the system; any thread.
  static void free_block(void* block, size_t bytes);

 private:
  void trim_to(uint64_t cached);

  Retire retire_;
  MemoryStats stats_;
  uint64_t most_ = 0;  // highest in_use ever: what the program is known to come back to

  // The free blocks of one size.
  struct SizeClass {
    std::vector<void*> blocks;
    uint64_t last_use = 0;  // in allocations
  };
  std::vector<SizeClass> free_;
  uint64_t allocations_ = 0;
};

}  // namespace userllm

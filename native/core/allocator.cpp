#include "core/allocator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>

#include "core/error.h"

#if defined(__SANITIZE_ADDRESS__)
#define USER_LLM_ASAN 1
#endif

namespace userllm {
namespace {

constexpr size_t kSmallest = 64;
constexpr size_t kMapped = size_t(1) << 20;  // blocks from here on are mapped, with huge pages
constexpr size_t kHugePage = size_t(2) << 20;
constexpr uint64_t kSlack = uint64_t(64) << 20;  // cached beyond the most ever in use plus this goes back to the system

// Size classes: 64, 128, 192, ... 512, then eight steps an octave.
size_t class_of(size_t bytes) {
  const size_t units = (std::max(bytes, kSmallest) + kSmallest - 1) / kSmallest;
  if (units <= 8) return units - 1;
  const int octave = std::bit_width(units - 1) - 1;  // 2^octave < units <= 2^(octave+1), octave >= 3
  const size_t step = size_t(1) << (octave - 3);
  const size_t eighth = (units - (size_t(1) << octave) + step - 1) / step;  // 1..8
  return size_t(octave - 3) * 8 + 7 + eighth;
}

size_t bytes_of_class(size_t index) {
  if (index < 8) return (index + 1) * kSmallest;
  const size_t octave = (index - 8) / 8 + 3, eighth = (index - 8) % 8 + 1;
  return ((size_t(1) << octave) + eighth * (size_t(1) << (octave - 3))) * kSmallest;
}

size_t block_size(size_t bytes) {
#ifdef USER_LLM_ASAN
  return std::max<size_t>(bytes, 1);  // exact, so that an overrun is seen
#else
  return bytes_of_class(class_of(bytes));
#endif
}

uint64_t machine_limit() {
  if (const char* text = std::getenv("USER_LLM_MEMORY_LIMIT"))
    if (const uint64_t bytes = std::strtoull(text, nullptr, 10)) return bytes;
  uint64_t limit = uint64_t(sysconf(_SC_PHYS_PAGES)) * uint64_t(sysconf(_SC_PAGESIZE));
  if (FILE* file = std::fopen("/sys/fs/cgroup/memory.max", "r")) {
    unsigned long long bytes = 0;
    if (std::fscanf(file, "%llu", &bytes) == 1 && bytes) limit = std::min<uint64_t>(limit, bytes);
    std::fclose(file);
  }
  return limit;
}

}  // namespace

Allocator::Allocator(Retire retire) : retire_(std::move(retire)) { stats_.limit = machine_limit(); }

// The owner has stopped its stream by now, so nothing can still use a block.
Allocator::~Allocator() {
  for (size_t i = 0; i < free_.size(); ++i)
    for (void* block : free_[i].blocks) free_block(block, bytes_of_class(i));
}

void* Allocator::allocate(size_t bytes) {
  const size_t size = block_size(bytes);
  void* block = nullptr;
#ifndef USER_LLM_ASAN
  const size_t index = class_of(bytes);
  if (index >= free_.size()) free_.resize(index + 1);
  SizeClass& same = free_[index];
  same.last_use = ++allocations_;
  if (!same.blocks.empty()) {
    block = same.blocks.back();
    same.blocks.pop_back();
    stats_.cached -= size;
  }
#endif
  if (!block) {
    if (stats_.in_use + stats_.cached + size > stats_.limit) trim();
    if (stats_.in_use + size <= stats_.limit) block = allocate_block(size);
    if (!block)
      throw UserError(ErrorKind::kMemory,
                      concat("out of memory: ", bytes, " bytes more than the ", stats_.in_use,
                             " in use exceed the limit of ", stats_.limit, " bytes (USER_LLM_MEMORY_LIMIT sets it)"));
  }
  stats_.in_use += size;
  stats_.peak = std::max(stats_.peak, stats_.in_use);
  most_ = std::max(most_, stats_.in_use);
  return block;
}

void Allocator::release(void* block, size_t bytes) {
  const size_t size = block_size(bytes);
  stats_.in_use -= size;
#ifdef USER_LLM_ASAN
  retire_(block, size);
#else
  free_[class_of(bytes)].blocks.push_back(block);
  stats_.cached += size;
  if (stats_.in_use + stats_.cached > most_ + kSlack) trim_to(most_ - stats_.in_use);
#endif
}

void Allocator::trim() { trim_to(0); }

// Sizes that were not asked for since long ago go first: the next step of a loop wants those of the last one.
void Allocator::trim_to(uint64_t cached) {
  while (stats_.cached > cached) {
    size_t stalest = free_.size();
    for (size_t i = 0; i < free_.size(); ++i)
      if (!free_[i].blocks.empty() && (stalest == free_.size() || free_[i].last_use < free_[stalest].last_use))
        stalest = i;
    std::vector<void*>& blocks = free_[stalest].blocks;
    for (; !blocks.empty() && stats_.cached > cached; blocks.pop_back()) {
      retire_(blocks.back(), bytes_of_class(stalest));
      stats_.cached -= bytes_of_class(stalest);
    }
  }
}

void* Allocator::allocate_block(size_t bytes) {
#ifndef USER_LLM_ASAN
  if (bytes >= kMapped) {
// Huge pages need their alignment, which a mapping has only by chance: more is mapped, and the ends given back.
#ifdef MADV_HUGEPAGE
    const size_t spare = bytes >= kHugePage ? kHugePage : 0;
#else
    const size_t spare = 0;
#endif
    void* mapped = mmap(nullptr, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    char* block = static_cast<char*>(mapped);
#ifdef MADV_HUGEPAGE
    if (spare) {
      const size_t before = -reinterpret_cast<uintptr_t>(block) % kHugePage;
      if (before) munmap(block, before);
      block += before;
      if (before < spare) munmap(block + bytes, spare - before);
      madvise(block, bytes, MADV_HUGEPAGE);
    }
#endif
    return block;
  }
#endif
  void* block = nullptr;
  return posix_memalign(&block, 64, bytes) == 0 ? block : nullptr;
}

void Allocator::free_block(void* block, size_t bytes) {
#ifndef USER_LLM_ASAN
  if (bytes >= kMapped) {
    munmap(block, bytes);
    return;
  }
#endif
  std::free(block);
}

}  // namespace userllm

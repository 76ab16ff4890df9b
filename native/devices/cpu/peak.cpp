#include "devices/cpu/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "core/allocator.h"
#include "devices/cpu/gemm/gemm_bf16.simd.h"
#include "devices/cpu/peak.simd.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {
namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// The best of a few runs of `body`.
template <class Body> double fastest(const Body& body) {
  double best = 1e9;
  for (int repeat = 0; repeat < 7; ++repeat) {
    const double start = seconds();
    body();
    best = std::min(best, seconds() - start);
  }
  return best;
}

}  // namespace

Peak measure_peak() {
  Peak peak;
  const int64_t threads = thread_count();

  constexpr int64_t kRounds = 2'000'000;
  const double multiply = fastest([&] {
    parallel_for(threads, [&](int64_t) {
      float sink[16];
      SIMD_CALL(multiply_adds)(kRounds, sink);
    });
  });
  float sink[16];
  peak.gflops = SIMD_CALL(multiply_adds)(1, sink) * double(kRounds) * double(threads) / multiply * 1e-9;

  peak.bf16_gflops = peak.gflops;
  const Bf16Kernels& bf16 = bf16_kernels();
  if (bf16.spin) {
    constexpr int64_t kTileRounds = 100'000;
    double operations = 0;
    const double spin = fastest([&] {
      parallel_for(threads, [&](int64_t thread) {
        bf16.enter();
        const double made = bf16.spin(kTileRounds);
        bf16.leave();
        if (thread == 0) operations = made;
      });
    });
    peak.bf16_gflops = operations * double(threads) / spin * 1e-9;
  }

  // Blocks like the allocator's, of huge pages.
  constexpr size_t kBytes = size_t(64) << 20;
  constexpr int64_t kFloats = kBytes / sizeof(float);
  void* const from = Allocator::allocate_block(kBytes);
  void* const to = Allocator::allocate_block(kBytes);
  if (from && to) {
    std::memset(from, 1, kBytes);
    std::memset(to, 2, kBytes);
    const auto with = [&](auto copy) {
      return fastest([&] {
        parallel_ranges(kFloats, 1 << 16, [&](int64_t begin, int64_t end) {
          copy(static_cast<const float*>(from) + begin, static_cast<float*>(to) + begin, end - begin);
        });
      });
    };
    const double copy =
        std::min(with(SIMD_CALL(copy_floats)),
                 with([](const float* x, float* y, int64_t n) { std::memcpy(y, x, size_t(n) * sizeof(float)); }));
    peak.copy_gbs = 2.0 * kBytes / copy * 1e-9;
  }
  if (from) Allocator::free_block(from, kBytes);
  if (to) Allocator::free_block(to, kBytes);
  return peak;
}

}  // namespace userllm

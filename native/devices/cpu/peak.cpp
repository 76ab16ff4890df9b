#include "devices/cpu/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>

#include "devices/cpu/peak.simd.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {
namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Peak measure_peak() {
  Peak peak;
  const int64_t threads = thread_count();
  constexpr int kRepeats = 5;

  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    constexpr int64_t kRounds = 200'000;
    const double start = seconds();
    double flops = 0;
    parallel_for(threads, [&](int64_t) {
      float sink[16];
      SIMD_CALL(multiply_adds)(kRounds, sink);
    });
    float sink[16];
    flops = SIMD_CALL(multiply_adds)(1, sink) * double(kRounds) * double(threads);
    peak.gflops = std::max(peak.gflops, flops / (seconds() - start) * 1e-9);
  }

  constexpr size_t kBytes = size_t(64) << 20;
  const std::unique_ptr<char[]> from(new char[kBytes]), to(new char[kBytes]);
  std::memset(from.get(), 1, kBytes);
  std::memset(to.get(), 2, kBytes);
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const double start = seconds();
    parallel_ranges(int64_t(kBytes), int64_t(kBytes) / threads, [&](int64_t begin, int64_t end) {
      std::memcpy(to.get() + begin, from.get() + begin, size_t(end - begin));
    });
    peak.copy_gbs = std::max(peak.copy_gbs, 2.0 * kBytes / (seconds() - start) * 1e-9);
  }
  return peak;
}

}  // namespace userllm

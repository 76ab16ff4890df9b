// The products of fused ops, blocks.h, against loops in double: every element type, odd sizes, both layouts.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <vector>

#include "devices/cpu/gemm/blocks.h"

namespace userllm {
namespace {

// Whatever bytes a kernel touches by mistake are next to an operand: guards notice writes, and the NaN in them reads.
template <class T> class Guarded {
 public:
  explicit Guarded(size_t count) : bytes_(count * sizeof(T) + 2 * kGuard, '\xff'), count_(count) {}
  T* data() {
    char* const first = bytes_.data() + kGuard;
    return reinterpret_cast<T*>(first + (64 - reinterpret_cast<uintptr_t>(first) % 64) % 64);
  }
  bool is_intact() {
    const char *begin = bytes_.data(), *first = reinterpret_cast<char*>(data()), *last = first + count_ * sizeof(T);
    for (const char* at = begin; at < begin + bytes_.size(); ++at)
      if ((at < first || at >= last) && *at != '\xff') return false;
    return true;
  }

 private:
  static constexpr size_t kGuard = 128;
  std::vector<char> bytes_;
  size_t count_;
};

double next_value(uint32_t& state) {
  state = state * 1664525 + 1013904223;
  return (state >> 8) / 8388608.0 - 1;
}

template <class E> double rounded(double value) {
  if constexpr (std::is_same_v<E, BFloat16>)
    return double(float(BFloat16(float(value))));
  else
    return double(E(value));
}

// One product: operands of type S in memory, packed as E.
template <class E, class S> bool check(int64_t m, int64_t n, int64_t k, bool a_k_major, bool b_k_major) {
  uint32_t seed = uint32_t(m * 31 + n * 7 + k);
  const int64_t a_stride = (a_k_major ? m : k) + 3, b_stride = (b_k_major ? n : k) + 1, c_stride = n + 5;
  Guarded<S> a(size_t((a_k_major ? k : m) * a_stride)), b(size_t((b_k_major ? k : n) * b_stride));
  const auto a_at = [&](int64_t i, int64_t j) -> S& {
    return a.data()[a_k_major ? j * a_stride + i : i * a_stride + j];
  };
  const auto b_at = [&](int64_t i, int64_t j) -> S& {
    return b.data()[b_k_major ? j * b_stride + i : i * b_stride + j];
  };
  for (int64_t j = 0; j < k; ++j) {
    for (int64_t i = 0; i < m; ++i) a_at(i, j) = S(float(next_value(seed)));
    for (int64_t i = 0; i < n; ++i) b_at(i, j) = S(float(next_value(seed)));
  }
  Guarded<E> rows(block_rows_bytes<E>(m, k) / sizeof(E)), panels(block_panels_bytes<E>(n, k) / sizeof(E));
  Guarded<BlockSum<E>> c(size_t(m * c_stride));
  std::vector<double> expected(size_t(m * c_stride));
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < c_stride; ++j) {
      const float start = float(next_value(seed));
      c.data()[i * c_stride + j] = start;
      double sum = 0;
      for (int64_t at = 0; j < n && at < k; ++at)
        sum += rounded<E>(float(a_at(i, at))) * rounded<E>(float(b_at(j, at)));
      expected[size_t(i * c_stride + j)] = j < n ? 2 * sum : start;
    }

  constexpr bool kHalf = std::is_same_v<S, BFloat16>;
  const BlockScope scope;
  BlockProduct<E> product = {.m = m, .n = n, .k = k, .b = panels.data(), .c = c.data(), .c_stride = c_stride};
  product.a = block_rows<E>({a.data(), a_stride, a_k_major, kHalf}, m, k, rows.data());
  block_pack_panels<E>({b.data(), b_stride, b_k_major, kHalf}, n, k, panels.data());
  block_multiply<E>(product);
  product.accumulate = true;
  block_multiply<E>(product);

  const double step = std::is_same_v<E, double> ? 0x1p-53 : 0x1p-24, allowed = 4 * step * (std::sqrt(double(k)) + 2);
  bool right = a.is_intact() && b.is_intact() && c.is_intact() && rows.is_intact() && panels.is_intact();
  for (size_t i = 0; i < expected.size(); ++i)
    right = right && std::fabs(double(c.data()[i]) - expected[i]) <= allowed * std::fmax(1, std::sqrt(double(k)));
  if (!right)
    std::fprintf(stderr, "FAILED: a block of %zu bytes from %zu, [%lld, %lld] by [%lld, %lld]%s%s\n", sizeof(E),
                 sizeof(S), (long long)m, (long long)k, (long long)k, (long long)n, a_k_major ? ", a k-major" : "",
                 b_k_major ? ", b k-major" : "");
  return right;
}

}  // namespace

int block_failures() {
  int failures = 0;
  for (const int64_t m : {1, 7, 16, 33, 48})
    for (const int64_t n : {1, 15, 32, 63, 199})
      for (const int64_t k : {0, 1, 31, 32, 63, 600, 2100})
        for (const bool a_k_major : {false, true})
          for (const bool b_k_major : {false, true}) {
            if (k == 2100 && m * n > 800) continue;
            failures += !check<float, float>(m, n, k, a_k_major, b_k_major);
            failures += !check<double, double>(m, n, k, a_k_major, b_k_major);
            failures += !check<BFloat16, float>(m, n, k, a_k_major, b_k_major);
            failures += !check<BFloat16, BFloat16>(m, n, k, a_k_major, b_k_major);
          }
  return failures;
}

}  // namespace userllm

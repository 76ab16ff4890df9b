// Draws a class for each row of logits x, of those that the filters leave, with probability ~ exp(x / temperature).
//
// All filters keep the beginning of one order: larger logits first, of equal ones those with the lower index. Nothing
// is sorted for it. Bounds that cannot cut off too much (below) leave few candidates; among those a radix selection
// finds where the beginning ends, in time linear in their number whatever the logits.
//
// Row r draws with the 53 random bits that `random_uniform` gives element r in float64, against sums in float64 over
// the classes in ascending order.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "core/op.h"
#include "core/random.h"
#include "devices/cpu/find_above.simd.h"
#include "devices/cpu/thread_pool.h"
#include "ops/sample/sample.simd.h"

namespace userllm {
namespace {

enum In { kLogits, kState };
enum Attribute { kTemperature, kTopK, kTopP, kMinP, kCall };
enum Out { kIds, kLogProbability };

template <class T> struct Kernels {
  int64_t (*find_above)(const T*, int64_t, int64_t, T);
  T (*maximum)(const T*, int64_t);
  void (*maxima)(const T*, int64_t, T*);
  double (*weights)(const T*, int64_t, T, T, T*, double*);
  int64_t (*find_at_least)(const T*, int64_t, T, int32_t*);
};
Kernels<float> kernels(float) {
  return {SIMD_CALL(find_above_f32), SIMD_CALL(maximum_f32), SIMD_CALL(maxima_f32), SIMD_CALL(sample_weights_f32),
          SIMD_CALL(find_at_least_f32)};
}
Kernels<double> kernels(double) {
  return {SIMD_CALL(find_above_f64), SIMD_CALL(maximum_f64), SIMD_CALL(maxima_f64), SIMD_CALL(sample_weights_f64),
          SIMD_CALL(find_at_least_f64)};
}

// What one thread needs for a row of n classes.
template <class T> struct Buffers {
  explicit Buffers(int64_t n, char* memory = nullptr) {
    char* at = memory;
    const auto take = [&](auto*& pointer, int64_t count) {
      pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(at);
      bytes += (count * int64_t{sizeof *pointer} + 63) & ~int64_t{63};
      if (memory) at = memory + bytes;
    };
    take(weights, n);
    take(sums, (n + kWeightPiece - 1) / kWeightPiece);
    take(maxima, (n + kMaximumPiece - 1) / kMaximumPiece);
    take(list, n);
    take(other, n);
  }

  T* weights;
  double* sums;
  T* maxima;
  int32_t *list, *other;
  int64_t bytes = 0;
};

void infer(Infer& c) {
  c.require_float(kLogits);
  c.require_rank_at_least(kLogits, 1, "[..., classes]");
  c.require_dtype(kState, {DType::kInt32});
  c.require_shape(kState, {4}, "a generator's state");
  c.number(kTemperature, 0, std::numeric_limits<double>::max());
  c.integer(kTopK, 0, INT32_MAX);
  c.number(kTopP, 0, 1);
  c.number(kMinP, 0, 1);
  c.integer(kCall, 0, int64_t(1) << 53);
  const Shape& logits = c.shape(kLogits);
  const Shape rows = logits.without(-1);
  if (logits[-1] == 0 && rows.count() > 0) c.fail(c.show(kLogits), " has no classes to draw from");
  if (logits[-1] > INT32_MAX) c.fail(c.show(kLogits), " has too many classes for int32 ids");
  c.output(kIds, DType::kInt32, rows);
  c.output(kLogProbability, c.in(kLogits).dtype, rows);
  if (rows.count() == 0) return;
  const bool wide = c.in(kLogits).dtype == DType::kFloat64;
  const int64_t bytes = wide ? Buffers<double>(logits[-1]).bytes : Buffers<float>(logits[-1]).bytes;
  c.scratch(size_t(bytes * thread_count()));
}

// Unsigned numbers in the order of the floats; the two zeros are equal.
uint32_t key_of(float x) {
  const auto bits = std::bit_cast<uint32_t>(x + 0.f);
  return bits ^ (bits >> 31 ? ~uint32_t(0) : uint32_t(1) << 31);
}
uint64_t key_of(double x) {
  const auto bits = std::bit_cast<uint64_t>(x + 0.);
  return bits ^ (bits >> 63 ? ~uint64_t(0) : uint64_t(1) << 63);
}

// The last element of a beginning of the order.
template <class T> struct Last {
  T value;
  int64_t index;

  bool keeps(T x, int64_t i) const { return x > value || (x == value && i <= index); }
};

// The shortest beginning of the elements in `list` (ascending positions, at least one, which it overwrites) whose
// weights sum up to `target`; all of them if their sum is less. They lie in [low, high].
template <class T, class Weight>
Last<T> select(const T* x, T low, T high, int32_t* list, int64_t n, double target, const Weight& weight) {
  constexpr int kBits = 11, kBuckets = 1 << kBits;
  constexpr int64_t kMany = 1024;
  double mass[kBuckets], above = 0;
  // Keeps the elements of the bucket in which the beginning ends; higher buckets hold larger elements.
  const auto narrow = [&](const auto& bucket_of) {
    std::fill_n(mass, kBuckets, 0.);
    for (int64_t k = 0; k < n; ++k) mass[bucket_of(x[list[k]])] += weight(list[k]);
    int chosen = -1;
    double before = above, sum = above;
    for (int b = kBuckets - 1; b >= 0 && (chosen < 0 || sum < target); --b) {
      if (mass[b] == 0) continue;
      chosen = b;
      before = sum;
      sum += mass[b];
    }
    if (chosen < 0) return;  // nothing has weight
    above = before;
    int64_t left = 0;
    for (int64_t k = 0; k < n; ++k) {
      const int32_t i = list[k];
      list[left] = i;
      left += bucket_of(x[i]) == chosen;
    }
    n = left;
  };
  // The high bits of many like elements fall into few buckets, each of which then waits for itself; equal steps spread.
  const T scale = T(kBuckets - 1) / (high - low);
  if (n > kMany && scale > 0 && std::isfinite(scale))
    narrow([&](T v) { return kBuckets - 1 - int(std::min((high - v) * scale, T(kBuckets - 1))); });
  for (int shift = int(sizeof(T)) * 8; shift > 0 && n > 1;) {
    shift = std::max(shift - kBits, 0);
    narrow([&](T v) { return int((key_of(v) >> shift) & (kBuckets - 1)); });
  }
  int64_t k = 0;  // all are equal now
  for (; k < n - 1; ++k)
    if ((above += weight(list[k])) >= target) break;
  return {x[list[k]], list[k]};
}

// The least number of T that is not below `bound`.
template <class T> T least_from(double bound) {
  const T rounded = T(bound);
  return double(rounded) < bound ? std::nextafter(rounded, std::numeric_limits<T>::infinity()) : rounded;
}

template <class T> struct Options {
  T temperature;
  int64_t top_k;
  double top_p, min_p;
};

template <class T> struct Row {
  const Kernels<T>& kernel;
  const Options<T>& o;
  const Buffers<T>& b;
  const T* x;
  int64_t n;
  T max;

  // The k-th largest element.
  T kth(int64_t k) const {
    // Each of k pieces with the largest maxima has an element that is not below the least of these maxima.
    T bound = -std::numeric_limits<T>::infinity();
    const auto one = [](int32_t) { return 1.; };
    const int64_t pieces = (n + kMaximumPiece - 1) / kMaximumPiece;
    if (k <= pieces) {
      kernel.maxima(x, n, b.maxima);
      for (int64_t i = 0; i < pieces; ++i) b.list[i] = int32_t(i);
      bound = select(b.maxima, bound, max, b.list, pieces, double(k), one).value;
    }
    const int64_t count = kernel.find_at_least(x, n, bound, b.list);
    return select(x, bound, max, b.list, count, double(k), one).value;
  }

  double sum_of(int64_t count) const {
    double sum = 0;
    for (int64_t k = 0; k < count; ++k) sum += double(b.weights[b.list[k]]);
    return sum;
  }

  // Puts the classes that the filters leave into `list`; returns how many there are. `total` is the sum of all weights.
  int64_t filter(double total) const {
    constexpr T kLowest = -std::numeric_limits<T>::infinity();
    T bound = o.top_k > 0 && o.top_k < n ? kth(o.top_k) : kLowest;
    const T min_bound =
        o.min_p > 0 ? std::min(max, least_from<T>(double(max) + double(o.temperature) * std::log(o.min_p))) : kLowest;
    if (o.top_p >= 1) return kernel.find_at_least(x, n, std::max(bound, min_bound), b.list);

    int64_t count;
    if (bound > kLowest) {
      count = kernel.find_at_least(x, n, bound, b.list);
      total = sum_of(count);
    } else {
      // Classes with less than an n-th of what is to be cut off add up to less than that, so none of them is needed.
      const double least = (1 - o.top_p) * total / double(n) / 2;
      bound = std::min(max, T(double(max) + double(o.temperature) * std::log(least)));
      count = kernel.find_at_least(x, n, bound, b.list);
    }
    std::copy_n(b.list, count, b.other);
    const auto weight = [&](int32_t i) { return double(b.weights[i]); };
    const Last<T> last = select(x, bound, max, b.other, count, o.top_p * total, weight);
    int64_t left = 0;
    for (int64_t k = 0; k < count; ++k) {
      const int32_t i = b.list[k];
      b.list[left] = i;
      left += last.keeps(x[i], i) && x[i] >= min_bound;
    }
    return left;
  }

  // The first class at which the sum of the weights exceeds `target`; the last one with a weight if none does.
  int64_t draw_listed(int64_t count, double target) const {
    int64_t last = b.list[0];
    double sum = 0;
    for (int64_t k = 0; k < count && sum <= target; ++k) {
      const double w = double(b.weights[b.list[k]]);
      if (w > 0) last = b.list[k];
      sum += w;
    }
    return last;
  }

  int64_t draw_any(double target) const {
    int64_t piece = 0;
    double before = 0, sum = 0;
    for (int64_t begin = 0; begin < n && sum <= target; begin += kWeightPiece) {
      const double more = b.sums[begin / kWeightPiece];
      if (more == 0) continue;
      piece = begin;
      before = sum;
      sum += more;
    }
    int64_t last = piece;
    for (int64_t i = piece; i < std::min(piece + kWeightPiece, n) && before <= target; ++i) {
      if (b.weights[i] == 0) continue;
      last = i;
      before += double(b.weights[i]);
    }
    return last;
  }

  int64_t draw(double uniform, double total) const {
    if (o.top_k == 0 && o.top_p >= 1 && o.min_p == 0) return draw_any(uniform * total);
    const int64_t count = filter(total);
    return draw_listed(count, uniform * sum_of(count));
  }
};

template <class T> void run(Call& c) {
  const Kernels<T> kernel = kernels(T());
  const int64_t rows = c.out(kIds).count(), n = c.in(kLogits).shape[-1];
  const uint64_t call = uint64_t(c.integer(kCall)), key = philox_key(c.in(kState).as<const int32_t>());
  // Finite in T, or hidden classes would have weights.
  const T temperature = T(std::min(c.number(kTemperature), double(std::numeric_limits<T>::max())));
  const Options<T> options = {temperature, c.integer(kTopK), c.number(kTopP), c.number(kMinP)};
  const T* logits = c.in(kLogits).as<const T>();
  int32_t* const ids = c.out(kIds).as<int32_t>();
  T* const log_probability = c.wants(kLogProbability) ? c.out(kLogProbability).as<T>() : nullptr;
  const int64_t slot_bytes = Buffers<T>(n).bytes, grain = 4096 / n + 1;
  std::atomic<int64_t> spoilt{rows};

  parallel_with_slots((rows + grain - 1) / grain, [&](int64_t task, int64_t slot) {
    const Buffers<T> buffers(n, c.scratch<char>() + slot * slot_bytes);
    for (int64_t r = task * grain; r < std::min(rows, (task + 1) * grain); ++r) {
      const T* x = logits + r * n;
      const T max = kernel.maximum(x, n);
      ids[r] = 0;
      if (log_probability) log_probability[r] = 0;
      if (!std::isfinite(max)) {
        for (int64_t first = spoilt; r < first && !spoilt.compare_exchange_weak(first, r);) {
        }
        continue;
      }
      double total = 0;
      if (temperature > 0) {
        const Philox bits = philox(uint64_t(r) / 2, call, key);
        const int word = int(r % 2) * 2;
        const double uniform = double((bits.v[word] | uint64_t(bits.v[word + 1]) << 32) >> 11) * 0x1p-53;
        total = kernel.weights(x, n, max, temperature, buffers.weights, buffers.sums);
        ids[r] = int32_t(Row<T>{kernel, options, buffers, x, n, max}.draw(uniform, total));
      } else {
        ids[r] = int32_t(kernel.find_above(x, 0, n, std::nextafter(max, -std::numeric_limits<T>::infinity())));
      }
      if (!log_probability) continue;
      if (temperature != 1) total = kernel.weights(x, n, max, T(1), buffers.weights, buffers.sums);
      log_probability[r] = T(double(x[ids[r]]) - double(max) - std::log(total));
    }
  });
  if (spoilt < rows)
    c.fault(concat("row ", spoilt.load(), " of logits has a NaN, or its largest element is not finite"));
}

void cpu(Call& c) {
  if (c.out(kIds).count() == 0) return;
  if (c.in(kLogits).dtype == DType::kFloat64)
    run<double>(c);
  else
    run<float>(c);
}

const Register op{{
    .name = "sample",
    .inputs = {"logits", "state"},
    .attributes = {"temperature", "top_k", "top_p", "min_p", "call"},
    .outputs = {"ids", "log_probability?"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{20.0 * double(c.in(kLogits).count())}; },
}};

}  // namespace
}  // namespace userllm

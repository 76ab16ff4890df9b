// Tensors of random numbers. Element i is a function of the generator's state, the call number and i alone.
#include <cmath>
#include <limits>
#include <numbers>

#include "core/op.h"
#include "core/random.h"
#include "devices/cpu/thread_pool.h"
#include "ops/random/random.simd.h"

namespace userllm {
namespace {

enum In { kState };
enum Attribute { kDType, kCall, kShape, kA, kB, kLow, kHigh };

void check_state(Infer& c) {
  c.require_dtype(kState, {DType::kInt32});
  c.require_shape(kState, {4}, "a generator's state");
  c.integer(kCall, 0, int64_t(1) << 53);
}

DType float_dtype(Infer& c) {
  const auto dtype = DType(c.integer(kDType, 0, kDTypes - 1));
  if (dtype != DType::kFloat32 && dtype != DType::kFloat64)
    fail(c.call, ErrorKind::kDType, "makes float32 or float64, not ", name_of(dtype));
  return dtype;
}

constexpr double kMost = std::numeric_limits<float>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kTo32 = 1 / 4294967296.0;

constexpr int64_t kWords = 2048;  // of one task

// Calls body(words, first element, elements) for pieces of the result; there are `per_element` words for each.
template <class Body> void with_words(const Call& c, int64_t per_element, const Body& body) {
  const uint64_t call = uint64_t(c.integer(kCall)), key = philox_key(c.in(kState).as<const int32_t>());
  const int64_t elements = kWords / per_element;
  parallel_ranges(c.out(0).count(), elements, [&](int64_t begin, int64_t end) {
    // Whole pairs, so that a body may work on two words at a time.
    const int64_t n = ((end - begin) * per_element + 1) & ~int64_t(1);
    uint32_t words[kWords];
    SIMD_CALL(random_words)(words, n, uint64_t(begin * per_element / 4), call, key);
    body(words, begin, end - begin);
  });
}

// Uniform in [low, high).
namespace uniform {
void infer(Infer& c) {
  check_state(c);
  const double low = c.number(kA, -kMost, kMost), high = c.number(kB, -kMost, kMost);
  if (low > high) c.fail_usage("low ", low, " must not exceed high ", high);
  c.output(0, float_dtype(c), c.sizes(kShape));
}

template <class T> void fill(const Call& c) {
  const double low = c.number(kA), width = c.number(kB) - low;
  // Rounding must not reach the upper end.
  const T last = width > 0 ? std::nextafter(T(c.number(kB)), T(low)) : T(low);
  with_words(c, sizeof(T) / 4, [&](const uint32_t* words, int64_t begin, int64_t n) {
    T* const y = c.out(0).as<T>() + begin;
    for (int64_t i = 0; i < n; ++i) {
      double u;
      if constexpr (sizeof(T) == 8)
        u = double((words[2 * i] | uint64_t(words[2 * i + 1]) << 32) >> 11) * 0x1p-53;
      else
        u = uniform_of(words[i]);
      const T value = T(low + width * u);
      y[i] = value < last ? value : last;
    }
  });
}

void cpu(Call& c) { c.out(0).dtype == DType::kFloat64 ? fill<double>(c) : fill<float>(c); }

const Register op{{
    .name = "random_uniform",
    .inputs = {"state"},
    .attributes = {"dtype", "call", "shape*", "low", "high"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
}};
}  // namespace uniform

namespace normal {
void infer(Infer& c) {
  check_state(c);
  c.number(kA, -kMost, kMost);
  c.number(kB, 0, kMost);
  c.output(0, float_dtype(c), c.sizes(kShape));
}

template <class T> void fill(const Call& c) {
  const double mean = c.number(kA), deviation = c.number(kB);
  with_words(c, 1, [&](const uint32_t* words, int64_t begin, int64_t n) {
    double numbers[kWords];
    SIMD_CALL(normal_numbers)(words, numbers, n + n % 2);
    T* const y = c.out(0).as<T>() + begin;
    for (int64_t i = 0; i < n; ++i) y[i] = T(mean + deviation * numbers[i]);
  });
}

void cpu(Call& c) { c.out(0).dtype == DType::kFloat64 ? fill<double>(c) : fill<float>(c); }

const Register op{{
    .name = "random_normal",
    .inputs = {"state"},
    .attributes = {"dtype", "call", "shape*", "mean", "std"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
}};
}  // namespace normal

// Normal within [low, high], by the inverse of the distribution function.
namespace truncated_normal {
void infer(Infer& c) {
  check_state(c);
  c.number(kA, -kMost, kMost);
  c.number(kB, 0, kMost);
  const double low = c.number(kLow, -kInfinity, kInfinity), high = c.number(kHigh, -kInfinity, kInfinity);
  if (!(low < high)) c.fail_usage("low ", low, " must be less than high ", high);
  c.output(0, float_dtype(c), c.sizes(kShape));
}

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

// Acklam's rational approximation, and a step of Halley's method that makes it exact to double precision.
double normal_quantile(double p) {
  if (p <= 0) return -kInfinity;
  if (p >= 1) return kInfinity;
  double x;
  if (p < 0.02425 || p > 1 - 0.02425) {
    const double q = std::sqrt(-2 * std::log(p < 0.5 ? p : 1 - p));
    x = (((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838) * q - 2.549732539343734) * q +
          4.374664141464968) *
             q +
         2.938163982698783) /
        ((((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996) * q + 3.754408661907416) * q +
         1);
    if (p > 0.5) x = -x;
  } else {
    const double q = p - 0.5, r = q * q;
    x = (((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r - 2.759285104469687e+02) * r +
           1.383577518672690e+02) *
              r -
          3.066479806614716e+01) *
             r +
         2.506628277459239) *
        q /
        (((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r - 1.556989798598866e+02) * r +
           6.680131188771972e+01) *
              r -
          1.328068155288572e+01) *
             r +
         1);
  }
  const double step = (normal_cdf(x) - p) * std::sqrt(2 * std::numbers::pi) * std::exp(x * x / 2);
  return x - step / (1 + x * step / 2);
}

template <class T> void fill(const Call& c) {
  const double mean = c.number(kA), deviation = c.number(kB);
  // The lower tail has the precision, so a range above the mean is mirrored.
  const double sign = c.number(kLow) > mean ? -1 : 1;
  const double ends[2] = {(c.number(kLow) - mean) / deviation, (c.number(kHigh) - mean) / deviation};
  const double from = normal_cdf(sign < 0 ? -ends[1] : ends[0]), to = normal_cdf(sign < 0 ? -ends[0] : ends[1]);
  const T low = T(c.number(kLow)), high = T(c.number(kHigh));
  with_words(c, 1, [&](const uint32_t* words, int64_t begin, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const double p = from + (words[i] + 0.5) * kTo32 * (to - from);
      const T value = deviation > 0 ? T(mean + sign * deviation * normal_quantile(p)) : T(mean);
      c.out(0).as<T>()[begin + i] = value < low ? low : value > high ? high : value;
    }
  });
}

void cpu(Call& c) { c.out(0).dtype == DType::kFloat64 ? fill<double>(c) : fill<float>(c); }

const Register op{{
    .name = "random_truncated_normal",
    .inputs = {"state"},
    .attributes = {"dtype", "call", "shape*", "mean", "std", "low", "high"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
}};
}  // namespace truncated_normal

// Whole numbers in [low, high): a word times the width, upper half. The bias is below width / 2^32.
namespace integers {
enum Attribute { kDType, kCall, kShape, kFrom, kTo };

void infer(Infer& c) {
  check_state(c);
  c.integer(kDType, int64_t(DType::kInt32), int64_t(DType::kInt32));
  const int64_t low = c.integer(kFrom, INT32_MIN, INT32_MAX), high = c.integer(kTo, INT32_MIN, int64_t(INT32_MAX) + 1);
  if (low >= high) c.fail_usage("low ", low, " must be less than high ", high);
  c.output(0, DType::kInt32, c.sizes(kShape));
}

void cpu(Call& c) {
  const int64_t low = c.integer(kFrom);
  const auto width = uint64_t(c.integer(kTo) - low);
  with_words(c, 1, [&](const uint32_t* words, int64_t begin, int64_t n) {
    auto* const y = c.out(0).as<int32_t>() + begin;
    for (int64_t i = 0; i < n; ++i) y[i] = int32_t(low + int64_t(words[i] * width >> 32));
  });
}

const Register op{{
    .name = "random_integers",
    .inputs = {"state"},
    .attributes = {"dtype", "call", "shape*", "low", "high"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
}};
}  // namespace integers

}  // namespace
}  // namespace userllm

#include "ops/cast/cast.simd.h"

namespace userllm {
namespace {

enum class BFloat16 : uint16_t {};

template <class T> inline T number(T x) { return x; }
inline float number(BFloat16 x) { return __builtin_bit_cast(float, uint32_t(x) << 16); }

// Selects instead of branches, so that the loop is vectorised: the conversion sees a number that fits.
template <class To, class From> inline To whole(From x, From lowest, From highest, To least, To most) {
  const From inside = (x > lowest) & (x < highest) ? x : From(0);
  return x >= highest ? most : x <= lowest ? least : To(inside);
}

template <class To> struct Convert;
template <> struct Convert<float> {
  template <class From> static float of(From x) { return float(number(x)); }
};
template <> struct Convert<double> {
  template <class From> static double of(From x) { return double(number(x)); }
};
template <> struct Convert<BFloat16> {
  template <class From> static BFloat16 of(From x) {
    const uint32_t u = __builtin_bit_cast(uint32_t, float(number(x)));
    const uint32_t nan = (u >> 16) | 0x40, rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    return BFloat16((u & 0x7fffffff) > 0x7f800000 ? nan : rounded);
  }
};
template <> struct Convert<int32_t> {
  static int32_t of(int32_t x) { return x; }
  static int32_t of(uint8_t x) { return x; }
  static int32_t of(float x) { return whole<int32_t>(x, -2147483648.0f, 2147483648.0f, INT32_MIN, INT32_MAX); }
  static int32_t of(double x) { return whole<int32_t>(x, -2147483648.0, 2147483647.0, INT32_MIN, INT32_MAX); }
  static int32_t of(BFloat16 x) { return of(number(x)); }
};
template <> struct Convert<uint8_t> {
  static uint8_t of(int32_t x) { return uint8_t(x < 0 ? 0 : x > 255 ? 255 : x); }
  static uint8_t of(uint8_t x) { return x; }
  static uint8_t of(float x) { return uint8_t(whole<int32_t, float>(x, 0, 255, 0, 255)); }
  static uint8_t of(double x) { return uint8_t(whole<int32_t, double>(x, 0, 255, 0, 255)); }
  static uint8_t of(BFloat16 x) { return of(number(x)); }
};

template <class From, class To> void cast(const void* x, void* to, int64_t count) {
  const From* in = static_cast<const From*>(x);
  To* __restrict out = static_cast<To*>(to);
  for (int64_t i = 0; i < count; ++i) out[i] = Convert<To>::of(in[i]);
}

template <class From> void cast_from(const void* x, Element into, void* to, int64_t count) {
  switch (into) {
    case Element::kFloat32: return cast<From, float>(x, to, count);
    case Element::kBFloat16: return cast<From, BFloat16>(x, to, count);
    case Element::kInt32: return cast<From, int32_t>(x, to, count);
    case Element::kUInt8: return cast<From, uint8_t>(x, to, count);
    case Element::kFloat64: return cast<From, double>(x, to, count);
  }
}

}  // namespace

SIMD_DEFINE(void, cast_elements, (Element from, const void* x, Element into, void* to, int64_t count)) {
  switch (from) {
    case Element::kFloat32: return cast_from<float>(x, into, to, count);
    case Element::kBFloat16: return cast_from<BFloat16>(x, into, to, count);
    case Element::kInt32: return cast_from<int32_t>(x, into, to, count);
    case Element::kUInt8: return cast_from<uint8_t>(x, into, to, count);
    case Element::kFloat64: return cast_from<double>(x, into, to, count);
  }
}

}  // namespace userllm

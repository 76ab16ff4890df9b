// Sizes of up to kMaxRank dimensions, stored inline.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>

namespace userllm {

constexpr int kMaxRank = 8;
// Larger than any tensor that fits a machine, small enough that byte counts cannot overflow.
constexpr int64_t kMaxElements = int64_t(1) << 48;

struct Shape {
  int rank = 0;
  int64_t dims[kMaxRank] = {};

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) {
    for (const int64_t size : sizes) dims[rank++] = size;
  }

  int64_t operator[](int i) const { return dims[i < 0 ? rank + i : i]; }
  int64_t& operator[](int i) { return dims[i < 0 ? rank + i : i]; }

  int64_t count() const { return product(0, rank); }
  // Product of the dimensions in [from, to).
  int64_t product(int from, int to) const {
    int64_t n = 1;
    for (int i = from; i < to; ++i) n *= dims[i];
    return n;
  }
  // Product of all but the last dimension.
  int64_t rows() const { return product(0, rank - 1); }

  void push(int64_t size) { dims[rank++] = size; }
  Shape with(int i, int64_t size) const {
    Shape s = *this;
    s[i] = size;
    return s;
  }
  Shape without(int i) const {
    Shape s;
    for (int d = 0; d < rank; ++d)
      if (d != (i < 0 ? rank + i : i)) s.push(dims[d]);
    return s;
  }

  bool operator==(const Shape& other) const {
    if (rank != other.rank) return false;
    for (int i = 0; i < rank; ++i)
      if (dims[i] != other.dims[i]) return false;
    return true;
  }
};

inline std::string to_string(const Shape& shape) {
  std::string out = "[";
  for (int i = 0; i < shape.rank; ++i) out += (i ? ", " : "") + std::to_string(shape.dims[i]);
  return out + "]";
}

}  // namespace userllm

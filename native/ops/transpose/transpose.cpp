// Dimensions in another order, copied. Where the last dimension stays, whole runs move; otherwise tiles are turned in
// a buffer, so that memory is read and written by full cache lines whatever the strides.
#include "core/op.h"
#include "devices/cpu/strided.h"

namespace userllm {
namespace {

enum In { kX };
enum Attribute { kAxes };

void infer(Infer& c) {
  const Shape& x = c.shape(kX);
  const auto axes = c.integers(kAxes, -kMaxRank, kMaxRank - 1);
  Shape shape;
  unsigned seen = 0;
  for (const int64_t axis : axes) {
    const int64_t d = axis < 0 ? axis + x.rank : axis;
    if (d < 0 || d >= x.rank || seen >> d & 1 || int(axes.size()) != x.rank) {
      std::string list;
      for (const int64_t a : axes) list += (list.empty() ? "" : ", ") + std::to_string(a);
      c.fail("axes [", list, "] must name each dimension of ", c.show(kX), " once");
    }
    seen |= 1u << d;
    shape.push(x[int(d)]);
  }
  if (int(axes.size()) != x.rank) c.fail("axes [] must name each dimension of ", c.show(kX), " once");
  c.output(0, c.in(kX).dtype, shape);
}

constexpr int64_t kTile = 32;

typedef uint32_t Quad __attribute__((vector_size(16)));
Quad load(const uint32_t* from) {
  Quad v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
void store(uint32_t* to, Quad v) { std::memcpy(to, &v, sizeof v); }

// to[p][l] = x[l * stride + p] for p < height, l < width.
template <class E> void turn(const E* x, int64_t stride, E (*to)[kTile], int64_t height, int64_t width) {
  if constexpr (sizeof(E) == 4) {
    if (height == kTile && width == kTile) {
      for (int64_t l = 0; l < kTile; l += 4)
        for (int64_t p = 0; p < kTile; p += 4) {
          const E* at = x + l * stride + p;
          const Quad a = load(at), b = load(at + stride), c = load(at + 2 * stride), d = load(at + 3 * stride);
          const Quad ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
          const Quad cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
          store(&to[p][l], __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5));
          store(&to[p + 1][l], __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7));
          store(&to[p + 2][l], __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5));
          store(&to[p + 3][l], __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7));
        }
      return;
    }
  }
  for (int64_t l = 0; l < width; ++l)
    for (int64_t p = 0; p < height; ++p) to[p][l] = x[l * stride + p];
}

template <class E> void copy_runs(const E* x, E* y, const Walk& dims) {
  const Walk rows = dims.without(dims.rank - 1);
  const int64_t run = dims.rank > 0 ? dims.sizes[dims.rank - 1] : 1;
  const int64_t bytes = run * int64_t(sizeof(E));
  parallel_ranges(rows.count(), kCopyGrainBytes / bytes + 1, [&](int64_t begin, int64_t end) {
    Walk at = rows;
    at.seek(begin);
    for (int64_t row = begin; row < end; ++row, at.next()) std::memcpy(y + row * run, x + at.offset, size_t(bytes));
  });
}

// `dims` are the result's dimensions with the strides of x.
template <class E> void transpose(const E* x, E* y, const Walk& dims) {
  const int last = dims.rank - 1;
  if (last < 0 || dims.strides[last] == 1) return copy_runs(x, y, dims);

  int64_t to_strides[kMaxRank];
  int64_t stride = 1;
  int inner = 0;  // the result's dimension that is contiguous in x
  for (int d = last; d >= 0; --d) {
    to_strides[d] = stride;
    stride *= dims.sizes[d];
    if (dims.strides[d] == 1) inner = d;
  }
  Walk from, to;  // all other dimensions
  for (int d = 0; d < last; ++d) {
    if (d == inner) continue;
    from.append(dims.sizes[d], dims.strides[d]);
    to.append(dims.sizes[d], to_strides[d]);
  }
  const int64_t height = dims.sizes[inner], width = dims.sizes[last];
  const int64_t x_stride = dims.strides[last], y_stride = to_strides[inner];
  const int64_t down = (height + kTile - 1) / kTile, across = (width + kTile - 1) / kTile;
  const int64_t tile_bytes = kTile * kTile * int64_t(sizeof(E));
  parallel_ranges(from.count() * across * down, kCopyGrainBytes / tile_bytes, [&](int64_t begin, int64_t end) {
    alignas(64) E buffer[kTile][kTile];
    Walk f = from, t = to;
    f.seek(begin / (across * down));
    t.seek(begin / (across * down));
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t l = tile / down % across * kTile, p = tile % down * kTile;
      const int64_t rows = height - p < kTile ? height - p : kTile, columns = width - l < kTile ? width - l : kTile;
      turn(x + f.offset + l * x_stride + p, x_stride, buffer, rows, columns);
      E* const corner = y + t.offset + p * y_stride + l;
      if (columns == kTile)
        for (int64_t i = 0; i < rows; ++i) std::memcpy(corner + i * y_stride, buffer[i], sizeof buffer[i]);
      else
        for (int64_t i = 0; i < rows; ++i) std::memcpy(corner + i * y_stride, buffer[i], size_t(columns) * sizeof(E));
      if (tile % (across * down) == across * down - 1) {
        f.next();
        t.next();
      }
    }
  });
}

void transpose_cpu(Call& c) {
  const TensorRef &x = c.in(kX), &y = c.out(0);
  if (x.count() == 0) return;
  Walk dims;
  for (const double axis : c.numbers(kAxes)) {
    const int d = int(axis) + (axis < 0 ? x.shape.rank : 0);
    dims.push(x.shape[d], x.shape.product(d + 1, x.shape.rank));
  }
  switch (size_of(x.dtype)) {
    case 1: return transpose(x.as<const uint8_t>(), y.as<uint8_t>(), dims);
    case 2: return transpose(x.as<const uint16_t>(), y.as<uint16_t>(), dims);
    case 4: return transpose(x.as<const uint32_t>(), y.as<uint32_t>(), dims);
    case 8: return transpose(x.as<const uint64_t>(), y.as<uint64_t>(), dims);
  }
}

const Register op{{
    .name = "transpose",
    .inputs = {"x"},
    .attributes = {"axes*"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = transpose_cpu,
}};

}  // namespace
}  // namespace userllm

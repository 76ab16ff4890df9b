// A copy in which dimensions of size 1, and missing leading ones, are repeated.
#include "core/op.h"
#include "devices/cpu/strided.h"

namespace userllm {
namespace {

enum In { kX };
enum Attribute { kShape };

void infer(Infer& c) {
  const Shape &x = c.shape(kX), shape = c.sizes(kShape);
  bool fits = x.rank <= shape.rank;
  for (int d = 1; fits && d <= x.rank; ++d) fits = x[-d] == 1 || x[-d] == shape[-d];
  if (!fits) c.fail(c.show(kX), " does not broadcast to ", to_string(shape));
  c.output(0, c.in(kX).dtype, shape);
}

// `dims` are the result's dimensions with the strides of x, 0 where it repeats.
template <class E> void broadcast(const E* x, E* y, const Walk& dims) {
  const Walk rows = dims.without(dims.rank - 1);
  const int64_t run = dims.rank > 0 ? dims.sizes[dims.rank - 1] : 1;
  const bool repeats = dims.rank > 0 && dims.strides[dims.rank - 1] == 0;
  parallel_ranges(dims.count(), kCopyGrainBytes / int64_t(sizeof(E)), [&](int64_t begin, int64_t end) {
    Walk row = rows;
    row.seek(begin / run);
    for (int64_t i = begin; i < end; row.next()) {
      const int64_t column = i % run;
      const int64_t length = run - column < end - i ? run - column : end - i;
      const E* from = x + row.offset;
      if (repeats)
        for (int64_t k = 0; k < length; ++k) y[i + k] = *from;
      else
        std::memcpy(y + i, from + column, size_t(length) * sizeof(E));
      i += length;
    }
  });
}

void broadcast_to_cpu(Call& c) {
  const TensorRef &x = c.in(kX), &y = c.out(0);
  if (y.count() == 0) return;
  Walk dims;
  for (int d = -y.shape.rank; d < 0; ++d) {
    const bool repeats = -d > x.shape.rank || x.shape[d] == 1;
    dims.push(y.shape[d], repeats ? 0 : x.shape.product(x.shape.rank + d + 1, x.shape.rank));
  }
  switch (size_of(x.dtype)) {
    case 1: return broadcast(x.as<const uint8_t>(), y.as<uint8_t>(), dims);
    case 2: return broadcast(x.as<const uint16_t>(), y.as<uint16_t>(), dims);
    case 4: return broadcast(x.as<const uint32_t>(), y.as<uint32_t>(), dims);
    case 8: return broadcast(x.as<const uint64_t>(), y.as<uint64_t>(), dims);
  }
}

const Register op{{
    .name = "broadcast_to",
    .inputs = {"x"},
    .attributes = {"shape*"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = broadcast_to_cpu,
}};

}  // namespace
}  // namespace userllm

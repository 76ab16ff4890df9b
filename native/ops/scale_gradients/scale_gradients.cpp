// gradients *= by, in place: what is left to do when a loss has made its gradients for an upstream gradient of 1.
#include "core/op.h"
#include "devices/cpu/tensor_list.h"

namespace userllm {
namespace {

enum In { kGradients, kBy };

void infer(Infer& c) {
  require_one_float_dtype(c, kGradients);
  c.require_same_dtype(kGradients, kBy);
  if (c.in(kBy).count() != 1) c.fail(c.show(kBy), " must have one element");
  require_no_shared_memory(c, {kGradients}, {kBy});
  c.scratch(TensorList::scratch_bytes(c.list(kGradients)));
}

template <class T> void scale(Call& c) {
  const T by = *c.in(kBy).as<T>();
  if (by == 1) return;  // the loss itself is what is differentiated: nearly always
  const auto gradients = c.list(kGradients);
  const TensorList list(gradients, c.scratch<int64_t>());
  list.for_pieces([&](int64_t, size_t i, int64_t from, int64_t count) {
    T* gradient = gradients[i].as<T>() + from;
    for (int64_t k = 0; k < count; ++k) gradient[k] *= by;
  });
}

const Register op{{
    .name = "scale_gradients",
    .inputs = {"gradients*", "by"},
    .infer = infer,
    .cpu = [](Call& c) { c.in(kBy).dtype == DType::kFloat64 ? scale<double>(c) : scale<float>(c); },
    .work =
        [](const Call& c) {
          double elements = 0;
          for (const TensorRef& t : c.list(kGradients)) elements += double(t.count());
          return Work{elements, 8 * elements};
        },
    .mutates = {kGradients},
}};

}  // namespace
}  // namespace userllm

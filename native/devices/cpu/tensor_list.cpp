#include "devices/cpu/tensor_list.h"

#include <functional>
#include <string>
#include <vector>

namespace userllm {
namespace {

// A tensor of a list; an input that is no list by its name alone.
std::string nth(const Infer& c, int i, size_t at) {
  return c.call.op->inputs[i].ends_with('*') ? concat(c.name(i), "[", at, "]") : c.name(i);
}

}  // namespace

void require_one_float_dtype(const Infer& c, int i) {
  c.require_float(i);
  const auto tensors = c.list(i);
  for (size_t at = 1; at < tensors.size(); ++at)
    if (tensors[at].dtype != tensors[0].dtype)
      fail(c.call, ErrorKind::kDType, nth(c, i, at), " is ", name_of(tensors[at].dtype), " and ", nth(c, i, 0), " is ",
           name_of(tensors[0].dtype), "; they must be the same");
}

void require_same_list(const Infer& c, int i, int j) {
  const auto a = c.list(i), b = c.list(j);
  if (a.size() != b.size())
    c.fail(c.name(i), " and ", c.name(j), " must be lists of the same length (", a.size(), " vs ", b.size(), ")");
  for (size_t at = 0; at < a.size(); ++at) {
    if (!(a[at].shape == b[at].shape))
      c.fail(nth(c, i, at), " ", to_string(a[at].shape), " and ", nth(c, j, at), " ", to_string(b[at].shape),
             " must have the same shape");
    if (a[at].dtype != b[at].dtype)
      fail(c.call, ErrorKind::kDType, nth(c, j, at), " is ", name_of(b[at].dtype), " and ", nth(c, i, at), " is ",
           name_of(a[at].dtype), "; they must be the same");
  }
}

void require_no_shared_memory(const Infer& c, std::initializer_list<int> changed, std::initializer_list<int> read) {
  struct Use {
    const Storage* storage;
    bool changed;
    int input;
    size_t at;
  };
  std::vector<Use> uses;
  const auto add = [&](std::initializer_list<int> inputs, bool are_changed) {
    for (const int i : inputs) {
      const auto tensors = c.list(i);
      for (size_t at = 0; at < tensors.size(); ++at)
        if (tensors[at].count()) uses.push_back({tensors[at].storage, are_changed, i, at});
    }
  };
  add(changed, true);
  add(read, false);
  // Changed ones first within a storage: it is enough to look at neighbours.
  std::sort(uses.begin(), uses.end(), [](const Use& a, const Use& b) {
    if (a.storage != b.storage) return std::less<>()(a.storage, b.storage);
    if (a.changed != b.changed) return a.changed;
    return a.input != b.input ? a.input < b.input : a.at < b.at;
  });
  for (size_t k = 1; k < uses.size(); ++k)
    if (uses[k].storage == uses[k - 1].storage && uses[k - 1].changed)
      c.fail_usage(nth(c, uses[k - 1].input, uses[k - 1].at), " and ", nth(c, uses[k].input, uses[k].at),
                   " share memory; what the op changes must be its own");
}

}  // namespace userllm

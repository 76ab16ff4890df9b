// An op: a name, a signature, one rule that checks a call and sizes its outputs, and one kernel per device.
// Registration is the declaration; nothing else in the project lists ops.
#pragma once
#include <atomic>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/storage.h"
#include "core/sync.h"

namespace userllm {

class Allocator;
class Call;
class Infer;

// What a call needs by its definition, whatever its kernel does: a multiply-add is two operations, and what is masked,
// padding or ignored is none.
struct Work {
  double flops = 0;
  double bytes = 0;  // 0: inputs + outputs, once each
};

// What a fault in an input does to the tensors that an op changes in place.
enum class OnFault {
  kPoison,  // they become poisoned too (gradient accumulation)
  kKeep,    // they stay as they are (an optimizer step changes nothing)
};

struct OpDef {
  std::string name;
  // `x` is required, `bias?` may be absent, `parts*` is a list.
  std::vector<std::string> inputs;
  // Numbers in wire order; `axes*` is a list.
  std::vector<std::string> attributes;
  // `result` is always made, `bias_grad?` only when the caller wants it.
  std::vector<std::string> outputs;
  // Checks the call and declares its outputs. Calling thread, before anything is enqueued.
  void (*infer)(Infer&) = nullptr;
  // Stream thread. Trusts shapes, never values.
  void (*cpu)(Call&) = nullptr;
  // Arithmetic of one call, for profiles and counts; an op without it only moves data. Stream thread, after the kernel:
  // it may read the inputs' values, but not trust them.
  Work (*work)(const Call&) = nullptr;
  // Inputs changed in place.
  std::vector<int> mutates;
  OnFault on_fault = OnFault::kPoison;
};

// A declared name without its mark.
std::string plain_name(const std::string& name);

// All ops, sorted by name once the library is loaded; the position is the op's number.
const std::vector<const OpDef*>& all_ops();
const OpDef* find_op(const std::string& name);

struct Register {
  explicit Register(OpDef op);
};

// One call of an op: what a kernel sees.
class Call {
 public:
  Call() = default;
  Call(const Call&) = delete;
  ~Call();

  const OpDef* op = nullptr;

  const TensorRef& in(int i) const {
    static const TensorRef absent;
    return in_start_[i] == in_start_[i + 1] ? absent : in_[in_start_[i]];
  }
  std::span<const TensorRef> list(int i) const { return {in_.data() + in_start_[i], in_.data() + in_start_[i + 1]}; }
  const TensorRef& out(int i) const { return out_[i]; }
  // Whether the caller asked for optional output `i`.
  bool wants(int i) const { return wanted_ >> i & 1; }

  double number(int i) const { return attributes_[attribute_start_[i]]; }
  int64_t integer(int i) const { return int64_t(number(i)); }
  bool flag(int i) const { return number(i) != 0; }
  std::span<const double> numbers(int i) const {
    return {attributes_.data() + attribute_start_[i], attributes_.data() + attribute_start_[i + 1]};
  }

  template <class T> T* scratch() const { return static_cast<T*>(scratch_); }
  // The repacked weight that `Infer::pack` asked for, with whether it must be written first.
  void* pack() const { return pack_ ? pack_->data : nullptr; }
  bool pack_is_stale() const { return pack_->version != pack_owner_->version; }
  void pack_is_fresh() const { pack_->version = pack_owner_->version; }

  // Reports that element `position` of input `input` holds `value`, outside [0, limit). Any thread; the lowest
  // position wins, so the message does not depend on the schedule.
  void index_fault(int input, int64_t position, int64_t value, int64_t limit);
  // Reports any other value that a kernel cannot work with; the first one wins.
  void fault(const std::string& message);

  // "name [shape], name [shape]" for messages.
  std::string describe() const;

 private:
  friend class Infer;
  friend class Stream;
  friend class Environment;

  std::vector<TensorRef> in_, out_;
  std::vector<uint32_t> in_start_;  // declared input i is in_[in_start_[i] .. in_start_[i + 1])
  std::vector<double> attributes_;
  std::vector<uint32_t> attribute_start_;
  uint32_t wanted_ = 0;    // optional outputs the caller asked for
  uint32_t declared_ = 0;  // outputs that infer declared
  bool holds_ = false;     // references to the storages of in_ and out_
  void* scratch_ = nullptr;
  Pack* pack_ = nullptr;
  Storage* pack_owner_ = nullptr;

  std::atomic<int64_t> fault_position_{INT64_MAX};
  std::string fault_message_;
  Mutex fault_mutex_;
};

// Fails the call: "op: parts". Only in `infer`.
template <class... Parts> [[noreturn]] void fail(const Call& call, ErrorKind kind, const Parts&... parts) {
  throw UserError(kind, concat(call.op->name, ": ", parts...));
}

// The checks of a call, and the declaration of its outputs.
class Infer {
 public:
  explicit Infer(Call& call_) : call(call_) {}
  Call& call;

  const TensorRef& in(int i) const { return call.in(i); }
  const Shape& shape(int i) const { return call.in(i).shape; }
  std::span<const TensorRef> list(int i) const { return call.list(i); }
  std::string name(int i) const;  // of an input, without its mark
  // "name [shape]"
  std::string show(int i) const { return name(i) + " " + to_string(shape(i)); }

  template <class... Parts> [[noreturn]] void fail(const Parts&... parts) const {
    userllm::fail(call, ErrorKind::kShape, parts...);
  }
  template <class... Parts> [[noreturn]] void fail_usage(const Parts&... parts) const {
    userllm::fail(call, ErrorKind::kUsage, parts...);
  }

  void require_rank(int i, int rank, const char* layout) const;
  void require_rank_at_least(int i, int rank, const char* layout) const;
  // Dimension di of input i equals dimension dj of input j; `what` names it.
  void require_same(int i, int di, int j, int dj, const char* what) const;
  void require_same_shape(int i, int j) const;
  void require_shape(int i, const Shape& shape, const char* why) const;
  void require_dtype(int i, std::initializer_list<DType> allowed) const;
  void require_same_dtype(int i, int j) const;
  // The dtype rules of most ops: any input that is present.
  void require_float(int i) const { require_dtype(i, {DType::kFloat32, DType::kFloat64}); }

  // Attributes, checked against a closed range. NaN is never in range.
  double number(int i, double low, double high) const;
  int64_t integer(int i, int64_t low, int64_t high) const;
  bool flag(int i) const { return integer(i, 0, 1) != 0; }
  // A dimension of `rank`, negative counting from the end; returns it counted from the start.
  int axis(int i, int rank) const;
  // Every number of a list attribute as an integer in the range.
  std::vector<int64_t> integers(int i, int64_t low, int64_t high) const;
  // A list attribute as a shape.
  Shape sizes(int i) const;

  // Declares output i. Optional ones that nobody wants are skipped.
  void output(int i, DType dtype, const Shape& shape);
  void scratch(size_t bytes) { scratch_bytes = bytes; }
  // Asks for a cached repacking of input i: `key` names the layout, `bytes` its size.
  void pack(int i, int64_t key, size_t bytes) {
    pack_input = i;
    pack_key = key;
    pack_bytes = bytes;
  }

  size_t scratch_bytes = 0;
  int pack_input = -1;
  int64_t pack_key = 0;
  size_t pack_bytes = 0;

 private:
  double checked(size_t index, int i, double low, double high, bool whole) const;
};

}  // namespace userllm

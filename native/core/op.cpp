#include "core/op.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace userllm {
namespace {

std::vector<const OpDef*>& registry() {
  static auto* ops = new std::vector<const OpDef*>;  // leaks on purpose: outlives every environment
  return *ops;
}

}  // namespace

std::string plain_name(const std::string& name) {
  return name.back() == '?' || name.back() == '*' ? name.substr(0, name.size() - 1) : name;
}

Register::Register(OpDef op) {
  auto& ops = registry();
  const auto at = std::lower_bound(ops.begin(), ops.end(), op.name,
                                   [](const OpDef* a, const std::string& name) { return a->name < name; });
  if (at != ops.end() && (*at)->name == op.name) {
    std::fprintf(stderr, "user-llm: op %s is declared twice\n", op.name.c_str());
    return;
  }
  ops.insert(at, new OpDef(std::move(op)));
}

const std::vector<const OpDef*>& all_ops() { return registry(); }

const OpDef* find_op(const std::string& name) {
  for (const OpDef* op : registry())
    if (op->name == name) return op;
  return nullptr;
}

Call::~Call() {
  if (!holds_) return;
  for (const TensorRef& t : in_) t.storage->drop();
  for (const TensorRef& t : out_)
    if (t.storage) t.storage->drop();
}

void Call::index_fault(int input, int64_t position, int64_t value, int64_t limit) {
  Lock lock(fault_mutex_);
  if (position >= fault_position_.load(std::memory_order_relaxed)) return;
  fault_position_.store(position, std::memory_order_relaxed);
  fault_message_ = concat(plain_name(op->inputs[input]), "[", position, "] = ", value, " must be in [0, ", limit, ")");
}

void Call::fault(const std::string& message) {
  Lock lock(fault_mutex_);
  if (fault_position_.load(std::memory_order_relaxed) != INT64_MAX) return;
  fault_position_.store(-1, std::memory_order_relaxed);
  fault_message_ = message;
}

std::string Call::describe() const {
  std::string text;
  for (size_t i = 0; i < op->inputs.size(); ++i) {
    const auto tensors = list(int(i));
    if (tensors.empty()) continue;
    text += (text.empty() ? "" : ", ") + plain_name(op->inputs[i]) + " " + to_string(tensors[0].shape);
    if (tensors.size() > 1) text += " and " + std::to_string(tensors.size() - 1) + " more";
  }
  return text;
}

std::string Infer::name(int i) const { return plain_name(call.op->inputs[i]); }

void Infer::require_rank(int i, int rank, const char* layout) const {
  if (in(i) && shape(i).rank != rank) fail(name(i), " must be ", layout, ", got ", to_string(shape(i)));
}

void Infer::require_rank_at_least(int i, int rank, const char* layout) const {
  if (in(i) && shape(i).rank < rank) fail(name(i), " must be ", layout, ", got ", to_string(shape(i)));
}

void Infer::require_same(int i, int di, int j, int dj, const char* what) const {
  if (!in(i) || !in(j)) return;
  if (shape(i)[di] != shape(j)[dj])
    fail(show(i), " and ", show(j), " must have the same ", what, " (", shape(i)[di], " vs ", shape(j)[dj], ")");
}

void Infer::require_same_shape(int i, int j) const {
  if (in(i) && in(j) && !(shape(i) == shape(j))) fail(show(i), " and ", show(j), " must have the same shape");
}

void Infer::require_shape(int i, const Shape& wanted, const char* why) const {
  if (in(i) && !(shape(i) == wanted)) fail(show(i), " must be ", to_string(wanted), ", ", why);
}

void Infer::require_dtype(int i, std::initializer_list<DType> allowed) const {
  for (const TensorRef& t : list(i)) {
    if (std::find(allowed.begin(), allowed.end(), t.dtype) != allowed.end()) continue;
    std::string names;
    for (const DType dtype : allowed) names += (names.empty() ? "" : " or ") + std::string(name_of(dtype));
    userllm::fail(call, ErrorKind::kDType, name(i), " is ", name_of(t.dtype), ", must be ", names);
  }
}

void Infer::require_same_dtype(int i, int j) const {
  if (in(i) && in(j) && in(i).dtype != in(j).dtype)
    userllm::fail(call, ErrorKind::kDType, name(i), " is ", name_of(in(i).dtype), " and ", name(j), " is ",
                  name_of(in(j).dtype), "; they must be the same");
}

double Infer::checked(size_t index, int i, double low, double high, bool whole) const {
  const double value = call.attributes_[index];
  if (!(value >= low && value <= high) || (whole && value != std::trunc(value)))
    fail_usage(plain_name(call.op->attributes[i]), " must be ", whole ? "a whole number" : "a number", " from ", low,
               " to ", high, ", got ", value);
  return value;
}

double Infer::number(int i, double low, double high) const {
  return checked(call.attribute_start_[i], i, low, high, false);
}

int64_t Infer::integer(int i, int64_t low, int64_t high) const {
  return int64_t(checked(call.attribute_start_[i], i, double(low), double(high), true));
}

int Infer::axis(int i, int rank) const {
  const int64_t axis = integer(i, -kMaxRank, kMaxRank - 1);
  if (axis < -rank || axis >= rank)
    fail(plain_name(call.op->attributes[i]), " ", axis, " is not a dimension of ", show(0), " (rank ", rank, ")");
  return int(axis < 0 ? axis + rank : axis);
}

std::vector<int64_t> Infer::integers(int i, int64_t low, int64_t high) const {
  std::vector<int64_t> values;
  for (size_t k = call.attribute_start_[i]; k < call.attribute_start_[i + 1]; ++k)
    values.push_back(int64_t(checked(k, i, double(low), double(high), true)));
  return values;
}

Shape Infer::sizes(int i) const {
  const auto values = integers(i, 0, kMaxElements);
  if (values.size() > size_t(kMaxRank)) fail("a tensor has at most ", kMaxRank, " dimensions, got ", values.size());
  Shape shape;
  for (const int64_t size : values) shape.push(size);
  return shape;
}

void Infer::output(int i, DType dtype, const Shape& shape) {
  double elements = 1;
  for (int d = 0; d < shape.rank; ++d) elements *= double(shape[d]);
  if (elements > double(kMaxElements)) fail("the result ", to_string(shape), " is too large");
  if (call.op->outputs[i].back() == '?' && !(call.wanted_ >> i & 1)) return;
  call.out_[i].dtype = dtype;
  call.out_[i].shape = shape;
  call.declared_ |= 1u << i;
}

}  // namespace userllm

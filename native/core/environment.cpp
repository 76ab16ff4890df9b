#include "core/environment.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace userllm {
namespace {

constexpr uint32_t kIndexBits = 24;
constexpr double kIndexSpan = double(1u << kIndexBits);
constexpr uint32_t kGenerations = 1u << 28;

bool variable(const std::string& name) { return name.back() == '*'; }

}  // namespace

// Generations start elsewhere in each environment, so that a handle from another one is not taken for one of ours.
Environment::Environment()
    : allocator([this](void* block, size_t bytes) {
        // The task owns the block, so that it is freed even when the queue is dropped.
        const std::shared_ptr<void> owned(block, [bytes](void* b) { Allocator::free_block(b, bytes); });
        enqueue([owned] {});
      }),
      slots_(1) {
  static std::atomic<uint32_t> environments{0};
  first_generation_ = (environments.fetch_add(1) * 40'503u * 4'099u + 1) % kGenerations;
  const char* sync = std::getenv("USER_LLM_SYNC");
  synchronous = sync && *sync && *sync != '0';
  const char* check = std::getenv("USER_LLM_CHECK");
  stream.check_nan = check && std::string(check) == "nan";
  const char* profile = std::getenv("USER_LLM_PROFILE");
  stream.profiling = profile && *profile && *profile != '0';
}

Environment::~Environment() { close(); }

void Environment::close() {
  stream.close();
  for (Slot& slot : slots_)
    if (slot.tensor) {
      release_storage(slot.tensor.storage);
      slot.tensor = {};
    }
}

void Environment::enqueue(std::function<void()> action) {
  auto task = std::make_unique<Task>();
  task->action = std::move(action);
  stream.enqueue(std::move(task));
}

Environment::Slot* Environment::find(Handle handle) {
  if (!(handle >= 1 && handle < double(kGenerations) * kIndexSpan)) return nullptr;
  const auto whole = uint64_t(handle);
  const uint64_t index = whole & ((1u << kIndexBits) - 1), generation = whole >> kIndexBits;
  if (double(whole) != handle || index >= slots_.size()) return nullptr;
  Slot& slot = slots_[index];
  return slot.tensor && slot.generation == generation ? &slot : nullptr;
}

Environment::Slot& Environment::require(Handle handle, const char* what) {
  if (Slot* slot = find(handle)) return *slot;
  throw UserError(ErrorKind::kUsage,
                  concat(what, " is not a live tensor of this thread (disposed, or of another worker)"));
}

void Environment::require_room(size_t tensors) const {
  if (tensors > spare_.size() + (size_t(kIndexSpan) - slots_.size()))
    throw UserError(ErrorKind::kUsage,
                    concat(live_, " tensors are live, the most there can be; dispose some, or use tidy()"));
}

Environment::Output Environment::adopt(const TensorRef& tensor) {
  uint32_t index;
  if (spare_.empty()) {
    index = uint32_t(slots_.size());
    slots_.push_back({{}, first_generation_});
  } else {
    index = spare_.back();
    spare_.pop_back();
  }
  slots_[index].tensor = tensor;
  ++live_;
  return {double(slots_[index].generation) * kIndexSpan + index, tensor};
}

Storage* Environment::new_storage(size_t bytes) {
  auto storage = std::make_unique<Storage>();
  storage->data = allocator.allocate(bytes);
  storage->bytes = bytes;
  storage->handles = 1;
  return storage.release();
}

void Environment::release_storage(Storage* storage) {
  if (--storage->handles) return;
  allocator.release(storage->data, storage->bytes);
  for (const auto& pack : storage->packs) allocator.release(pack->data, pack->bytes);
  storage->drop();
}

void Environment::release(Handle handle) {
  Slot& s = require(handle, "dispose: the tensor");
  release_storage(s.tensor.storage);
  s.tensor = {};
  s.generation = (s.generation + 1) % kGenerations;
  spare_.push_back(uint32_t(&s - slots_.data()));
  --live_;
}

void Environment::read_wire(Call& call, std::span<const double> wire) {
  const OpDef& op = *call.op;
  size_t at = 0;
  const auto next = [&]() {
    if (at >= wire.size()) throw UserError(ErrorKind::kUsage, concat(op.name, ": the call is too short"));
    return wire[at++];
  };
  const auto length = [&](const std::string& name) {
    const double n = next();
    if (!(n >= 0 && n <= double(wire.size() - at)))
      throw UserError(ErrorKind::kUsage, concat(op.name, ": ", plain_name(name), " has an impossible length ", n));
    return size_t(n);
  };

  call.in_start_.push_back(0);
  for (const std::string& name : op.inputs) {
    const bool many = variable(name);
    for (size_t n = many ? length(name) : 1; n > 0; --n) {
      const Handle handle = next();
      if (handle == 0 && name.back() == '?') continue;
      const Slot* slot = find(handle);
      if (!slot) require(handle, concat(op.name, ": ", plain_name(name)).c_str());
      call.in_.push_back(slot->tensor);
    }
    call.in_start_.push_back(uint32_t(call.in_.size()));
  }
  call.attribute_start_.push_back(0);
  for (const std::string& name : op.attributes) {
    for (size_t n = variable(name) ? length(name) : 1; n > 0; --n) call.attributes_.push_back(next());
    call.attribute_start_.push_back(uint32_t(call.attributes_.size()));
  }
  const double wanted = next();
  if (!(wanted >= 0 && wanted < double(1u << 31)))
    throw UserError(ErrorKind::kUsage, concat(op.name, ": the set of wanted outputs is not valid"));
  call.wanted_ = uint32_t(wanted);
  if (at != wire.size()) throw UserError(ErrorKind::kUsage, concat(op.name, ": the call is too long"));
  call.out_.resize(op.outputs.size());
}

// Everything that can fail happens before the first lasting change: a call that throws leaves nothing behind.
void Environment::allocate_outputs(Call& call, const Infer& infer) {
  size_t made = 0;
  Storage* packed = nullptr;
  try {
    for (; made < call.out_.size(); ++made) {
      TensorRef& out = call.out_[made];
      if (!(call.declared_ >> made & 1)) continue;
      out.storage = new_storage(out.bytes());
      out.data = out.storage->data;
    }
    if (infer.pack_bytes) {
      packed = call.in(infer.pack_input).storage;
      const auto found = std::find_if(packed->packs.begin(), packed->packs.end(),
                                      [&](const auto& pack) { return pack->key == infer.pack_key; });
      if (found != packed->packs.end()) {
        call.pack_ = found->get();
      } else {
        auto pack =
            std::make_unique<Pack>(Pack{infer.pack_key, allocator.allocate(infer.pack_bytes), infer.pack_bytes, 0});
        call.pack_ = pack.get();
        packed->packs.push_back(std::move(pack));
      }
      call.pack_owner_ = packed;
    }
    if (infer.scratch_bytes) call.scratch_ = allocator.allocate(infer.scratch_bytes);
  } catch (...) {
    for (size_t i = 0; i < call.out_.size(); ++i)
      if (call.out_[i].storage) release_storage(call.out_[i].storage);
    throw;
  }
}

std::vector<Environment::Output> Environment::run(const OpDef& op, std::span<const double> wire) {
  auto task = std::make_unique<Task>();
  Call& call = task->call;
  call.op = &op;
  read_wire(call, wire);
  Infer infer(call);
  op.infer(infer);
  require_room(call.out_.size());
  allocate_outputs(call, infer);

  std::vector<Output> outputs(call.out_.size());
  for (size_t i = 0; i < call.out_.size(); ++i)
    if (call.out_[i].storage) outputs[i] = adopt(call.out_[i]);
  for (const TensorRef& t : call.in_) t.storage->retain();
  for (const TensorRef& t : call.out_)
    if (t.storage) t.storage->retain();
  call.holds_ = true;
  task->number = ++ops_;
  void* const scratch = call.scratch_;
  stream.enqueue(std::move(task));
  if (scratch) allocator.release(scratch, infer.scratch_bytes);  // the next op of this stream may have it

  if (synchronous) {
    stream.drain();
    for (const Output& out : outputs)
      if (out.handle && out.tensor.storage->fault) {
        const std::string message = out.tensor.storage->fault->message;
        for (const Output& made : outputs)
          if (made.handle) release(made.handle);
        throw UserError(ErrorKind::kNative, message);
      }
  }
  return outputs;
}

Shape Environment::sizes(const char* what, std::span<const double> sizes) const {
  if (sizes.size() > size_t(kMaxRank))
    throw UserError(ErrorKind::kShape,
                    concat(what, ": a tensor has at most ", kMaxRank, " dimensions, got ", sizes.size()));
  Shape shape;
  double elements = 1;
  for (const double size : sizes) {
    if (!(size >= 0 && size == std::trunc(size)))
      throw UserError(ErrorKind::kShape, concat(what, ": a dimension must be a whole number from 0 on, got ", size));
    elements *= size;
    if (size > double(kMaxElements) || elements > double(kMaxElements))
      throw UserError(ErrorKind::kShape, concat(what, ": the shape has too many elements"));
    shape.push(int64_t(size));
  }
  return shape;
}

Environment::Output Environment::view(Handle handle, double offset, std::span<const double> wanted) {
  TensorRef tensor = require(handle, "view: the tensor").tensor;
  const Shape shape = sizes("view", wanted);
  if (!(offset >= 0 && offset == std::trunc(offset) && offset + double(shape.count()) <= double(tensor.count())))
    throw UserError(ErrorKind::kShape, concat("view: ", to_string(shape), " from element ", offset,
                                              " on does not fit in ", to_string(tensor.shape)));
  tensor.shape = shape;
  tensor.data = static_cast<char*>(tensor.data) + size_t(offset) * size_of(tensor.dtype);
  require_room(1);
  ++tensor.storage->handles;
  return adopt(tensor);
}

Environment::Output Environment::upload(DType dtype, std::span<const double> wanted, const void* data, size_t bytes) {
  TensorRef tensor;
  tensor.dtype = dtype;
  tensor.shape = sizes("tensor", wanted);
  if (tensor.bytes() != bytes)
    throw UserError(ErrorKind::kShape, concat("tensor: ", to_string(tensor.shape), " of ", name_of(dtype), " takes ",
                                              tensor.bytes(), " bytes, got ", bytes));
  require_room(1);
  tensor.storage = new_storage(bytes);
  tensor.data = tensor.storage->data;
  const Output output = adopt(tensor);
  if (bytes) {
    auto staging = std::make_shared<std::vector<uint8_t>>(static_cast<const uint8_t*>(data),
                                                          static_cast<const uint8_t*>(data) + bytes);
    enqueue([staging, to = tensor.data, bytes] { std::memcpy(to, staging->data(), bytes); });
  }
  return output;
}

void Environment::read(Handle handle, std::function<void(ReadResult)> done) {
  const TensorRef tensor = require(handle, "data: the tensor").tensor;
  tensor.storage->retain();
  // Owned by the task, so that the storage is let go even when the queue is dropped.
  const std::shared_ptr<Storage> storage(tensor.storage, [](Storage* s) { s->drop(); });
  enqueue([tensor, storage, done = std::move(done)] {
    ReadResult result;
    result.fault = storage->fault;
    if (!result.fault) result.bytes.assign(tensor.as<uint8_t>(), tensor.as<uint8_t>() + tensor.bytes());
    done(std::move(result));
  });
}

void Environment::fence(std::function<void()> done) { enqueue(std::move(done)); }

}  // namespace userllm

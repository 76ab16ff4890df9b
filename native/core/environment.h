// Everything one Node environment owns: tensors behind generation-checked handles, their memory, their stream.
// All members are called from the environment's own thread.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "core/allocator.h"
#include "core/op.h"
#include "core/stream.h"

namespace userllm {

// A handle is generation * 2^24 + index: whole numbers that a JavaScript number holds exactly. 0 means absent.
using Handle = double;

class Environment {
 public:
  Environment();
  ~Environment();
  Environment(const Environment&) = delete;

  struct Output {
    Handle handle = 0;
    TensorRef tensor;
  };

  // Runs `op` with the call that `wire` spells out (inputs, attributes, wanted outputs; lists are preceded by their
  // length): checks it, allocates, enqueues. Throws UserError, and then nothing has happened.
  std::vector<Output> run(const OpDef& op, std::span<const double> wire);
  // A new handle on the same memory: `shape` from `offset` elements on.
  Output view(Handle handle, double offset, std::span<const double> sizes);
  // Copies `bytes` from host memory into a new tensor, in stream order.
  Output upload(DType dtype, std::span<const double> sizes, const void* data, size_t bytes);
  void release(Handle handle);

  struct ReadResult {
    std::vector<uint8_t> bytes;  // of the tensor, row-major
    std::shared_ptr<const Fault> fault;
  };
  // Calls `done` on the stream thread once everything before has run.
  void read(Handle handle, std::function<void(ReadResult)> done);
  // The same, without waiting for the bytes of a tensor.
  void fence(std::function<void()> done);

  Allocator allocator;
  Stream stream;
  bool synchronous = false;  // USER_LLM_SYNC: every op runs to completion inside the call
  uint64_t tensors() const { return live_; }
  void close();

 private:
  struct Slot {
    TensorRef tensor;
    uint32_t generation = 0;
  };

  Slot* find(Handle handle);
  Slot& require(Handle handle, const char* what);
  void require_room(size_t tensors) const;
  Output adopt(const TensorRef& tensor);
  Storage* new_storage(size_t bytes);
  void release_storage(Storage* storage);
  void enqueue(std::function<void()> action);
  void read_wire(Call& call, std::span<const double> wire);
  void allocate_outputs(Call& call, const Infer& infer);
  Shape sizes(const char* what, std::span<const double> sizes) const;

  std::vector<Slot> slots_;
  std::vector<uint32_t> spare_;
  uint32_t first_generation_;
  uint64_t live_ = 0;
  uint64_t ops_ = 0;
};

}  // namespace userllm

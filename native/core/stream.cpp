#include "core/stream.h"

#include <chrono>
#include <cmath>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

namespace userllm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kSpin = std::chrono::microseconds(20);
constexpr size_t kBatch = 64;  // tasks of one queue before the next one gets its turn

template <class T> int64_t first_nan(const TensorRef& t) {
  const T* x = t.as<T>();
  for (int64_t i = 0, n = t.count(); i < n; ++i)
    if (std::isnan(Compute<T>(x[i]))) return i;
  return -1;
}

int64_t first_nan(const TensorRef& t) {
  switch (t.dtype) {
    case DType::kFloat32: return first_nan<float>(t);
    case DType::kFloat64: return first_nan<double>(t);
    case DType::kBFloat16: return first_nan<BFloat16>(t);
    default: return -1;
  }
}

}  // namespace

// The process's one stream thread. It leaks on purpose: at exit the system ends it, in mid-op if need be.
class Executor {
 public:
  static Executor& get() {
    static auto* executor = new Executor;
    return *executor;
  }

  void add(Stream* stream) {
    Lock lock(mutex_);
    streams_.push_back(stream);
  }

  void remove(Stream* stream) {
    Lock lock(mutex_);
    idle_.wait(lock, [&] { return !stream->running_; });
    pending_.fetch_sub(stream->tasks_.size(), std::memory_order_relaxed);
    stream->tasks_.clear();
    std::erase(streams_, stream);
  }

  void enqueue(Stream* stream, std::unique_ptr<Task> task) {
    Lock lock(mutex_);
    stream->tasks_.push_back(std::move(task));
    pending_.fetch_add(1, std::memory_order_release);
    if (asleep_) work_.notify_one();
  }

 private:
  Executor() {
    std::thread([this] { loop(); }).detach();
  }

  void loop() {
    std::vector<std::unique_ptr<Task>> batch;
    for (size_t turn = 0;;) {
      Stream* stream = nullptr;
      {
        Lock lock(mutex_);
        asleep_ = true;
        work_.wait(lock, [&] { return (stream = next(turn)) != nullptr; });
        asleep_ = false;
        const size_t count = std::min(kBatch, stream->tasks_.size());
        for (size_t i = 0; i < count; ++i) {
          batch.push_back(std::move(stream->tasks_.front()));
          stream->tasks_.pop_front();
        }
        pending_.fetch_sub(count, std::memory_order_relaxed);
        stream->running_ = true;
      }
      for (auto& task : batch) {
        if (!stream->closed_.load(std::memory_order_acquire)) stream->run(*task);
        task.reset();
      }
      batch.clear();
      {
        Lock lock(mutex_);
        stream->running_ = false;
        idle_.notify_all();
      }
      const auto until = Clock::now() + kSpin;
      while (pending_.load(std::memory_order_acquire) == 0 && Clock::now() < until) cpu_relax();
    }
  }

  Stream* next(size_t& turn) {
    for (size_t i = 0; i < streams_.size(); ++i) {
      Stream* stream = streams_[(turn + i) % streams_.size()];
      if (stream->tasks_.empty()) continue;
      turn += i + 1;
      return stream;
    }
    return nullptr;
  }

  Mutex mutex_;
  Condition work_, idle_;
  std::vector<Stream*> streams_;
  std::atomic<size_t> pending_{0};
  bool asleep_ = false;
};

Stream::Stream() { Executor::get().add(this); }

Stream::~Stream() { close(); }

void Stream::enqueue(std::unique_ptr<Task> task) {
  if (!closed_.load(std::memory_order_relaxed)) Executor::get().enqueue(this, std::move(task));
}

void Stream::drain() {
  Mutex mutex;
  Condition condition;
  bool done = false;
  auto task = std::make_unique<Task>();
  task->action = [&] {
    Lock lock(mutex);
    done = true;
    condition.notify_one();
  };
  enqueue(std::move(task));
  Lock lock(mutex);
  condition.wait(lock, [&] { return done; });
}

void Stream::close() {
  if (closed_.exchange(true, std::memory_order_acq_rel)) return;
  Executor::get().remove(this);
}

std::map<const OpDef*, OpProfile> Stream::profile(bool reset) {
  Lock lock(profile_mutex_);
  return reset ? std::exchange(profile_, {}) : profile_;
}

void Stream::run(Task& task) {
  if (!task.call.op) {
    task.action();
    return;
  }
  Call& call = task.call;
  const OpDef& op = *call.op;

  const auto poison = [&](const std::shared_ptr<const Fault>& fault) {
    for (const TensorRef& out : call.out_)
      if (out.storage) out.storage->fault = fault;
    if (op.on_fault == OnFault::kKeep) return;
    for (const int i : op.mutates)
      for (const TensorRef& t : call.list(i)) t.storage->fault = fault;
  };
  const auto poison_with = [&](const std::string& what) {
    poison(std::make_shared<const Fault>(
        Fault{concat("cpu failed at op #", task.number, " ", op.name, "(", call.describe(), "): ", what)}));
  };

  for (const TensorRef& in : call.in_)
    if (in.storage && in.storage->fault) return poison(in.storage->fault);

  const bool profiling = this->profiling.load(std::memory_order_relaxed);
  const auto start = profiling ? Clock::now() : Clock::time_point();
  try {
    op.cpu(call);
  } catch (const std::exception& error) {
    call.fault(error.what());
  }
  if (profiling) {
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    Work work = op.work ? op.work(call) : Work{};
    if (work.bytes == 0) {
      for (const TensorRef& t : call.in_) work.bytes += t.storage ? double(t.bytes()) : 0;
      for (const TensorRef& t : call.out_) work.bytes += t.storage ? double(t.bytes()) : 0;
    }
    Lock lock(profile_mutex_);
    OpProfile& entry = profile_[&op];
    ++entry.calls;
    entry.seconds += seconds;
    entry.flops += work.flops;
    entry.bytes += work.bytes;
  }
  for (const int i : op.mutates)
    for (const TensorRef& t : call.list(i)) ++t.storage->version;

  if (call.fault_position_.load(std::memory_order_relaxed) != INT64_MAX) return poison_with(call.fault_message_);
  if (!check_nan) return;
  for (size_t i = 0; i < call.out_.size(); ++i)
    if (call.out_[i].storage)
      if (const int64_t at = first_nan(call.out_[i]); at >= 0)
        return poison_with(concat("made a NaN at element ", at, " of ", op.outputs[i], " ",
                                  to_string(call.out_[i].shape), " (USER_LLM_CHECK=nan)"));
}

}  // namespace userllm

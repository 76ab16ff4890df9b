// The in-order CPU stream: one queue per environment, one native thread per process that runs them.
//
// enqueue() returns at once. Tasks of one queue run in order; queues take turns. A queue that closes drops what has
// not started and waits for the task that runs.
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "core/op.h"
#include "core/sync.h"

namespace userllm {

struct OpProfile {
  uint64_t calls = 0;
  double seconds = 0, flops = 0, bytes = 0;
};

struct Task {
  Call call;                     // when call.op is set
  uint64_t number = 0;           // of the op in its environment, for messages
  std::function<void()> action;  // otherwise: upload, read, fence, give memory back
};

class Stream {
 public:
  Stream();
  ~Stream();  // closes

  void enqueue(std::unique_ptr<Task> task);
  // Blocks the caller until everything enqueued so far has run.
  void drain();
  // Drops what has not started, waits for what runs. What is enqueued afterwards is dropped, too.
  void close();

  // Set before the first task.
  bool check_nan = false;
  std::atomic<bool> profiling{false};
  std::map<const OpDef*, OpProfile> profile(bool reset);

 private:
  friend class Executor;
  void run(Task& task);

  std::deque<std::unique_ptr<Task>> tasks_;  // executor's mutex
  bool running_ = false;                     // executor's mutex
  std::atomic<bool> closed_{false};
  Mutex profile_mutex_;
  std::map<const OpDef*, OpProfile> profile_;
};

}  // namespace userllm

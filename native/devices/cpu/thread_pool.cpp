#include "devices/cpu/thread_pool.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#if defined(__linux__)
#include <sched.h>
#endif

#include "core/sync.h"

namespace userllm {
namespace {

constexpr auto kSpin = std::chrono::microseconds(20);
constexpr int kMostThreads = 256;

int allowed_cpus() {
  if (const char* text = std::getenv("USER_LLM_THREADS"))
    if (const int threads = std::atoi(text); threads > 0) return threads < kMostThreads ? threads : kMostThreads;
  int cpus = int(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = CPU_COUNT(&set);
#endif
  return cpus < 1 ? 1 : cpus < kMostThreads ? cpus : kMostThreads;
}

// One loop at a time. A worker enters it only while it is open, under the mutex, so a late one can neither join a
// loop that has ended nor claim tasks of the next one.
class Pool {
 public:
  static Pool& get() {
    static auto* pool = new Pool;  // leaks on purpose, as its threads never end
    return *pool;
  }

  void run(int64_t tasks, void (*body)(const void*, int64_t), const void* context) {
    if (busy_.exchange(true, std::memory_order_acquire)) {  // nested, or another environment's loop
      for (int64_t task = 0; task < tasks; ++task) body(context, task);
      return;
    }
    body_ = body;
    context_ = context;
    tasks_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    {
      Lock lock(mutex_);
      open_ = true;
      ++loop_;
      announced_.store(loop_, std::memory_order_release);
      if (asleep_ > 0) wake_.notify_all();
    }
    claim();
    {
      Lock lock(mutex_);
      open_ = false;
    }
    const auto until = std::chrono::steady_clock::now() + kSpin;
    while (inside_.load(std::memory_order_acquire) && std::chrono::steady_clock::now() < until) cpu_relax();
    if (inside_.load(std::memory_order_acquire)) {
      Lock lock(mutex_);
      done_.wait(lock, [&] { return inside_.load(std::memory_order_acquire) == 0; });
    }
    busy_.store(false, std::memory_order_release);
  }

 private:
  Pool() {
    for (int i = 1; i < thread_count(); ++i) std::thread([this] { work(); }).detach();
  }

  void claim() {
    for (int64_t task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;) body_(context_, task);
  }

  void work() {
    for (uint64_t seen = 0;;) {
      const auto until = std::chrono::steady_clock::now() + kSpin;
      while (announced_.load(std::memory_order_acquire) == seen && std::chrono::steady_clock::now() < until)
        cpu_relax();
      {
        Lock lock(mutex_);
        ++asleep_;
        wake_.wait(lock, [&] { return loop_ != seen; });
        --asleep_;
        seen = loop_;
        if (!open_) continue;
        inside_.fetch_add(1, std::memory_order_relaxed);
      }
      claim();
      Lock lock(mutex_);
      if (inside_.fetch_sub(1, std::memory_order_acq_rel) == 1) done_.notify_one();
    }
  }

  std::atomic<bool> busy_{false};
  std::atomic<uint64_t> announced_{0};
  std::atomic<int64_t> next_{0};
  std::atomic<int> inside_{0};  // changed under the mutex, watched without it
  // Of the current loop; written while no worker is inside.
  void (*body_)(const void*, int64_t) = nullptr;
  const void* context_ = nullptr;
  int64_t tasks_ = 0;
  // Under the mutex.
  Mutex mutex_;
  Condition wake_, done_;
  uint64_t loop_ = 0;
  int asleep_ = 0;
  bool open_ = false;
};

}  // namespace

int thread_count() {
  static const int threads = allowed_cpus();
  return threads;
}

void detail::parallel_for(int64_t tasks, void (*body)(const void*, int64_t), const void* context) {
  if (tasks <= 1 || thread_count() == 1) {
    for (int64_t task = 0; task < tasks; ++task) body(context, task);
    return;
  }
  Pool::get().run(tasks, body, context);
}

}  // namespace userllm

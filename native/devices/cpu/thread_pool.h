// The process's CPU threads: the stream thread and N - 1 workers share the tasks of one loop at a time.
#pragma once
#include <atomic>
#include <cstdint>

namespace userllm {

// Threads that a loop runs on: USER_LLM_THREADS, or the CPUs this process may use.
int thread_count();

namespace detail {
void parallel_for(int64_t tasks, void (*body)(const void* context, int64_t task), const void* context);
}

// Calls body(task) for every task in [0, tasks), claimed dynamically, and returns when all are done. The caller takes
// part. One loop runs at a time; a nested or concurrent one runs on its caller alone. `body` must not throw.
template <class Body> void parallel_for(int64_t tasks, const Body& body) {
  detail::parallel_for(
      tasks, [](const void* context, int64_t task) { (*static_cast<const Body*>(context))(task); }, &body);
}

// Splits [0, count) into ranges of `grain` (the last one shorter) and calls body(begin, end) for each. The split
// depends on the data alone, never on the number of threads.
template <class Body> void parallel_ranges(int64_t count, int64_t grain, const Body& body) {
  const int64_t tasks = (count + grain - 1) / grain;
  parallel_for(tasks, [&](int64_t task) {
    const int64_t begin = task * grain;
    body(begin, begin + grain < count ? begin + grain : count);
  });
}

// Calls body(task, slot): tasks that run at the same time have different slots, which are below thread_count(), for
// scratch that a task does not hand on.
template <class Body> void parallel_with_slots(int64_t tasks, const Body& body) {
  std::atomic<int64_t> next{0};
  parallel_for(tasks < thread_count() ? tasks : thread_count(), [&](int64_t slot) {
    for (int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) body(task, slot);
  });
}

}  // namespace userllm

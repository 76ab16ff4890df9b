// Node-free stress of the core: environments on threads of their own share the stream thread and the pool, read,
// fail, and close in mid-queue. Run under ThreadSanitizer, and on emulated older CPUs (no instruction the CPU lacks).
//
//     user_llm_stress [rounds]
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "core/environment.h"
#include "devices/cpu/gemm/gemm_bf16.h"
#include "devices/cpu/simd.h"
#include "devices/cpu/thread_pool.h"

namespace {

using namespace userllm;

std::atomic<int> failures{0};

void expect(bool ok, const char* what) {
  if (ok) return;
  failures.fetch_add(1);
  std::fprintf(stderr, "FAILED: %s\n", what);
}

Handle run(Environment& environment, const char* op, std::vector<double> wire) {
  const auto outputs = environment.run(*find_op(op), wire);
  return outputs.empty() ? 0 : outputs[0].handle;
}

Handle filled(Environment& environment, double value, double rows, double width) {
  return run(environment, "full", {0, value, 2, rows, width, 0});
}

float first_of(Environment& environment, Handle handle) {
  std::atomic<int> state{0};
  float value = 0;
  environment.read(handle, [&](Environment::ReadResult result) {
    if (!result.fault && result.bytes.size() >= sizeof value) std::memcpy(&value, result.bytes.data(), sizeof value);
    state.store(1, std::memory_order_release);
  });
  while (!state.load(std::memory_order_acquire)) std::this_thread::yield();
  return value;
}

// A chain of ops whose result is known, with blocks released while queued ops still use them.
void compute(int rounds) {
  Environment environment;
  for (int round = 0; round < rounds; ++round) {
    const Handle sum = filled(environment, 0, 64, 512);
    for (int i = 0; i < 8; ++i) {
      const Handle ones = filled(environment, i, 64, 512);
      const Handle soft = run(environment, "softmax", {ones, 0});
      run(environment, "accumulate", {sum, soft, 0});
      environment.release(ones);
      environment.release(soft);
    }
    expect(std::fabs(first_of(environment, sum) - 8.0f / 512) < 1e-6f, "eight softmaxes of equal scores add up");
    environment.release(sum);
  }
  expect(environment.tensors() == 0, "every tensor was released");
  expect(environment.allocator.stats().in_use == 0, "no bytes are in use");
}

// Environments that go away with a full queue.
void abandon(int rounds) {
  for (int round = 0; round < rounds; ++round) {
    Environment environment;
    Handle x = filled(environment, 1, 256, 512);
    for (int i = 0; i < 200; ++i) {
      const Handle next = run(environment, "softmax", {x, 0});
      environment.release(x);
      x = next;
    }
    environment.read(x, [](Environment::ReadResult) {});
    environment.close();
  }
}

// Calls that must be refused, on the calling thread, leaving nothing behind.
void misuse(int rounds) {
  Environment environment;
  for (int round = 0; round < rounds; ++round) {
    const Handle a = filled(environment, 1, 2, 3), b = filled(environment, 1, 3, 2);
    int refused = 0;
    for (const std::vector<double>& wire : std::vector<std::vector<double>>{
             {a, b, 0}, {a, 12345, 0}, {a, -1, 0}, {a, NAN, 0}, {a}, {a, a, 0, 0}, {a, a, -1}, {0, a, 0}}) {
      try {
        environment.run(*find_op("accumulate"), wire);
      } catch (const UserError&) {
        ++refused;
      }
    }
    expect(refused == 8, "all wrong calls are refused");
    environment.release(a);
    environment.release(b);
  }
  expect(environment.tensors() == 0, "refused calls make no tensors");
}

// Loops from several threads at once: one gets the pool, the others run alone.
void loops(int rounds) {
  for (int round = 0; round < rounds; ++round) {
    std::atomic<int64_t> sum{0};
    parallel_for(100, [&](int64_t i) {
      parallel_for(3, [&](int64_t j) { sum.fetch_add(i * 3 + j, std::memory_order_relaxed); });
    });
    expect(sum.load() == 300 * 299 / 2, "every task of nested loops runs once");
  }
}

}  // namespace

namespace userllm {
int block_failures();             // native/test/blocks.cpp
int loader_failures(int rounds);  // native/test/loader.cpp
}  // namespace userllm

int main(int count, char** arguments) {
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 50;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back(compute, rounds);
    threads.emplace_back(abandon, rounds);
    threads.emplace_back(misuse, rounds);
    threads.emplace_back(loops, rounds);
  }
  for (auto& thread : threads) thread.join();
  failures.fetch_add(block_failures());
  failures.fetch_add(loader_failures(rounds));
  std::printf("%zu ops, %s, bfloat16 by %s, %d threads, %d rounds: %d failures\n", all_ops().size(), name_of(isa()),
              name_of(bf16_tier()), thread_count(), rounds, failures.load());
  std::fflush(stdout);
  std::_Exit(failures.load() ? 1 : 0);  // the pool's threads never end
}

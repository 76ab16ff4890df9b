// What this machine can do: the ceilings that profiles and benches compare with.
#pragma once

namespace userllm {

struct Peak {
  double gflops = 0;       // float32 multiply-adds on all threads
  double bf16_gflops = 0;  // the same of bfloat16, as gemm_bf16 makes them
  double copy_gbs = 0;     // bytes read plus bytes written by a copy larger than the caches, on all threads
};

// Takes about a tenth of a second on all threads of the pool.
Peak measure_peak();

}  // namespace userllm

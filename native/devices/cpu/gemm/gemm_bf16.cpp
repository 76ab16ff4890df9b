// Plans a product of bfloat16 operands: what is packed, and how C is cut into tasks.
//
// How k is cut depends on the shape alone and an element is always made by one task, so that results do not depend on
// the number of threads.
#include "devices/cpu/gemm/gemm_bf16.h"

#include <algorithm>
#include <atomic>

#include "devices/cpu/gemm/gemm_bf16.simd.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {
namespace {

// In multiply-adds.
constexpr int64_t kInlineWork = 1 << 18;  // below it waking the pool costs more than it gives
constexpr int64_t kTaskWork = 1 << 25;
// Packing B costs more than inner products up to kDotRows, and than making C across up to kAcrossRows. Up to
// kOwnPackRows a thread packs the columns of B that it multiplies, which then stay in its cache.
constexpr int64_t kDotRows = 4, kAcrossRows = 64, kOwnPackRows = 256;
constexpr int64_t kGroupBytes = 1 << 20;  // of B, that stay in the second-level cache while rows of A pass by
// Of a transposed A, k is cut so that a block of B stays there; and rows are packed together, along the stored rows.
constexpr int64_t kChunkK = 512, kChunkRows = 96, kChunkColumns = 1024;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
int64_t align(int64_t bytes) { return round_up(bytes, 64); }

const void* offset(const void* base, int64_t elements, bool bf16) {
  return base ? static_cast<const char*>(base) + elements * (bf16 ? 2 : 4) : nullptr;
}
void* offset(void* base, int64_t elements, bool bf16) {
  return base ? static_cast<char*>(base) + elements * (bf16 ? 2 : 4) : nullptr;
}

GemmBf16 batch_item(const GemmBf16& g, int64_t i) {
  GemmBf16 item = g;
  item.batch = 1;
  item.a = offset(g.a, i * g.a_batch_stride, g.a_bf16);
  item.b = offset(g.b, i * g.b_batch_stride, g.b_bf16);
  item.c = offset(g.c, i * g.c_batch_stride, g.c_bf16);
  item.residual = offset(g.residual, i * g.c_batch_stride, g.c_bf16);
  item.preactivation = offset(g.preactivation, i * g.c_batch_stride, g.c_bf16);
  return item;
}

// The part of an operand from row or column `i` and from `k` on.
Operand part_of(const void* data, int64_t stride, bool k_major, bool bf16, int64_t i, int64_t k) {
  return {offset(data, k_major ? k * stride + i : i * stride + k, bf16), stride, k_major, bf16};
}
Operand a_of(const GemmBf16& g, int64_t m, int64_t k) {
  return part_of(g.a, g.a_row_stride, g.a_transposed, g.a_bf16, m, k);
}
Operand b_of(const GemmBf16& g, int64_t n, int64_t k) {
  return part_of(g.b, g.b_row_stride, !g.b_transposed, g.b_bf16, n, k);
}

// Elements from one packed row to the next: an odd number of cache lines, or rows would share few cache sets.
int64_t row_stride(int64_t k) { return ((ceil_div(k, kBf16StepK) | 1) * kBf16StepK); }

// Elements from one panel of a chunk to the next: a line beyond what it holds, or panels would share cache sets while
// they are written side by side.
int64_t chunk_panel(int64_t k) { return (round_up(k, kBf16StepK) + 2) * kBf16Columns; }

bool needs_finish(const GemmBf16& g) {
  return g.c_bf16 || g.bias || g.residual || g.preactivation || g.activation != Activation::kNone || g.alpha != 1;
}

struct Plan {
  bool chunks = false;       // A is transposed: each task packs both operands, a chunk of k at a time
  bool dots = false;         // inner products: B is read as it lies
  bool across = false;       // B's rows take the place of A's, and are read as they lie; A is packed in that of B
  bool pack_b = false;       // before all else
  bool pack_own = false;     // a task packs its own columns, and has all rows
  bool whole_items = false;  // a task does whole batch items, else items follow each other
  int64_t group = 0;         // columns that a task has at most
  int64_t packed_bytes = 0;  // of B
  int64_t sums_bytes = 0;    // [m, n] float32, where chunks cannot be summed in C
  int64_t rows_bytes = 0;    // of packed rows of A; the rest of a slot is sums that wait, or a part of B
  int64_t own_bytes = 0;     // of a task's own columns, at the end of a slot
  int64_t slot_bytes = 0;
};

Plan make_plan(const GemmBf16& g) {
  const Bf16Kernels& kernel = bf16_kernels();
  const int64_t k = round_up(g.k, kBf16StepK), work = g.m * g.n * g.k;
  Plan plan;
  plan.chunks = g.a_transposed && !g.packed_b;
  plan.whole_items = g.batch > 1 && (g.batch >= 4 * thread_count() || work < kTaskWork);
  if (plan.chunks) {
    plan.group = kChunkColumns;
    const int64_t chunk = std::min(k, kChunkK);
    plan.rows_bytes = align(kChunkRows * row_stride(chunk) * 2);
    plan.slot_bytes = plan.rows_bytes + kChunkColumns / kBf16Columns * chunk_panel(chunk) * 2;
    if (needs_finish(g)) plan.sums_bytes = align(g.m * g.n * 4);
    return plan;
  }
  plan.group = std::max(kGroupBytes / (2 * k) / 32 * 32, int64_t{32});
  plan.dots = !g.packed_b && g.b_transposed && g.b_bf16 && g.batch == 1 && g.m <= kDotRows;
  if (plan.dots) {
    plan.slot_bytes = align(g.m * k * 4);
    return plan;
  }
  plan.across = !g.packed_b && g.b_transposed && g.batch == 1 && g.m <= kAcrossRows;
  if (plan.across) {
    plan.packed_bytes = align(round_up(g.m, kBf16Columns) * k * 2);
    plan.rows_bytes = align(kernel.rows * row_stride(k) * 2);
    plan.slot_bytes = plan.rows_bytes + align(kernel.rows * round_up(g.m, kBf16Columns) * 4);
    return plan;
  }
  plan.pack_own = !g.packed_b && g.batch == 1 && g.m <= kOwnPackRows;
  plan.pack_b = !g.packed_b && !plan.pack_own;
  if (plan.pack_b) plan.packed_bytes = align(static_cast<int64_t>(gemm_bf16_packed_bytes(g.n, g.k)));
  plan.rows_bytes = align(kernel.rows * row_stride(k) * 2);
  plan.slot_bytes = plan.rows_bytes;
  if (k > kernel.block_k && needs_finish(g))
    plan.slot_bytes += align(kernel.rows * std::min(plan.group, round_up(g.n, kBf16Columns)) * 4);
  if (plan.pack_own) {
    plan.own_bytes = align(std::min(plan.group, round_up(g.n, 2 * kBf16Columns)) * k * 2);
    plan.slot_bytes += plan.own_bytes;
  }
  return plan;
}

struct Range {
  int64_t m_begin, m_end, n_begin, n_end;
};

// Rows of A one block after the other, each against all panels of the range, which begin at `panels`.
void stream_rows(const GemmBf16& g, const Plan& plan, const uint16_t* panels, const Range& range, char* slot) {
  const Bf16Kernels& kernel = bf16_kernels();
  const int64_t k = round_up(g.k, kBf16StepK);
  uint16_t* const rows = reinterpret_cast<uint16_t*>(slot);
  const bool finishes = needs_finish(g);
  Bf16Block block = {.n = range.n_end - range.n_begin, .k = k};
  block.b_stride = k * kBf16Columns;
  block.b = panels;
  block.accumulate = g.accumulate && !finishes;
  block.finish = finishes ? &g : nullptr;
  block.finish_n = range.n_begin;
  block.c_stride = finishes ? block.n : g.c_row_stride;
  for (int64_t m = range.m_begin; m < range.m_end; m += kernel.rows) {
    block.m = std::min(kernel.rows, range.m_end - m);
    const Operand a = a_of(g, m, 0);
    if (a.bfloat16 && !a.k_major && g.k == k && block.m % kBf16Columns == 0) {
      block.a = static_cast<const uint16_t*>(a.data);
      block.a_stride = a.stride;
    } else {
      block.a = rows;
      block.a_stride = row_stride(k);
      kernel.pack_rows(a, block.m, g.k, rows, block.a_stride);
    }
    block.ahead = {};
    if (block.a != rows && m + kernel.rows < range.m_end) {
      const Operand next = a_of(g, m + kernel.rows, 0);
      const int64_t size = next.bfloat16 ? 2 : 4;
      block.ahead = {next.data, next.stride * size, g.k * size, std::min(kernel.rows, range.m_end - m - kernel.rows)};
    }
    if (g.prologue) g.prologue(g.prologue_context, m, m + block.m, range.n_begin, range.n_end);
    block.finish_m = m;
    block.c = finishes ? reinterpret_cast<float*>(slot + plan.rows_bytes)
                       : static_cast<float*>(g.c) + m * g.c_row_stride + range.n_begin;
    kernel.enter();
    kernel.multiply(block);
    kernel.leave();
  }
}

// A chunk of k after the other, packed and multiplied while it stays in the cache; C, or `sums`, collects them.
void add_chunks(const GemmBf16& g, const Plan& plan, float* sums, const Range& range, char* slot) {
  const Bf16Kernels& kernel = bf16_kernels();
  const bool finishes = needs_finish(g);
  uint16_t* const rows = reinterpret_cast<uint16_t*>(slot);
  uint16_t* const panels = reinterpret_cast<uint16_t*>(slot + plan.rows_bytes);
  float* const c = finishes ? sums : static_cast<float*>(g.c);
  const int64_t chunks = ceil_div(g.k, kChunkK), columns = range.n_end - range.n_begin;
  if (g.prologue) g.prologue(g.prologue_context, range.m_begin, range.m_end, range.n_begin, range.n_end);
  kernel.enter();
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t k_begin = chunk * kChunkK, k = std::min(kChunkK, g.k - k_begin);
    Bf16Block block = {.n = columns, .k = round_up(k, kBf16StepK)};
    block.a = rows;
    block.a_stride = row_stride(k);
    block.b = panels;
    block.b_stride = chunk_panel(k);
    block.c_stride = finishes ? g.n : g.c_row_stride;
    block.accumulate = chunk > 0 || (g.accumulate && !finishes);
    kernel.pack_panels(b_of(g, range.n_begin, k_begin), columns, k, panels, block.b_stride);
    for (int64_t m = range.m_begin; m < range.m_end; m += kChunkRows) {
      block.m = std::min(kChunkRows, range.m_end - m);
      kernel.pack_rows(a_of(g, m, k_begin), block.m, k, rows, block.a_stride);
      block.c = c + m * block.c_stride + range.n_begin;
      kernel.multiply(block);
      if (finishes && chunk == chunks - 1) kernel.finish(g, block.c, g.n, m, block.m, range.n_begin, columns);
    }
  }
  kernel.leave();
}

// body(task, slot): tasks that run at the same time have different slots below thread_count().
template <class F> void parallel_with_slots(int64_t tasks, const F& body) {
  std::atomic<int64_t> next{0};
  parallel_for(std::min<int64_t>(tasks, thread_count()), [&](int64_t slot) {
    for (int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) body(task, slot);
  });
}

// Cuts [m, n] into a grid: run(range, slot). The ranges of one column of the grid share a part of B, and follow each
// other.
template <class F> void for_ranges(const GemmBf16& g, const Plan& plan, int64_t row_unit, const F& run) {
  const int64_t row_blocks = ceil_div(g.m, row_unit), pairs = ceil_div(g.n, 2 * kBf16Columns);
  const int64_t work = g.m * g.n * g.k;
  // Each row of the grid packs chunks of B anew.
  const int64_t wanted = plan.chunks ? thread_count() : 2 * thread_count();
  int64_t column_tasks = ceil_div(g.n, plan.group), row_tasks = 1;
  if (work >= kInlineWork) {
    if (!plan.chunks) row_tasks = std::clamp(work / column_tasks / kTaskWork, int64_t{1}, row_blocks);
    if (g.m >= g.n) row_tasks = std::clamp(ceil_div(wanted, column_tasks), row_tasks, row_blocks);
    column_tasks = std::clamp(ceil_div(wanted, row_tasks), column_tasks, pairs);
    row_tasks = std::clamp(ceil_div(wanted, column_tasks), row_tasks, row_blocks);
  }
  const auto body = [&](int64_t task, int64_t slot) {
    const int64_t column = task / row_tasks, row = task % row_tasks;
    run({std::min(g.m, row_unit * (row_blocks * row / row_tasks)),
         std::min(g.m, row_unit * (row_blocks * (row + 1) / row_tasks)),
         std::min(g.n, 2 * kBf16Columns * (pairs * column / column_tasks)),
         std::min(g.n, 2 * kBf16Columns * (pairs * (column + 1) / column_tasks))},
        slot);
  };
  const int64_t tasks = row_tasks * column_tasks;
  if (work < kInlineWork)
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
  else
    parallel_with_slots(tasks, body);
}

// Panels [first, last) of B, to `panels` on.
void pack_panels(const GemmBf16& g, uint16_t* panels, int64_t first, int64_t last) {
  const int64_t k = round_up(g.k, kBf16StepK), n = first * kBf16Columns;
  bf16_kernels().pack_panels(b_of(g, n, 0), std::min(g.n, last * kBf16Columns) - n, g.k, panels, k * kBf16Columns);
}

// Few rows against rows of B as they lie.
void run_dots(const GemmBf16& g, const Range& range, char* slot) {
  const Bf16Kernels& kernel = bf16_kernels();
  float* const rows = reinterpret_cast<float*>(slot);
  const int64_t stride = round_up(g.k, kBf16StepK);
  if (g.prologue) g.prologue(g.prologue_context, 0, g.m, range.n_begin, range.n_end);
  kernel.widen_rows(a_of(g, 0, 0), g.m, g.k, rows, stride);
  kernel.dots(g, {rows, stride, range.n_begin, range.n_end});
}

// Rows of B one block after the other against all rows of A, which are packed as B usually is.
void stream_across(const GemmBf16& g, const Plan& plan, const uint16_t* panels, const Range& range, char* slot) {
  const Bf16Kernels& kernel = bf16_kernels();
  const int64_t k = round_up(g.k, kBf16StepK);
  uint16_t* const rows = reinterpret_cast<uint16_t*>(slot);
  Bf16Block block = {.n = round_up(g.m, kBf16Columns), .k = k};
  block.b = panels;
  block.b_stride = k * kBf16Columns;
  block.c = reinterpret_cast<float*>(slot + plan.rows_bytes);
  block.c_stride = block.n;
  if (g.prologue) g.prologue(g.prologue_context, 0, g.m, range.n_begin, range.n_end);
  for (int64_t n = range.n_begin; n < range.n_end; n += kernel.rows) {
    block.m = std::min(kernel.rows, range.n_end - n);
    const Operand b = b_of(g, n, 0);
    if (b.bfloat16 && g.k == k && block.m % kBf16Columns == 0) {
      block.a = static_cast<const uint16_t*>(b.data);
      block.a_stride = b.stride;
    } else {
      block.a = rows;
      block.a_stride = row_stride(k);
      kernel.pack_rows(b, block.m, g.k, rows, block.a_stride);
    }
    block.ahead = {};
    if (n + kernel.rows < range.n_end) {
      const Operand next = b_of(g, n + kernel.rows, 0);
      const int64_t size = next.bfloat16 ? 2 : 4;
      block.ahead = {next.data, next.stride * size, g.k * size, std::min(kernel.rows, range.n_end - n - kernel.rows)};
    }
    kernel.enter();
    kernel.multiply(block);
    kernel.leave();
    kernel.finish_across(g, block.c, block.c_stride, n, block.m);
  }
}

// One item of the batch, by all threads.
void run_item(const GemmBf16& g, const Plan& plan) {
  char* const scratch = static_cast<char*>(g.scratch);
  char* const slots = scratch + plan.packed_bytes + plan.sums_bytes;
  const auto slot_of = [&](int64_t slot) { return slots + slot * plan.slot_bytes; };
  if (plan.chunks) {
    float* const sums = reinterpret_cast<float*>(scratch);
    for_ranges(g, plan, 32, [&](const Range& range, int64_t slot) { add_chunks(g, plan, sums, range, slot_of(slot)); });
    return;
  }
  if (plan.dots) {
    for_ranges(g, plan, g.m, [&](const Range& range, int64_t slot) { run_dots(g, range, slot_of(slot)); });
    return;
  }
  const int64_t k = round_up(g.k, kBf16StepK);
  if (plan.across) {
    uint16_t* const panels = reinterpret_cast<uint16_t*>(scratch);
    bf16_kernels().pack_panels(a_of(g, 0, 0), g.m, g.k, panels, k * kBf16Columns);
    for_ranges(g, plan, g.m,
               [&](const Range& range, int64_t slot) { stream_across(g, plan, panels, range, slot_of(slot)); });
    return;
  }
  if (plan.pack_own) {
    for_ranges(g, plan, g.m, [&](const Range& range, int64_t slot) {
      uint16_t* const own = reinterpret_cast<uint16_t*>(slot_of(slot) + plan.slot_bytes - plan.own_bytes);
      pack_panels(g, own, range.n_begin / kBf16Columns, ceil_div(range.n_end, kBf16Columns));
      stream_rows(g, plan, own, range, slot_of(slot));
    });
    return;
  }
  if (plan.pack_b) gemm_bf16_pack_b(g, scratch);
  const uint16_t* const packed = static_cast<const uint16_t*>(plan.pack_b ? scratch : g.packed_b);
  for_ranges(g, plan, bf16_kernels().rows, [&](const Range& range, int64_t slot) {
    stream_rows(g, plan, packed + range.n_begin * k, range, slot_of(slot));
  });
}

// Small items of a batch: each is packed and multiplied by one thread.
void run_whole_items(const GemmBf16& g, const Plan& plan) {
  const int64_t slot_bytes = plan.packed_bytes + plan.sums_bytes + plan.slot_bytes;
  const auto one = [&](int64_t i, int64_t slot) {
    const GemmBf16 item = batch_item(g, i);
    char* const scratch = static_cast<char*>(g.scratch) + slot * slot_bytes;
    char* const rest = scratch + plan.packed_bytes + plan.sums_bytes;
    const int64_t k = round_up(g.k, kBf16StepK);
    uint16_t* const own = reinterpret_cast<uint16_t*>(scratch);
    if (plan.pack_b) pack_panels(item, own, 0, ceil_div(g.n, kBf16Columns));
    const uint16_t* const packed = plan.pack_b ? own : static_cast<const uint16_t*>(g.packed_b);
    for (int64_t n = 0; n < g.n; n += plan.group) {
      const Range range = {0, g.m, n, std::min(g.n, n + plan.group)};
      if (plan.chunks)
        add_chunks(item, plan, reinterpret_cast<float*>(scratch), range, rest);
      else
        stream_rows(item, plan, packed + n * k, range, rest);
    }
  };
  const int64_t work = g.m * g.n * g.k;
  if (work * g.batch < kInlineWork) {
    for (int64_t i = 0; i < g.batch; ++i) one(i, 0);
    return;
  }
  const int64_t tasks = std::clamp(work * g.batch / kTaskWork * 8, int64_t{thread_count()}, g.batch);
  parallel_with_slots(tasks, [&](int64_t task, int64_t slot) {
    for (int64_t i = g.batch * task / tasks; i < g.batch * (task + 1) / tasks; ++i) one(i, slot);
  });
}

void run_without_k(const GemmBf16& g) {
  constexpr int64_t kStrip = 256;
  alignas(64) static constexpr float kZeros[kStrip] = {};
  for (int64_t i = 0; i < g.m; ++i)
    for (int64_t j = 0; j < g.n; j += kStrip)
      bf16_kernels().finish(g, kZeros, kStrip, i, 1, j, std::min(kStrip, g.n - j));
}

}  // namespace

size_t gemm_bf16_packed_bytes(int64_t n, int64_t k) {
  return static_cast<size_t>(round_up(n, kBf16Columns) * round_up(k, kBf16StepK)) * 2;
}

void gemm_bf16_pack_b(const GemmBf16& g, void* packed) {
  const int64_t panels = ceil_div(g.n, kBf16Columns);
  const int64_t tasks = g.n * g.k < kInlineWork ? 1 : std::min(panels, int64_t{4} * thread_count());
  const int64_t panel = round_up(g.k, kBf16StepK) * kBf16Columns;
  const auto body = [&](int64_t task) {
    const int64_t first = panels * task / tasks;
    pack_panels(g, static_cast<uint16_t*>(packed) + first * panel, first, panels * (task + 1) / tasks);
  };
  if (tasks == 1)
    body(0);
  else
    parallel_for(tasks, body);
}

size_t gemm_bf16_scratch_bytes(const GemmBf16& gemm) {
  const GemmBf16 g = fold_batch(gemm);
  if (g.batch <= 0 || g.m <= 0 || g.n <= 0 || g.k <= 0) return 0;
  const Plan plan = make_plan(g);
  const int64_t shared = plan.packed_bytes + plan.sums_bytes;
  return static_cast<size_t>((plan.whole_items ? thread_count() : 1) * shared + thread_count() * plan.slot_bytes);
}

void gemm_bf16(const GemmBf16& gemm) {
  const GemmBf16 g = fold_batch(gemm);
  if (g.batch <= 0 || g.m <= 0 || g.n <= 0) return;
  if (g.k <= 0) {
    for (int64_t i = 0; i < g.batch; ++i) run_without_k(batch_item(g, i));
    return;
  }
  const Plan plan = make_plan(g);
  if (plan.whole_items) return run_whole_items(g, plan);
  for (int64_t i = 0; i < g.batch; ++i) run_item(batch_item(g, i), plan);
}

}  // namespace userllm

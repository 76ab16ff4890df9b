// Plans a matrix product: which kernel, what is packed, and how C is cut into tasks.
//
// What decides the arithmetic of an element (the kernel, the pieces of k) depends on the shape alone; the tasks may
// depend on the number of threads, because an element is always made by one task.
#include "devices/cpu/gemm/gemm.h"

#include <algorithm>
#include <type_traits>

#include "devices/cpu/gemm/gemm.simd.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {
namespace {

// In multiply-adds.
constexpr int64_t kInlineWork = 1 << 16;    // below it waking the pool costs more than it gives
constexpr int64_t kTaskWork = 1 << 23;      // of a task: about 80 us
constexpr int64_t kWholeItem = 1 << 21;     // up to it one thread does a batch item
constexpr int64_t kGroupBytes = 768 << 10;  // of B, that stay in the second-level cache while rows of A pass by
constexpr int64_t kRangeBlocks = 8;         // row blocks of a range, at least, for each block of k: they share B
// Inner products beat packing B up to kFewRows, if k is long; and up to kFewColumns they beat mostly empty panels.
constexpr int64_t kFewRows = 96, kFewColumns = 8, kShortDot = 64;
constexpr int64_t kFewTransposed = 16;
// A [k, n] operand is read where it lies for few rows, or when it stays in the first-level cache anyway.
constexpr int64_t kDirectRows = 24, kDirectElements = 4096;
// Up to here a thread packs the columns of B that it multiplies: fetching them from another core costs more.
constexpr int64_t kOwnPackRows = 256;
// k is cut into pieces of at least kPieceK while there are fewer than kPieceUnits units of C to share out.
constexpr int64_t kPieceK = 512, kPieceUnits = 32, kUnitRows = 96, kUnitColumns = 192;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t align(int64_t bytes) { return (bytes + 63) & ~int64_t{63}; }

template <class T> const GemmKernels& kernels() {
  if constexpr (std::is_same_v<T, float>)
    return SIMD_CALL(gemm_kernels_float)();
  else
    return SIMD_CALL(gemm_kernels_double)();
}

template <class T> const void* offset(const void* base, int64_t elements) {
  return base ? static_cast<const T*>(base) + elements : nullptr;
}
template <class T> void* offset(void* base, int64_t elements) {
  return base ? static_cast<T*>(base) + elements : nullptr;
}

template <class T> Gemm batch_item(const Gemm& g, int64_t i) {
  Gemm item = g;
  item.batch = 1;
  item.a = offset<T>(g.a, i * g.a_batch_stride);
  item.b = offset<T>(g.b, i * g.b_batch_stride);
  item.c = offset<T>(g.c, i * g.c_batch_stride);
  item.residual = offset<T>(g.residual, i * g.c_batch_stride);
  item.preactivation = offset<T>(g.preactivation, i * g.c_batch_stride);
  return item;
}

struct Plan {
  enum { kTiles, kDots } kernel = kTiles;
  bool pack = false;
  bool pack_own = false;     // a task packs its own columns, and has all rows
  bool whole_items = false;  // a task does whole batch items, else items follow each other
  int64_t pieces = 1;        // of k
  int64_t packed_bytes = 0, piece_bytes = 0, slab_bytes = 0;
};

// Whether inner products of rows of A and of B, both as they lie, are worth a thought.
bool has_rows_to_dot(const Gemm& g) { return g.b_transposed && !g.a_transposed && g.k >= kShortDot; }

template <class T> Plan make_plan(const Gemm& g) {
  const GemmKernels& kernel = kernels<T>();
  Plan plan;
  if (!g.packed_b && has_rows_to_dot(g) && (g.m <= std::min(kFewRows, g.k / 8) || g.n <= kFewColumns)) {
    plan.kernel = Plan::kDots;
  } else {
    const int64_t units = ceil_div(g.m, kUnitRows) * ceil_div(g.n, kUnitColumns);
    plan.pieces = std::clamp(std::min(g.k / kPieceK, kPieceUnits / units), int64_t{1}, int64_t{64});
    plan.pack = !g.packed_b && (g.b_transposed || (g.m > kDirectRows && g.n * g.k > kDirectElements));
  }
  plan.pack_own = plan.pack && plan.pieces == 1 && g.m <= kOwnPackRows;
  const int64_t work = g.m * g.n * g.k;
  plan.whole_items = g.batch > 1 && plan.pieces == 1 && (work < kWholeItem || g.batch >= 16) &&
                     g.n * g.k * static_cast<int64_t>(sizeof(T)) <= kGroupBytes;
  if (plan.pack) plan.packed_bytes = align(static_cast<int64_t>(gemm_packed_bytes<T>(g.n, g.k)));
  if (g.a_transposed && plan.kernel == Plan::kTiles) plan.slab_bytes = align(kernel.slab_bytes);
  if (plan.pieces > 1) plan.piece_bytes = align(g.m * g.n * static_cast<int64_t>(sizeof(T)));
  return plan;
}

// The gradient of a weight with few inputs, [m, k] times [k, n] with few n and both stored k first: the tiles would
// hold mostly nothing, but those of the transposed product are full.
bool is_better_transposed(const Gemm& g) {
  return g.batch == 1 && !g.packed_b && g.a_transposed && !g.b_transposed && g.n <= kFewTransposed && g.m >= 4 * g.n &&
         g.k > 0;
}

// C^T, with neither C nor an epilogue yet.
Gemm transposed(const Gemm& g) {
  Gemm other = {.m = g.n, .n = g.m, .k = g.k};
  other.a = g.b;
  other.a_row_stride = g.b_row_stride;
  other.a_transposed = true;
  other.b = g.a;
  other.b_row_stride = g.a_row_stride;
  other.c_row_stride = g.m;
  return other;
}

template <class T> int64_t transposed_bytes(const Gemm& g) {
  return align(g.m * g.n * static_cast<int64_t>(sizeof(T)));
}

template <class T> void run_transposed(const Gemm& g) {
  T* across = static_cast<T*>(g.scratch);
  T* along = static_cast<T*>(offset<char>(g.scratch, transposed_bytes<T>(g)));
  Gemm other = transposed(g);
  other.c = across;
  other.scratch = offset<char>(g.scratch, 2 * transposed_bytes<T>(g));
  gemm<T>(other);
  for (int64_t i = 0; i < g.m; ++i)
    for (int64_t j = 0; j < g.n; ++j) along[i * g.n + j] = across[j * g.m + i];
  kernels<T>().sum(g, along, 1, 0, {0, g.m, 0, g.n});
}

template <class T> void pack_in_parallel(const Gemm& g, void* packed) {
  const GemmKernels& kernel = kernels<T>();
  const int64_t panels = ceil_div(g.n, kernel.columns);
  const int64_t tasks = g.n * g.k < kInlineWork ? 1 : std::min(panels, int64_t{4} * thread_count());
  const auto body = [&](int64_t task) { kernel.pack(g, packed, panels * task / tasks, panels * (task + 1) / tasks); };
  if (tasks == 1)
    body(0);
  else
    parallel_for(tasks, body);
}

template <class T> GemmPanels panels_of(const Gemm& g, const void* packed) {
  const int64_t columns = kernels<T>().columns;
  if (packed) return {packed, g.k * columns, columns};
  return {g.b, columns, g.b_row_stride};
}

// Cuts [m, n] into a grid of ranges: run(piece, range, slot) for each, `pieces` times. The ranges of one column of the
// grid share a part of B, and follow each other.
template <class T, class F> void for_ranges(const Gemm& g, int64_t pieces, const F& run, bool all_rows = false) {
  const GemmKernels& kernel = kernels<T>();
  const int64_t row_blocks = ceil_div(g.m, kernel.rows), panels = ceil_div(g.n, kernel.columns);
  const int64_t work = g.m * g.n * g.k;
  int64_t row_tasks = 1, column_tasks = 1;
  if (work * pieces >= kInlineWork) {
    const int64_t panel_bytes = std::min(g.k, kernel.block_k) * kernel.columns * static_cast<int64_t>(sizeof(T));
    const int64_t range_blocks = kRangeBlocks * std::min(ceil_div(g.k, kernel.block_k), int64_t{4});
    // A transposed A is packed again for every column of the grid, and its panels pass by one at a time.
    if (!g.a_transposed) column_tasks = ceil_div(panels, std::max(kGroupBytes / panel_bytes, int64_t{1}));
    if (!all_rows)
      row_tasks = std::clamp(work / column_tasks / kTaskWork, int64_t{1}, ceil_div(row_blocks, range_blocks));
    const int64_t wanted = 2 * thread_count();
    const auto cut_rows = [&] {
      if (!all_rows) row_tasks = std::clamp(ceil_div(wanted, column_tasks * pieces), row_tasks, row_blocks);
    };
    if (g.m >= g.n) cut_rows();
    column_tasks = std::clamp(ceil_div(wanted, row_tasks * pieces), column_tasks, panels);
    cut_rows();
    if (row_tasks > 1) row_tasks = std::min(row_blocks, ceil_div(row_tasks, thread_count()) * thread_count());
  }
  const int64_t per_piece = row_tasks * column_tasks;
  const auto body = [&](int64_t task, int64_t slot) {
    const int64_t piece = task / per_piece, column = task % per_piece / row_tasks, row = task % row_tasks;
    const GemmRange range = {
        std::min(g.m, kernel.rows * (row_blocks * row / row_tasks)),
        std::min(g.m, kernel.rows * (row_blocks * (row + 1) / row_tasks)),
        std::min(g.n, kernel.columns * (panels * column / column_tasks)),
        std::min(g.n, kernel.columns * (panels * (column + 1) / column_tasks)),
    };
    run(piece, range, slot);
  };
  const int64_t tasks = per_piece * pieces;
  if (tasks == 1 || work * pieces < kInlineWork)
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
  else
    parallel_with_slots(tasks, body);
}

void run_prologue(const Gemm& g, const GemmRange& range) {
  if (g.prologue) g.prologue(g.prologue_context, range.m_begin, range.m_end, range.n_begin, range.n_end);
}

// One item of the batch, by all threads.
template <class T> void run_item(const Gemm& g, const Plan& plan) {
  const GemmKernels& kernel = kernels<T>();
  if (plan.kernel == Plan::kDots) {
    for_ranges<T>(g, 1, [&](int64_t, const GemmRange& range, int64_t) {
      run_prologue(g, range);
      kernel.dots(g, range);
    });
    return;
  }
  const void* packed = plan.pack ? g.scratch : g.packed_b;
  if (plan.pack && !plan.pack_own) pack_in_parallel<T>(g, g.scratch);
  const GemmPanels panels = panels_of<T>(g, packed);
  char* parts = static_cast<char*>(g.scratch) + plan.packed_bytes;
  const auto slab_of = [&](int64_t slot) { return parts + plan.pieces * plan.piece_bytes + slot * plan.slab_bytes; };
  if (plan.pieces == 1) {
    for_ranges<T>(
        g, 1,
        [&](int64_t, const GemmRange& range, int64_t slot) {
          if (plan.pack_own)
            kernel.pack(g, g.scratch, range.n_begin / kernel.columns, ceil_div(range.n_end, kernel.columns));
          run_prologue(g, range);
          kernel.tiles(g, panels, range, slab_of(slot));
        },
        plan.pack_own);
    return;
  }
  Gemm whole = g;
  whole.k /= plan.pieces;
  for_ranges<T>(whole, plan.pieces, [&](int64_t piece, const GemmRange& range, int64_t slot) {
    const int64_t k_begin = g.k * piece / plan.pieces, k_end = g.k * (piece + 1) / plan.pieces;
    Gemm part = {.m = g.m, .n = g.n, .k = k_end - k_begin};
    part.a = offset<T>(g.a, g.a_transposed ? k_begin * g.a_row_stride : k_begin);
    part.a_row_stride = g.a_row_stride;
    part.a_transposed = g.a_transposed;
    part.c = parts + piece * plan.piece_bytes;
    part.c_row_stride = g.n;
    GemmPanels below = panels;
    below.data = offset<T>(panels.data, k_begin * panels.k_stride);
    kernel.tiles(part, below, range, slab_of(slot));
  });
  Gemm last = g;
  last.k = plan.pieces;
  for_ranges<T>(last, 1, [&](int64_t, const GemmRange& range, int64_t) {
    run_prologue(g, range);
    kernel.sum(g, parts, plan.pieces, plan.piece_bytes / static_cast<int64_t>(sizeof(T)), range);
  });
}

// Small items of a batch: each is packed and multiplied by one thread.
template <class T> void run_whole_items(const Gemm& g, const Plan& plan) {
  const GemmKernels& kernel = kernels<T>();
  const auto one = [&](int64_t i, int64_t slot) {
    const Gemm item = batch_item<T>(g, i);
    const GemmRange range = {0, g.m, 0, g.n};
    if (plan.kernel == Plan::kDots) return kernel.dots(item, range);
    const void* packed = g.packed_b;
    char* slot_scratch = static_cast<char*>(g.scratch) + slot * (plan.packed_bytes + plan.slab_bytes);
    if (plan.pack) {
      kernel.pack(item, slot_scratch, 0, ceil_div(g.n, kernel.columns));
      packed = slot_scratch;
    }
    kernel.tiles(item, panels_of<T>(item, packed), range, slot_scratch + plan.packed_bytes);
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

}  // namespace

template <class T> size_t gemm_packed_bytes(int64_t n, int64_t k) {
  const int64_t columns = kernels<T>().columns;
  return static_cast<size_t>(ceil_div(n, columns) * columns * k) * sizeof(T);
}

template <class T> void gemm_pack_b(const Gemm& g, void* packed) { pack_in_parallel<T>(g, packed); }

bool gemm_prefers_plain_b(const Gemm& g) { return has_rows_to_dot(g) && g.n <= kFewColumns; }

template <class T> bool gemm_takes_extra(const Gemm& g) {
  if (g.batch != 1 || g.m <= 0 || g.n <= 0 || g.k <= 0 || g.alpha != 1 || is_better_transposed(g)) return false;
  const Plan plan = make_plan<T>(g);
  return plan.kernel == Plan::kTiles && plan.pieces == 1;
}

template <class T> size_t gemm_scratch_bytes(const Gemm& gemm) {
  const Gemm g = fold_batch(gemm);
  if (g.batch <= 0 || g.m <= 0 || g.n <= 0 || g.k <= 0) return 0;
  if (is_better_transposed(g))
    return static_cast<size_t>(2 * transposed_bytes<T>(g)) + gemm_scratch_bytes<T>(transposed(g));
  const Plan plan = make_plan<T>(g);
  return static_cast<size_t>((plan.whole_items ? thread_count() : 1) * plan.packed_bytes +
                             plan.pieces * plan.piece_bytes + thread_count() * plan.slab_bytes);
}

template <class T> void gemm(const Gemm& gemm) {
  const Gemm g = fold_batch(gemm);
  if (g.batch <= 0 || g.m <= 0 || g.n <= 0) return;
  if (g.k <= 0) {
    run_prologue(g, {0, g.m, 0, g.n});
    for (int64_t i = 0; i < g.batch; ++i) kernels<T>().sum(batch_item<T>(g, i), nullptr, 0, 0, {0, g.m, 0, g.n});
    return;
  }
  if (is_better_transposed(g)) return run_transposed<T>(g);
  const Plan plan = make_plan<T>(g);
  if (plan.whole_items) return run_whole_items<T>(g, plan);
  for (int64_t i = 0; i < g.batch; ++i) run_item<T>(batch_item<T>(g, i), plan);
}

template size_t gemm_packed_bytes<float>(int64_t, int64_t);
template size_t gemm_packed_bytes<double>(int64_t, int64_t);
template void gemm_pack_b<float>(const Gemm&, void*);
template void gemm_pack_b<double>(const Gemm&, void*);
template bool gemm_takes_extra<float>(const Gemm&);
template bool gemm_takes_extra<double>(const Gemm&);
template size_t gemm_scratch_bytes<float>(const Gemm&);
template size_t gemm_scratch_bytes<double>(const Gemm&);
template void gemm<float>(const Gemm&);
template void gemm<double>(const Gemm&);

}  // namespace userllm

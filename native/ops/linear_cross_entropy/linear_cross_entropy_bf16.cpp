// The loss of linear_cross_entropy.cpp with operands rounded to bfloat16: x, weight, and the gradient of the scores.
//
// The products are many times faster than the memory that exponentials could be kept in, so they are made twice: once
// for maxima and sums, and again for the gradient of the scores, as probabilities from which targets and smoothing are
// subtracted before they are rounded. That is what separate ops would round, to the bit of a score.
//
//     scores[class, row]      = rounded weight · rounded xᵀ       a tile at a time, in the first-level cache
//     x_gradᵀ[:, row]        += rounded weightᵀ · G               one group of classes at a time
//     weight_grad[class, :]  += G · rounded x                     one group of classes, all rows of a chunk
#include <algorithm>
#include <cmath>

#include "devices/cpu/gemm/blocks.h"
#include "devices/cpu/gemm/gemm_bf16.h"
#include "devices/cpu/gemm/precision.h"
#include "ops/linear_cross_entropy/linear_cross_entropy_bf16.simd.h"
#include "ops/linear_cross_entropy/loss_rows.h"

namespace userllm {
namespace lce {
namespace {

constexpr int64_t kTile = kLceTileClasses, kStrip = kLceTileRows, kPanel = 16, kStepK = 32;
constexpr int64_t kMaxChunk = 768, kMaxGroup = 384, kMinGroup = 128, kMaxBlocks = 16, kBlockTiles = 4, kFewRows = 384;
constexpr int64_t kChunkBytes = int64_t{8} << 20;    // of one block's gradient of x
constexpr int64_t kPartBytes = int64_t{32} << 20;    // of those of all blocks
constexpr int64_t kGroupBytes = int64_t{768} << 10;  // of a group of the weight
constexpr int64_t kShadowBytes = int64_t{16} << 20;  // of a rounded weight that a call makes for itself
constexpr float kLowest = -1e38f;

const LceBf16Kernels& kernels() {
#if defined(USER_LLM_HAS_BF16)
  if (bf16_tier() != Bf16Tier::kConvert) return lce_bf16_kernels_avx512bf16();
#endif
  return SIMD_CALL(lce_bf16_kernels)();
}

// Memory of one task at a time.
struct Slot {
  float* scores;          // a tile
  BFloat16* weight;       // a group, as rows
  BFloat16* across;       // the same across, as rows
  BFloat16* grad_rows;    // [group, chunk]
  BFloat16* grad_panels;  // [group, strip]
};

struct Plan : Sizes {
  int64_t chunk, blocks, group, tiles, slots;
  size_t bytes;

  int32_t* active;
  float *totals, *losses;
  BFloat16* shadow;                   // the weight rounded, where it is not and not too large
  BFloat16 *x, *x_across;             // the chunk as panels: for the scores, and for the gradient of the weight
  float *maxima, *sums, *score_sums;  // [blocks, chunk]
  float *factors, *subtract;          // [chunk]
  float* target_scores;               // [chunk, targets per row]
  float* target_terms;                // as many: what a target takes from the gradient of its score
  int32_t *first_of_tile, *places;    // targets of the chunk sorted by tiles of classes
  float* parts;                       // [blocks, width, chunk] of the gradient of x, across
  Slot slot;                          // the first
  int64_t slot_bytes;

  Plan(const Call& c, char* scratch) : Sizes(c) {
    tiles = ceil_div(classes, kTile);
    chunk = std::clamp(kChunkBytes / (4 * width + 1), kStrip, kMaxChunk) / kStrip * kStrip;
    chunk = round_up(ceil_div(std::max(rows, int64_t{1}), std::max(ceil_div(rows, chunk), int64_t{1})), kStepK);
    // A few blocks are a multiple of the usual numbers of threads.
    blocks = std::clamp(kPartBytes / (4 * width * chunk + 1), int64_t{4}, kMaxBlocks) / 4 * 4;
    blocks = std::clamp(ceil_div(tiles, kBlockTiles), int64_t{1}, blocks);
    const int64_t block_classes = std::max(ceil_div(tiles, blocks), int64_t{1}) * kTile;
    group = std::clamp(kGroupBytes / (4 * width + 1), kMinGroup, kMaxGroup);
    group = round_up(ceil_div(block_classes, ceil_div(block_classes, group)), kTile);
    slots = std::min<int64_t>(thread_count(), blocks);

    Arena arena{scratch};
    active = arena.take<int32_t>(rows);
    totals = arena.take<float>(rows);
    losses = arena.take<float>(rows);
    const bool shadows = c.in(source_of(c, kWeight, kShadow)).dtype != DType::kBFloat16 &&
                         classes * width * 2 <= kShadowBytes && rows > kFewRows;
    shadow = arena.take<BFloat16>(shadows ? classes * width : 0);
    if (!shadows) shadow = nullptr;
    x = arena.take<BFloat16>(panel_elements(chunk, width));
    x_across = arena.take<BFloat16>(wants_weight ? panel_elements(width, chunk) : 0);
    maxima = arena.take<float>(blocks * chunk);
    sums = arena.take<float>(blocks * chunk);
    score_sums = arena.take<float>(smooth ? blocks * chunk : 0);
    factors = arena.take<float>(backward ? chunk : 0);
    subtract = arena.take<float>(backward ? chunk : 0);
    target_scores = arena.take<float>(chunk * targets_per_row);
    target_terms = arena.take<float>(backward ? chunk * targets_per_row : 0);
    first_of_tile = arena.take<int32_t>(tiles + 1);
    places = arena.take<int32_t>(chunk * targets_per_row);
    parts = arena.take<float>(wants_x ? blocks * width * chunk : 0);
    const size_t before = arena.used;
    slot.scores = arena.take<float>(kTile * kStrip);
    slot.weight = arena.take<BFloat16>(int64_t(block_rows_bytes<BFloat16>(group, width) / 2));
    slot.across = arena.take<BFloat16>(wants_x ? int64_t(block_rows_bytes<BFloat16>(width, group) / 2) : 0);
    slot.grad_rows = arena.take<BFloat16>(backward ? group * grad_stride() : 0);
    slot.grad_panels = arena.take<BFloat16>(backward ? panel_elements(kStrip, group) : 0);
    slot_bytes = int64_t(arena.used - before);
    bytes = before + size_t(slots * slot_bytes);
  }

  static int64_t panel_elements(int64_t n, int64_t k) { return int64_t(block_panels_bytes<BFloat16>(n, k) / 2); }
  int64_t grad_stride() const { return block_row_stride<BFloat16>(chunk); }
  int64_t first_tile(int64_t block) const { return tiles * block / blocks; }

  Slot slot_of(int64_t i) const {
    const auto moved = [&](auto* first) {
      return reinterpret_cast<decltype(first)>(reinterpret_cast<char*>(first) + i * slot_bytes);
    };
    return {moved(slot.scores), moved(slot.weight), moved(slot.across), moved(slot.grad_rows), moved(slot.grad_panels)};
  }
};

uint16_t* bits(BFloat16* data) { return reinterpret_cast<uint16_t*>(data); }

class RoundedLoss {
 public:
  explicit RoundedLoss(Call& call)
      : c(call), plan(call, call.scratch<char>()), rows(call, plan, plan.active, plan.totals, plan.losses) {}

  void run() {
    if (plan.backward) rows.clear_gradients();
    if (plan.shadow && rows.count > 0)
      parallel_ranges(plan.classes * plan.width, 1 << 15, [&](int64_t begin, int64_t end) {
        kernel.round_values(weight.as<float>() + begin, bits(plan.shadow) + begin, end - begin);
      });
    const int64_t chunks = ceil_div(rows.count, plan.chunk);
    for (int64_t i = 0; i < chunks; ++i) {
      const int64_t begin = rows.count * i / chunks;
      index = plan.active + begin;
      count = rows.count * (i + 1) / chunks - begin;
      columns = round_up(count, kPanel);
      first_chunk = i == 0;
      run_chunk();
    }
    rows.finish();
  }

 private:
  Call& c;
  const Plan plan;
  const LossRows<float> rows;
  const LceBf16Kernels& kernel = kernels();
  const float* const x = c.in(kX).as<float>();
  const TensorRef& weight = c.in(source_of(c, kWeight, kShadow));
  const bool rounded_weight = weight.dtype == DType::kBFloat16;
  const float* const bias = c.in(kBias).as<float>();
  const int32_t* const targets = c.in(kTargets).as<int32_t>();
  float* const x_grad = c.out(kXGrad).as<float>();
  float* const weight_grad = c.out(kWeightGrad).as<float>();
  float* const bias_grad = c.out(kBiasGrad).as<float>();
  const float smoothing = float(c.number(kSmoothing)), soft_cap = float(c.number(kSoftCap));

  // The chunk.
  const int32_t* index = nullptr;
  int64_t count = 0, columns = 0;
  bool first_chunk = false;

  void run_chunk() {
    pack_x();
    sort_targets();
    parallel_with_slots(plan.blocks, [&](int64_t b, int64_t slot) { make_sums(b, plan.slot_of(slot)); });
    parallel_ranges(columns, kPanel, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) finish_row(r);
    });
    if (!plan.backward) return;
    parallel_with_slots(plan.blocks, [&](int64_t b, int64_t slot) { make_gradients(b, plan.slot_of(slot)); });
    if (plan.wants_x) parallel_ranges(columns, kPanel, [&](int64_t begin, int64_t) { finish_x_grad(begin); });
  }

  // Rows by index lie anywhere: sixteen at a time are brought together and packed.
  void pack_x() {
    const int64_t width = plan.width, k = block_k<BFloat16>(width);
    parallel_ranges(columns, kPanel, [&](int64_t begin, int64_t) {
      const int64_t height = std::min(kPanel, count - begin);
      for (int64_t r = 0; r < kPanel; ++r)
        for (int64_t i = 0; i < k; ++i) {
          const float value = r < height && i < width ? x[index[begin + r] * width + i] : 0;
          plan.x[begin * k + i / 2 * 2 * kPanel + r * 2 + i % 2] = BFloat16(value);
        }
    });
    if (!plan.wants_weight) return;
    const int64_t rows_k = block_k<BFloat16>(count);
    parallel_ranges(round_up(width, kPanel), kPanel, [&](int64_t begin, int64_t) {
      BFloat16* const panel = plan.x_across + begin * rows_k;
      for (int64_t r = 0; r < rows_k; ++r)
        for (int64_t i = 0; i < kPanel; ++i) {
          const float value = r < count && begin + i < width ? x[index[r] * width + begin + i] : 0;
          panel[r / 2 * 2 * kPanel + i * 2 + r % 2] = BFloat16(value);
        }
    });
  }

  // Places of the targets that count, tile by tile, rows in order.
  void sort_targets() {
    int32_t* const first = plan.first_of_tile;
    std::fill(first, first + plan.tiles + 1, 0);
    const auto each = [&](const auto& body) {
      for (int64_t r = 0; r < count; ++r)
        for (int64_t e = 0; e < plan.targets_per_row; ++e) {
          const int64_t target = targets[index[r] * plan.targets_per_row + e];
          if (rows.counts(target)) body(target / kTile, int32_t(r * plan.targets_per_row + e));
        }
    };
    each([&](int64_t tile, int32_t) { ++first[tile + 1]; });
    for (int64_t tile = 0; tile < plan.tiles; ++tile) first[tile + 1] += first[tile];
    // Each start moves to the next one's, which is where it belongs after all.
    each([&](int64_t tile, int32_t place) { plan.places[first[tile]++] = place; });
    for (int64_t tile = plan.tiles; tile > 0; --tile) first[tile] = first[tile - 1];
    if (plan.tiles > 0) first[0] = 0;
  }

  // body(place, class in the tile, column in the strip) for the targets in a tile and a strip.
  template <class Body> int64_t each_target(int64_t tile, int64_t strip, int64_t width, const Body& body) const {
    int64_t found = 0;
    for (int64_t i = plan.first_of_tile[tile]; i < plan.first_of_tile[tile + 1]; ++i) {
      const int64_t place = plan.places[i], r = place / plan.targets_per_row;
      if (r < strip || r >= strip + width) continue;
      const int64_t target = targets[index[r] * plan.targets_per_row + place % plan.targets_per_row];
      body(place, target % kTile, r - strip);
      ++found;
    }
    return found;
  }

  struct Group {
    int64_t first_tile, last_tile, first, classes;
    BlockRows<BFloat16> weight;
  };
  // body(group) for the groups of a block, with their weights packed.
  template <class Body> void each_group(int64_t b, const Slot& slot, const Body& body) const {
    const int64_t last = plan.first_tile(b + 1), step = plan.group / kTile;
    for (int64_t tile = plan.first_tile(b); tile < last; tile += step) {
      Group group = {tile, std::min(tile + step, last), tile * kTile, 0, {}};
      group.classes = std::min(group.last_tile * kTile, plan.classes) - group.first;
      group.weight = block_rows(operand(group.first, false), group.classes, plan.width, slot.weight);
      body(group);
    }
  }
  Operand operand(int64_t first_class, bool across) const {
    const int64_t at = first_class * plan.width;
    if (plan.shadow) return {plan.shadow + at, plan.width, across, true};
    return {weight.as<char>() + at * int64_t(size_of(weight.dtype)), plan.width, across, rounded_weight};
  }

  // The scores of a tile and a strip, with bias and soft cap.
  LceTile score(const Group& group, int64_t tile, int64_t strip, const Slot& slot, int64_t b) const {
    LceTile t = {};
    t.scores = slot.scores;
    t.classes = std::min(kTile, plan.classes - tile * kTile);
    t.columns = std::min(kStrip, columns - strip);
    t.bias = bias ? bias + tile * kTile : nullptr;
    t.soft_cap = soft_cap;
    const int64_t at = b * plan.chunk + strip;
    t.maxima = plan.maxima + at;
    t.sums = plan.sums + at;
    t.score_sums = plan.smooth ? plan.score_sums + at : nullptr;
    const int64_t stride = group.weight.stride, k = block_k<BFloat16>(plan.width);
    block_multiply<BFloat16>({.m = t.classes,
                              .n = t.columns,
                              .k = plan.width,
                              .a = {group.weight.data + (tile - group.first_tile) * kTile * stride, stride},
                              .b = plan.x + strip * k,
                              .c = slot.scores,
                              .c_stride = kStrip});
    if (bias || plan.capped) kernel.cap(t);
    return t;
  }

  void make_sums(int64_t b, const Slot& slot) {
    const BlockScope scope;
    const int64_t at = b * plan.chunk;
    std::fill(plan.maxima + at, plan.maxima + at + columns, kLowest);
    std::fill(plan.sums + at, plan.sums + at + columns, 0.0f);
    if (plan.smooth) std::fill(plan.score_sums + at, plan.score_sums + at + columns, 0.0f);
    each_group(b, slot, [&](const Group& group) {
      for (int64_t strip = 0; strip < columns; strip += kStrip)
        for (int64_t tile = group.first_tile; tile < group.last_tile; ++tile) {
          const LceTile t = score(group, tile, strip, slot, b);
          kernel.sums(t);
          each_target(tile, strip, t.columns, [&](int64_t place, int64_t i, int64_t j) {
            plan.target_scores[place] = t.scores[i * kStrip + j];
          });
        }
    });
  }

  // The blocks of a row put together: its loss, and what its exponentials count for in the gradients. The maximum goes
  // to the first block.
  void finish_row(int64_t r) {
    float max = plan.maxima[r];
    for (int64_t b = 1; b < plan.blocks; ++b) max = std::max(max, plan.maxima[b * plan.chunk + r]);
    double sum = 0, scores = 0;
    for (int64_t b = 0; b < plan.blocks; ++b) {
      const int64_t at = b * plan.chunk + r;
      sum += double(plan.sums[at]) * std::exp2(double(plan.maxima[at]) - double(max));
      if (plan.smooth) scores += double(plan.score_sums[at]);
    }
    plan.maxima[r] = max;
    if (r >= count) {
      if (plan.backward) plan.factors[r] = plan.subtract[r] = 0;
      return;
    }
    const int64_t row = index[r];
    const double log_sum = (double(max) + std::log2(sum)) / double(kLog2E), total = double(plan.totals[row]);
    const float factor = rows.factor_of(row);
    if (plan.backward) {
      plan.factors[r] = float(double(factor) * total / sum);
      plan.subtract[r] = float(double(factor) * total * double(smoothing) / double(plan.classes));
    }
    double loss = 0;
    rows.each_target(row, [&](int64_t at, int64_t, float target_weight) {
      const int64_t place = at + (r - row) * plan.targets_per_row;
      const float score = plan.target_scores[place], share = (1 - smoothing) * target_weight;
      loss += double(share) * (log_sum - double(score));
      if (plan.backward) {
        const float ratio = plan.capped ? score / soft_cap : 0;
        plan.target_terms[place] = factor * share * (1 - ratio * ratio);
      }
    });
    if (plan.smooth) loss += double(smoothing) * total * (log_sum - scores / double(plan.classes));
    plan.losses[row] = float(double(rows.weight_of(row)) * loss);
  }

  void make_gradients(int64_t b, const Slot& slot) {
    const BlockScope scope;
    bool first_group = true;
    each_group(b, slot, [&](const Group& group) {
      if (plan.wants_x) block_pack_rows(operand(group.first, true), plan.width, group.classes, slot.across);
      for (int64_t strip = 0; strip < columns; strip += kStrip) {
        for (int64_t tile = group.first_tile; tile < group.last_tile; ++tile) {
          make_tile(group, tile, strip, slot);
          fetch(group, tile, strip);
        }
        if (!plan.wants_x) continue;
        block_multiply<BFloat16>({.m = plan.width,
                                  .n = std::min(kStrip, columns - strip),
                                  .k = group.classes,
                                  .a = {slot.across, block_row_stride<BFloat16>(group.classes)},
                                  .b = slot.grad_panels,
                                  .c = plan.parts + b * plan.width * plan.chunk + strip,
                                  .c_stride = plan.chunk,
                                  .accumulate = !first_group});
      }
      if (plan.wants_weight)
        block_multiply<BFloat16>({.m = group.classes,
                                  .n = plan.width,
                                  .k = count,
                                  .a = {slot.grad_rows, plan.grad_stride()},
                                  .b = plan.x_across,
                                  .c = weight_grad + group.first * plan.width,
                                  .c_stride = plan.width,
                                  .accumulate = !first_chunk});
      first_group = false;
    });
  }

  // Between tiles, a part of what the group's gradient of the weight is added to comes from memory.
  void fetch(const Group& group, int64_t tile, int64_t strip) const {
    if (!plan.wants_weight || first_chunk) return;
    const int64_t tiles = group.last_tile - group.first_tile, parts = ceil_div(columns, kStrip) * tiles;
    const int64_t part = strip / kStrip * tiles + tile - group.first_tile, bytes = group.classes * plan.width * 4;
    const char* const from = reinterpret_cast<const char*>(weight_grad + group.first * plan.width);
    for (int64_t at = bytes * part / parts; at < bytes * (part + 1) / parts; at += 64)
      __builtin_prefetch(from + at, 1, 2);
  }

  void make_tile(const Group& group, int64_t tile, int64_t strip, const Slot& slot) {
    LceTile t = score(group, tile, strip, slot, 0);
    const int64_t k = block_k<BFloat16>(group.classes), i = (tile - group.first_tile) * kTile;
    t.factors = plan.factors + strip;
    t.subtract = plan.subtract + strip;
    t.rows = bits(slot.grad_rows) + i * plan.grad_stride() + strip;
    t.row_stride = plan.grad_stride();
    t.panels = bits(slot.grad_panels) + i * kPanel;
    t.panel_stride = k * kPanel;
    const int64_t found = each_target(tile, strip, t.columns, [](int64_t, int64_t, int64_t) {});
    if (found == 0 && !bias_grad) return kernel.rounded_gradients(t);
    kernel.gradients(t);
    each_target(tile, strip, t.columns,
                [&](int64_t place, int64_t i, int64_t j) { t.scores[i * kStrip + j] -= plan.target_terms[place]; });
    if (bias_grad) {
      float* const to = bias_grad + tile * kTile;
      for (int64_t i = 0; i < t.classes; ++i) {
        double sum = first_chunk && strip == 0 ? 0 : double(to[i]);
        for (int64_t j = 0; j < std::min(t.columns, count - strip); ++j) sum += double(t.scores[i * kStrip + j]);
        to[i] = float(sum);
      }
    }
    kernel.round(t);
  }

  // Columns [begin, begin + kPanel) of the parts, added up and turned into rows.
  void finish_x_grad(int64_t begin) {
    const int64_t height = std::min(kPanel, count - begin);
    for (int64_t i = 0; i < plan.width; ++i) {
      float sum[kPanel] = {};
      for (int64_t b = 0; b < plan.blocks; ++b) {
        const float* part = plan.parts + (b * plan.width + i) * plan.chunk + begin;
        for (int64_t r = 0; r < kPanel; ++r) sum[r] += part[r];
      }
      for (int64_t r = 0; r < height; ++r) x_grad[index[begin + r] * plan.width + i] = sum[r];
    }
  }
};

}  // namespace

size_t bf16_scratch_bytes(const Call& c) { return Plan(c, nullptr).bytes; }
void run_bf16(Call& c) { RoundedLoss(c).run(); }

}  // namespace lce
}  // namespace userllm

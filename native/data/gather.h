// One batch of windows: which values it takes, and where they go in a block of memory that is used again and again.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "data/windows.h"

namespace userllm {

enum class FeatureSource : int {
  kItem = 0,    // the item of the event
  kEvent = 1,   // a value of the event
  kOfItem = 2,  // a value of the event's item
};

struct GatheredFeature {
  std::string name;
  FeatureSource source = FeatureSource::kItem;
  bool bag = false;
  int32_t size = 0;         // values are 0 ... size - 1, or -1 for a missing one that is not in a bag
  int32_t longest = 1;      // most values of a row
  Column<int32_t> values;   // one for each row (event or item); those of all rows for a bag; none for the item
  Column<int32_t> offsets;  // of a bag: row r has values[offsets[r] ... offsets[r + 1])
};

struct GatherSpec {
  Windows windows;
  Column<int32_t> items;  // of each event
  int32_t item_count = 0;
  std::vector<GatheredFeature> features;
  bool ragged = false;   // windows one after the other, else each padded to windows.longest
  bool targets = false;  // each input's successor, too
  int64_t batch = 0;     // most windows

  // Throws std::runtime_error where lengths do not go together.
  void check() const;
};

// Target of a position that does not count, as in the losses.
constexpr int32_t kIgnored = -100;

// What a block holds, in order. Doubles at its start say where: first the four of `Head`, then offset in bytes and
// length of each section.
//
//     users       int32   [windows]
//     targetRows  float64 [windows]
//     lengths     int32   [windows], or offsets [windows + 1] when ragged
//     a feature   int32   inputs [positions], targets [positions]
//     a bag       int32   ids, offsets [positions + 1], targets [positions, longest]
class Gather {
 public:
  enum Head { kSlot, kSize, kEpoch, kPosition, kHeads };

  explicit Gather(GatherSpec spec);
  const GatherSpec& spec() const { return spec_; }
  // Of a block.
  size_t bytes() const { return offsets_.back(); }

  // Writes the sections for the windows with these numbers. False when `cancelled` came in between. Throws
  // std::runtime_error at a value that the columns should not hold.
  bool fill(const std::vector<uint64_t>& indices, double* block, const std::atomic<bool>& cancelled);

 private:
  void require_addressable(int64_t values) const;
  // The next section, with room for what it may hold at most; `length` says how much it holds.
  template <class T> T* section(int64_t length);
  void set_length(size_t section, int64_t length) { block_[kHeads + 2 * section + 1] = double(length); }
  void locate(const std::vector<uint64_t>& indices);
  void prefetch(const Window& window) const;
  void gather_items();
  void gather_single(const GatheredFeature& feature);
  void gather_bag(const GatheredFeature& feature);
  // Position of a window's first input in the batch.
  int64_t first_position(size_t window) const {
    return spec_.ragged ? steps_[window] - int64_t(window) : int64_t(window) * spec_.windows.longest;
  }
  // Row of the feature's column behind row `step` of a window.
  int64_t row_of(const GatheredFeature& feature, size_t window, int64_t step) const {
    return feature.source == FeatureSource::kOfItem ? items_[size_t(steps_[window] + step)]
                                                    : windows_[window].start + step;
  }

  GatherSpec spec_;
  bool wants_items_ = false;
  std::vector<size_t> offsets_;  // of each section in the block; then of the block's end

  // Of the batch that is being filled.
  double* block_ = nullptr;
  size_t next_section_ = 0;
  std::vector<Window> windows_;
  std::vector<int64_t> steps_;   // [windows + 1] rows of the windows before, targets included
  std::vector<int32_t> items_;   // of each of those rows
  std::vector<int32_t> values_;  // of one window's rows
  int64_t positions_ = 0;        // that inputs are written for, padding included
};

}  // namespace userllm

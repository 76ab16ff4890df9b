#include "data/gather.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "core/error.h"

namespace userllm {
namespace {

std::string place(FeatureSource source, int64_t row, const std::string& column) {
  const char* file = source == FeatureSource::kOfItem ? "items.arrow" : "events.arrow";
  return concat(file, ", row ", row, ", column \"", column, "\": ");
}

// Errors take numbers by value: one whose address is taken anywhere is kept in memory by the loop that reads it.
[[noreturn, gnu::cold, gnu::noinline]] void fail_value(FeatureSource source, int64_t row, const std::string& column,
                                                       int least, int32_t size, int32_t value) {
  throw std::runtime_error(concat(place(source, row, column), "expected ", least, " ... ", size - 1, ", got ", value));
}

[[noreturn, gnu::cold, gnu::noinline]] void fail_bag(const GatheredFeature& feature, int64_t row, int32_t first,
                                                     int32_t last) {
  throw std::runtime_error(concat(place(feature.source, row, feature.name), "expected a bag of 0 ... ", feature.longest,
                                  " of ", feature.values.length(), " values, got ", first, " ... ", last));
}

void require_length(const std::string& name, size_t length, size_t wanted, const char* of) {
  if (length != wanted)
    throw std::runtime_error(concat("column \"", name, "\": ", length, " values for ", wanted, " ", of));
}

}  // namespace

void GatherSpec::check() const {
  const size_t events = items.length();
  windows.check(events);
  for (const GatheredFeature& feature : features) {
    if (feature.source == FeatureSource::kItem) continue;
    const bool of_item = feature.source == FeatureSource::kOfItem;
    const size_t rows = of_item ? size_t(item_count) : events;
    const size_t length = feature.bag ? feature.offsets.length() : feature.values.length();
    require_length(feature.name, length, rows + (feature.bag ? 1 : 0), of_item ? "items" : "events");
  }
}

Gather::Gather(GatherSpec spec) : spec_(std::move(spec)) {
  const int64_t positions = spec_.batch * spec_.windows.longest;
  require_addressable(positions);
  std::vector<size_t> bytes = {size_t(spec_.batch) * 4, size_t(spec_.batch) * 8, size_t(spec_.batch + 1) * 4};
  for (const GatheredFeature& feature : spec_.features) {
    const int64_t values = positions * feature.longest;
    require_addressable(values);
    bytes.push_back(size_t(values) * 4);
    if (feature.bag) bytes.push_back(size_t(positions + 1) * 4);
    if (spec_.targets) bytes.push_back(size_t(values) * 4);
    wants_items_ |= feature.source != FeatureSource::kEvent;
  }
  size_t offset = (kHeads + 2 * bytes.size()) * sizeof(double);
  for (const size_t capacity : bytes) {
    offsets_.push_back(offset);
    offset += (capacity + 63) / 64 * 64;
  }
  offsets_.push_back(offset);
}

// Offsets of bags and of windows are int32, as tensors of indices are.
void Gather::require_addressable(int64_t values) const {
  if (values >= INT32_MAX)
    throw std::runtime_error(concat("a batch of ", spec_.batch, " windows of ", spec_.windows.longest,
                                    " events has more than ", INT32_MAX, " values; make it smaller"));
}

bool Gather::fill(const std::vector<uint64_t>& indices, double* block, const std::atomic<bool>& cancelled) {
  block_ = block;
  next_section_ = 0;
  block_[kSize] = double(indices.size());
  locate(indices);
  if (wants_items_) gather_items();
  for (const GatheredFeature& feature : spec_.features) {
    if (cancelled.load(std::memory_order_relaxed)) return false;
    feature.bag ? gather_bag(feature) : gather_single(feature);
  }
  return true;
}

template <class T> T* Gather::section(int64_t length) {
  const size_t offset = offsets_[next_section_];
  block_[kHeads + 2 * next_section_] = double(offset);
  set_length(next_section_++, length);
  return reinterpret_cast<T*>(reinterpret_cast<char*>(block_) + offset);
}

void Gather::locate(const std::vector<uint64_t>& indices) {
  const size_t count = indices.size();
  windows_.resize(count);
  steps_.resize(count + 1);
  steps_[0] = 0;
  auto* const users = section<int32_t>(int64_t(count));
  auto* const target_rows = section<double>(int64_t(count));
  auto* const lengths = section<int32_t>(int64_t(spec_.ragged ? count + 1 : count));
  if (spec_.ragged) lengths[0] = 0;
  for (size_t i = 0; i < count; ++i) {
    const Window window = spec_.windows.at(indices[i]);
    prefetch(window);
    windows_[i] = window;
    steps_[i + 1] = steps_[i] + window.inputs() + 1;
    users[i] = window.user;
    target_rows[i] = double(window.target);
    if (spec_.ragged)
      lengths[i + 1] = int32_t(steps_[i + 1] - int64_t(i + 1));
    else
      lengths[i] = int32_t(window.inputs());
  }
  positions_ = first_position(count);
}

// The rows of a window lie anywhere; where they begin is known long before they are read.
void Gather::prefetch(const Window& window) const {
  const auto start = size_t(window.start);
  if (wants_items_) spec_.items.prefetch(start);
  for (const GatheredFeature& feature : spec_.features)
    if (feature.source == FeatureSource::kEvent) (feature.bag ? feature.offsets : feature.values).prefetch(start);
}

// Items are indices of columns, so they are copied before they are checked and used.
void Gather::gather_items() {
  const auto limit = uint32_t(spec_.item_count);
  items_.resize(size_t(steps_.back()));
  for (size_t w = 0; w < windows_.size(); ++w) {
    const Window& window = windows_[w];
    int32_t* const items = items_.data() + steps_[w];
    const int64_t rows = window.inputs() + 1;
    std::memcpy(items, spec_.items.data() + window.start, size_t(rows) * sizeof(int32_t));
    bool outside = false;
    for (int64_t i = 0; i < rows; ++i) outside |= uint32_t(items[i]) >= limit;
    for (int64_t i = 0; outside && i < rows; ++i)
      if (uint32_t(items[i]) >= limit)
        fail_value(FeatureSource::kEvent, window.start + i, "item", 0, spec_.item_count, items[i]);
  }
}

void Gather::gather_single(const GatheredFeature& feature) {
  const int32_t missing = feature.size;
  const auto limit = uint32_t(feature.size);
  auto* const inputs = section<int32_t>(positions_);
  auto* const targets = spec_.targets ? section<int32_t>(positions_) : nullptr;
  values_.resize(size_t(spec_.windows.longest + 1));
  int32_t* const values = values_.data();

  for (size_t w = 0; w < windows_.size(); ++w) {
    const int64_t length = windows_[w].inputs(), rows = length + 1;
    if (feature.source == FeatureSource::kItem)
      std::memcpy(values, items_.data() + steps_[w], size_t(rows) * sizeof(int32_t));
    else if (feature.source == FeatureSource::kEvent)
      std::memcpy(values, feature.values.data() + windows_[w].start, size_t(rows) * sizeof(int32_t));
    else
      for (int64_t i = 0; i < rows; ++i) values[i] = feature.values[size_t(items_[size_t(steps_[w] + i)])];

    bool outside = false;
    for (int64_t i = 0; i < rows; ++i) outside |= uint32_t(values[i]) + 1 > limit;
    for (int64_t i = 0; outside && i < rows; ++i)
      if (uint32_t(values[i]) + 1 > limit)
        fail_value(feature.source, row_of(feature, w, i), feature.name, -1, feature.size, values[i]);

    const int64_t at = first_position(w), end = first_position(w + 1);
    for (int64_t i = 0; i < length; ++i) inputs[at + i] = values[i] < 0 ? missing : values[i];
    std::fill(inputs + at + length, inputs + end, 0);
    if (!targets) continue;
    for (int64_t i = 0; i < length; ++i) targets[at + i] = values[i + 1] < 0 ? kIgnored : values[i + 1];
    std::fill(targets + at + length, targets + end, kIgnored);
  }
}

void Gather::gather_bag(const GatheredFeature& feature) {
  const int64_t longest = feature.longest;
  const auto limit = uint32_t(feature.size);
  const auto all = int64_t(feature.values.length());
  const size_t ids_section = next_section_;
  auto* const ids = section<int32_t>(0);
  auto* const offsets = section<int32_t>(positions_ + 1);
  auto* const targets = spec_.targets ? section<int32_t>(positions_ * longest) : nullptr;
  int32_t count = 0;  // of ids
  offsets[0] = 0;

  for (size_t w = 0; w < windows_.size(); ++w) {
    const int64_t length = windows_[w].inputs(), at = first_position(w), end = first_position(w + 1);
    for (int64_t i = 0; i <= length; ++i) {
      const int64_t row = row_of(feature, w, i);
      const int32_t first = feature.offsets[size_t(row)], last = feature.offsets[size_t(row) + 1];
      const int64_t values = int64_t(last) - first;
      if (first < 0 || values < 0 || values > longest || last > all) fail_bag(feature, row, first, last);
      const bool is_input = i < length;
      int32_t* const target = targets && i > 0 ? targets + (at + i - 1) * longest : nullptr;
      for (int64_t k = 0; k < values; ++k) {
        const int32_t value = feature.values[size_t(first + k)];
        if (uint32_t(value) >= limit) fail_value(feature.source, row, feature.name, 0, feature.size, value);
        if (is_input) ids[count + k] = value;
        if (target) target[k] = value;
      }
      if (target) std::fill(target + values, target + longest, kIgnored);
      if (!is_input) continue;
      count += int32_t(values);
      offsets[at + i + 1] = count;
    }
    std::fill(offsets + at + length + 1, offsets + end + 1, count);
    if (targets) std::fill(targets + (at + length) * longest, targets + end * longest, kIgnored);
  }
  set_length(ids_section, count);
}

}  // namespace userllm

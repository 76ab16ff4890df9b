// Loaders from several threads at once, each a reader's own as an environment's is: they are read to their end, removed
// and stopped in mid-gather, and go on when the mapping they read is let go by everybody else.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "data/loader.h"
#include "data/mapped_file.h"
#include "data/permutation.h"

namespace userllm {
namespace {

std::atomic<int> failures{0};

void expect(bool ok, const char* what) {
  if (ok) return;
  failures.fetch_add(1);
  std::fprintf(stderr, "FAILED: %s\n", what);
}

constexpr int kUsers = 40, kRows = 25, kItems = 100;  // rows of each user

// A file of numbers, removed from the folder as soon as it is mapped.
Column<int32_t> mapped(const std::vector<int32_t>& numbers) {
  char path[] = "/tmp/user-llm-stress-XXXXXX";
  const int file = ::mkstemp(path);
  const auto bytes = ssize_t(numbers.size() * sizeof(int32_t));
  expect(file >= 0 && ::write(file, numbers.data(), size_t(bytes)) == bytes, "a file is written");
  ::close(file);
  const auto mapping = MappedFile::open(path);
  ::unlink(path);
  const auto* const data = static_cast<const int32_t*>(mapping->data());
  expect(MappedFile::holding(data + 1, 4) == mapping, "bytes of a mapping are found");
  expect(!MappedFile::holding(&bytes, 4), "other bytes are not");
  return {data, numbers.size(), mapping};
}

// Row r has item r % kItems, which has the bag { item % 7, item % 5 }.
GatherSpec make_spec(bool ragged) {
  std::vector<int32_t> items(kUsers * kRows), offsets(kItems + 1), values(2 * kItems);
  for (int row = 0; row < kUsers * kRows; ++row) items[size_t(row)] = row % kItems;
  for (int item = 0; item <= kItems; ++item) offsets[size_t(item)] = 2 * item;
  for (int item = 0; item < kItems; ++item) {
    values[size_t(2 * item)] = item % 7;
    values[size_t(2 * item + 1)] = item % 5;
  }
  std::vector<double> first, cumulative = {0}, starts = {0};
  for (int user = 0; user < kUsers; ++user) {
    first.push_back(user * kRows + 2);
    cumulative.push_back(cumulative.back() + kRows - 2);
    starts.push_back(starts.back() + kRows);
  }
  GatherSpec spec;
  spec.windows.first = {first.data(), first.size()};
  spec.windows.cumulative = {cumulative.data(), cumulative.size()};
  spec.windows.starts = {starts.data(), starts.size()};
  spec.windows.longest = 8;
  spec.items = mapped(items);
  spec.item_count = kItems;
  spec.features.push_back({"item", FeatureSource::kItem, false, kItems, 1, {}, {}});
  spec.features.push_back({"bag", FeatureSource::kOfItem, true, 7, 2, mapped(values), mapped(offsets)});
  spec.ragged = ragged;
  spec.targets = true;
  spec.batch = 32;
  return spec;
}

// What JavaScript's thread does: hears of batches, takes them and gives them back.
class Reader {
 public:
  Reader() : thread_([this](uint32_t) { tell(); }) {}

  std::shared_ptr<Loader> add(GatherSpec spec, const Schedule& schedule) {
    auto loader = std::make_shared<Loader>(++last_id_, std::move(spec), schedule, 3);
    thread_.add(loader);
    return loader;
  }
  LoaderThread::Taken next(Loader& loader) {
    thread_.ask(loader);
    Lock lock(mutex_);
    told_condition_.wait(lock, [&] { return told_ > 0; });
    --told_;
    return thread_.take(loader);
  }
  LoaderThread& thread() { return thread_; }

 private:
  void tell() {
    Lock lock(mutex_);
    ++told_;
    told_condition_.notify_one();
  }

  Mutex mutex_;
  Condition told_condition_;
  int told_ = 0;
  uint32_t last_id_ = 0;
  LoaderThread thread_;  // ends first, as it calls tell()
};

template <class T> const T* section(const double* block, int i) {
  return reinterpret_cast<const T*>(reinterpret_cast<const char*>(block) + size_t(block[Gather::kHeads + 2 * i]));
}

// The sections of a batch agree with the rows that its windows name.
bool is_right(const double* block, bool ragged) {
  const auto* rows = section<double>(block, 1);
  const auto *extents = section<int32_t>(block, 2), *items = section<int32_t>(block, 3),
             *targets = section<int32_t>(block, 4), *ids = section<int32_t>(block, 5);
  bool right = true;
  for (int w = 0, bag = 0; w < int(block[Gather::kSize]); ++w) {
    const int target = int(rows[w]), length = ragged ? extents[w + 1] - extents[w] : extents[w];
    const int at = ragged ? extents[w] : 8 * w;
    right = right && length == std::min(8, target % kRows);
    for (int i = 0; i < length; ++i, bag += 2) {
      const int item = (target - length + i) % kItems;
      right = right && items[at + i] == item && targets[at + i] == (target - length + i + 1) % kItems;
      right = right && ids[bag] == item % 7 && ids[bag + 1] == item % 5;
    }
  }
  return right;
}

void read(bool ragged, int rounds) {
  Reader reader;
  for (int round = 0; round < rounds; ++round) {
    const uint64_t count = kUsers * (kRows - 2);
    const Schedule schedule = {.shuffle = true, .seed = uint64_t(round), .share = count, .end_epoch = 2};
    const auto one = reader.add(make_spec(ragged), schedule), other = reader.add(make_spec(!ragged), schedule);
    std::vector<int> seen(kUsers * kRows);
    for (;;) {
      const auto taken = reader.next(*one);
      if (taken.slot < 0) break;
      const double* const block = one->block(taken.slot).get();
      expect(is_right(block, ragged), "a batch is right");
      for (int w = 0; w < int(block[Gather::kSize]); ++w) ++seen[size_t(section<double>(block, 1)[w])];
      reader.thread().give_back(*one, taken.slot);
      reader.thread().give_back(*one, taken.slot);  // twice is as good as once
    }
    for (int row = 0; row < kUsers * kRows; ++row)
      expect(seen[size_t(row)] == (row % kRows < 2 ? 0 : 2), "every window comes once in each of two epochs");
    expect(reader.next(*other).slot >= 0, "a neighbour has a batch, too");
    reader.thread().remove(*one);
    reader.thread().remove(*other);
    reader.thread().remove(*other);
  }
}

// Loaders that go away in mid-gather, by themselves and with their thread.
void abandon(int rounds) {
  for (int round = 0; round < rounds; ++round) {
    Reader reader;
    const Schedule endless = {.shuffle = true, .share = kUsers * (kRows - 2), .end_epoch = 1e300};
    for (int i = 0; i < 4; ++i) {
      const auto loader = reader.add(make_spec(i % 2 == 0), endless);
      if (i % 2 == 0) expect(reader.next(*loader).slot >= 0, "a batch comes");
      if (i < 2) reader.thread().remove(*loader);
    }
  }
}

void refuse() {
  Reader reader;
  GatherSpec corrupted = make_spec(false);
  corrupted.item_count = 50;
  const auto loader = reader.add(std::move(corrupted), {.share = 1});
  expect(!reader.next(*loader).error.empty(), "items beyond the last are an error");
  const auto greedy = reader.add(make_spec(false), {.rank = 1, .world = 2, .share = kUsers * (kRows - 2)});
  expect(!reader.next(*greedy).error.empty(), "more windows than there are, are an error");
  try {
    MappedFile::open("/nowhere/at/all");
    expect(false, "a file that is not there cannot be mapped");
  } catch (const std::runtime_error&) {
  }
}

// Orders may never change: runs would not resume. The numbers are those of src/data/loader/permutation.ts.
void permutations() {
  struct Known {
    uint64_t count, seed, epoch, index, element;
  };
  for (const auto& [count, seed, epoch, index, element] : {
           Known{10, 0, 0, 3, 5},
           Known{1000, 7, 1, 999, 779},
           Known{13844810, 42, 5, 1000000, 6494671},
           Known{1099511627783, 123456789012345, 3, 549755813889, 929447677093},
           Known{9007199254740991, 9007199254740991, 4294967297, 4503599627370496, 939174419698115},
       })
    expect(Permutation(count, seed, epoch)(index) == element, "a permutation is what it was");
}

}  // namespace

int loader_failures(int rounds) {
  std::vector<std::thread> threads;
  for (const bool ragged : {false, true}) {
    threads.emplace_back(read, ragged, rounds);
    threads.emplace_back(abandon, rounds);
  }
  for (auto& thread : threads) thread.join();
  refuse();
  permutations();
  return failures.load();
}

}  // namespace userllm

// Batches of windows, gathered ahead of whoever trains on them by a thread of the environment.
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/sync.h"
#include "data/gather.h"
#include "data/permutation.h"

namespace userllm {

// Which windows come when. This rank of `world` takes every world-th of an epoch's order.
struct Schedule {
  bool shuffle = false;
  uint64_t seed = 0;
  uint64_t rank = 0, world = 1;
  uint64_t share = 0;     // windows of an epoch that this rank takes
  uint64_t epoch = 0;     // where it begins: this epoch,
  uint64_t position = 0;  // after this many windows of the rank's share
  double end_epoch = 1;   // where it ends; may be infinite
};

class Loader {
 public:
  // Throws std::runtime_error when the schedule does not fit the windows. The spec itself is checked when filling
  // begins.
  Loader(uint32_t id, GatherSpec spec, const Schedule& schedule, int prefetch);
  const uint32_t id;
  size_t block_bytes() const { return gather_.bytes(); }
  // Of the block that a batch lies in.
  const std::shared_ptr<double[]>& block(int slot) const { return blocks_[size_t(slot)]; }

 private:
  friend class LoaderThread;
  // Fills the slot with the next batch; false when there is none. Throws std::runtime_error.
  bool fill(int slot);
  void check() const;
  void start_epoch() { order_.emplace(gather_.spec().windows.count(), schedule_.seed, schedule_.epoch); }

  // The loader's thread only.
  Gather gather_;
  Schedule schedule_;
  std::optional<Permutation> order_;  // of the epoch; none before the first batch
  std::vector<uint64_t> indices_;

  std::vector<std::shared_ptr<double[]>> blocks_;
  std::atomic<bool> cancelled_{false};

  // The thread's mutex.
  std::vector<int> free_;   // slots to fill
  std::deque<int> ready_;   // filled
  std::vector<bool> lent_;  // taken and not given back, by slot
  bool awaited_ = false;    // someone wants to be told of the next batch
  bool ended_ = false;
  std::string error_;  // why it ended
};

class LoaderThread {
 public:
  // `tell` hears the id of a loader that was asked for a batch and has one, or has ended. Any thread, no locks held.
  explicit LoaderThread(std::function<void(uint32_t)> tell) : tell_(std::move(tell)) {}
  ~LoaderThread() { stop(); }
  LoaderThread(const LoaderThread&) = delete;

  // It gathers from now on.
  void add(std::shared_ptr<Loader> loader);
  // It stops; the batch that it is at is given up.
  void remove(Loader& loader);
  // Asks to be told, once.
  void ask(Loader& loader);

  struct Taken {
    int slot = -1;      // the batch's; -1: there are no more,
    std::string error;  // and why, unless the schedule is at its end
  };
  Taken take(Loader& loader);
  // Slot of a batch that nobody reads any more.
  void give_back(Loader& loader, int slot);
  // Gives up all loaders and waits for the thread.
  void stop();

 private:
  void run();
  std::shared_ptr<Loader> next();

  std::function<void(uint32_t)> tell_;
  Mutex mutex_;
  Condition work_;
  std::vector<std::shared_ptr<Loader>> loaders_;
  size_t turn_ = 0;
  bool stopping_ = false;
  std::thread thread_;  // started by the first loader
};

}  // namespace userllm

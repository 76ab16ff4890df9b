#include "data/loader.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "core/error.h"

namespace userllm {

Loader::Loader(uint32_t id_, GatherSpec spec, const Schedule& schedule, int prefetch)
    : id(id_), gather_(std::move(spec)), schedule_(schedule), lent_(size_t(prefetch)) {
  for (int slot = 0; slot < prefetch; ++slot) {
    // Zeroed by the system as it is touched, so that what is never needed costs nothing.
    auto* const block = static_cast<double*>(std::calloc(block_bytes(), 1));
    if (!block) throw std::bad_alloc();
    blocks_.emplace_back(block, std::free);
    free_.push_back(slot);
  }
}

void Loader::check() const {
  gather_.spec().check();
  const auto& [shuffle, seed, rank, world, share, epoch, position, end_epoch] = schedule_;
  const uint64_t count = gather_.spec().windows.count();
  if (share > 0 && (rank >= count || share - 1 > (count - 1 - rank) / world))
    throw std::runtime_error(concat("rank ", rank, " of ", world, " cannot take ", share, " of ", count, " windows"));
}

bool Loader::fill(int slot) {
  if (!order_) {
    check();
    start_epoch();
  }
  if (schedule_.position >= schedule_.share) {
    ++schedule_.epoch;
    schedule_.position = 0;
    start_epoch();
  }
  if (double(schedule_.epoch) >= schedule_.end_epoch || schedule_.share == 0) return false;

  const uint64_t size = std::min(uint64_t(gather_.spec().batch), schedule_.share - schedule_.position);
  indices_.resize(size);
  for (uint64_t i = 0; i < size; ++i) {
    const uint64_t place = schedule_.rank + (schedule_.position + i) * schedule_.world;
    indices_[i] = schedule_.shuffle ? (*order_)(place) : place;
  }
  double* const block = blocks_[size_t(slot)].get();
  if (!gather_.fill(indices_, block, cancelled_)) return false;
  schedule_.position += size;

  // Where the schedule stands once this batch is consumed.
  const bool epoch_ends = schedule_.position == schedule_.share;
  block[Gather::kSlot] = slot;
  block[Gather::kEpoch] = double(schedule_.epoch + epoch_ends);
  block[Gather::kPosition] = epoch_ends ? 0 : double(schedule_.position);
  return true;
}

void LoaderThread::add(std::shared_ptr<Loader> loader) {
  Lock lock(mutex_);
  if (stopping_) return;
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  loaders_.push_back(std::move(loader));
  work_.notify_one();
}

void LoaderThread::remove(Loader& loader) {
  loader.cancelled_.store(true, std::memory_order_relaxed);
  std::shared_ptr<Loader> last;  // outlives the lock: a loader takes long to let go of its memory
  Lock lock(mutex_);
  const auto at = std::find_if(loaders_.begin(), loaders_.end(), [&](const auto& l) { return l.get() == &loader; });
  if (at == loaders_.end()) return;
  last = std::move(*at);
  loaders_.erase(at);
}

void LoaderThread::ask(Loader& loader) {
  {
    Lock lock(mutex_);
    loader.awaited_ = loader.ready_.empty() && !loader.ended_;
    if (loader.awaited_) return;
  }
  tell_(loader.id);
}

LoaderThread::Taken LoaderThread::take(Loader& loader) {
  Lock lock(mutex_);
  if (loader.ready_.empty()) return {-1, loader.error_};
  const int slot = loader.ready_.front();
  loader.ready_.pop_front();
  loader.lent_[size_t(slot)] = true;
  return {slot, ""};
}

void LoaderThread::give_back(Loader& loader, int slot) {
  Lock lock(mutex_);
  if (slot < 0 || size_t(slot) >= loader.lent_.size() || !loader.lent_[size_t(slot)]) return;
  loader.lent_[size_t(slot)] = false;
  loader.free_.push_back(slot);
  work_.notify_one();
}

void LoaderThread::stop() {
  {
    Lock lock(mutex_);
    stopping_ = true;
    for (const auto& loader : loaders_) loader->cancelled_.store(true, std::memory_order_relaxed);
    work_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  loaders_.clear();
}

// Loaders with a slot to fill take turns.
std::shared_ptr<Loader> LoaderThread::next() {
  for (size_t i = 0; i < loaders_.size(); ++i) {
    const auto& loader = loaders_[(turn_ + i) % loaders_.size()];
    if (loader->free_.empty() || loader->ended_) continue;
    turn_ += i + 1;
    return loader;
  }
  return nullptr;
}

void LoaderThread::run() {
  for (;;) {
    std::shared_ptr<Loader> loader;
    int slot = -1;
    {
      Lock lock(mutex_);
      work_.wait(lock, [&] { return stopping_ || (loader = next()); });
      if (stopping_) return;
      slot = loader->free_.back();
      loader->free_.pop_back();
    }
    bool filled = false;
    std::string error;
    try {
      filled = loader->fill(slot);
    } catch (const std::bad_alloc&) {
      error = "out of memory";
    } catch (const std::exception& problem) {
      error = problem.what();
    }
    bool awaited;
    {
      Lock lock(mutex_);
      if (filled) loader->ready_.push_back(slot);
      loader->ended_ = !filled;
      loader->error_ = std::move(error);
      awaited = std::exchange(loader->awaited_, false);
    }
    if (awaited) tell_(loader->id);
  }
}

}  // namespace userllm

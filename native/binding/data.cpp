#include "binding/data.h"

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "core/error.h"
#include "data/mapped_file.h"

namespace userllm {
namespace {

using Owner = std::shared_ptr<const void>;

// The bytes as an ArrayBuffer that keeps `owner` while it lives; a copy where the runtime takes no memory of others.
//
// V8 counts the bytes as external memory, although the system drops mapped pages as it likes. They are not counted
// back with napi_adjust_external_memory: between a collection and its finalizer the sum could then fall below zero,
// and newer V8 aborts over that.
Napi::ArrayBuffer array_buffer(Napi::Env env, void* data, size_t bytes, Owner owner) {
  if (bytes == 0) return Napi::ArrayBuffer::New(env, 0);
  const auto finalize = [](napi_env, void*, void* hint) { delete static_cast<Owner*>(hint); };
  auto held = std::make_unique<Owner>(std::move(owner));
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, data, bytes, finalize, held.get(), &buffer) == napi_ok) {
    held.release();
    return Napi::ArrayBuffer(env, buffer);
  }
  auto copy = Napi::ArrayBuffer::New(env, bytes);
  std::memcpy(copy.Data(), data, bytes);
  return copy;
}

// A whole number of an object, in a closed range.
uint64_t whole(const Napi::Object& object, const char* name, double low, double high) {
  const double value = object.Get(name).IsNumber() ? object.Get(name).As<Napi::Number>().DoubleValue() : NAN;
  if (!(value >= low && value <= high) || value != std::floor(value))
    throw std::runtime_error(concat(name, " must be a whole number from ", low, " to ", high, ", got ", value));
  return uint64_t(value);
}

bool flag(const Napi::Object& object, const char* name) { return object.Get(name).ToBoolean(); }

template <class T> constexpr napi_typedarray_type kTypeOf = napi_int32_array;
template <> constexpr napi_typedarray_type kTypeOf<double> = napi_float64_array;

// A typed array of an object. Mapped columns are read in place, as their owner is known: JavaScript's own memory can go
// at any time. Window tables are copied even then: once checked, they have to stay as they are.
template <class T> Column<T> column(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != kTypeOf<T>)
    throw std::runtime_error(concat(name, " must be a typed array of ", sizeof(T), "-byte numbers"));
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  if (array.ElementLength() == 0) return {};
  const T* const data = array.Data();
  if constexpr (std::is_same_v<T, int32_t>)
    if (auto mapping = MappedFile::holding(data, array.ByteLength()))
      return Column<T>(data, array.ElementLength(), std::move(mapping));
  return Column<T>(data, array.ElementLength());
}

GatheredFeature read_feature(const Napi::Object& object) {
  GatheredFeature feature;
  feature.name = object.Get("name").ToString();
  feature.source = FeatureSource(whole(object, "source", 0, 2));
  feature.bag = flag(object, "bag");
  feature.size = int32_t(whole(object, "size", 0, INT32_MAX - 1));
  feature.longest = feature.bag ? int32_t(whole(object, "longest", 0, INT32_MAX)) : 1;
  if (feature.source != FeatureSource::kItem) feature.values = column<int32_t>(object, "values");
  if (feature.bag) feature.offsets = column<int32_t>(object, "offsets");
  return feature;
}

constexpr double kMostWhole = 9007199254740992;  // 2^53

GatherSpec read_spec(const Napi::Object& object) {
  GatherSpec spec;
  spec.windows.first = column<double>(object, "first");
  spec.windows.cumulative = column<double>(object, "cumulative");
  spec.windows.starts = column<double>(object, "starts");
  spec.windows.longest = int64_t(whole(object, "length", 1, INT32_MAX));
  spec.windows.stride = int64_t(whole(object, "stride", 1, INT32_MAX));
  spec.items = column<int32_t>(object, "items");
  spec.item_count = int32_t(whole(object, "itemCount", 0, INT32_MAX - 1));
  const auto features = object.Get("features").As<Napi::Array>();
  for (uint32_t i = 0; i < features.Length(); ++i)
    spec.features.push_back(read_feature(features.Get(i).As<Napi::Object>()));
  spec.ragged = flag(object, "ragged");
  spec.targets = flag(object, "targets");
  spec.batch = int64_t(whole(object, "batchSize", 1, INT32_MAX));
  return spec;
}

Schedule read_schedule(const Napi::Object& object) {
  Schedule schedule;
  schedule.shuffle = flag(object, "shuffle");
  schedule.seed = whole(object, "seed", 0, kMostWhole);
  schedule.world = whole(object, "world", 1, INT32_MAX);
  schedule.rank = whole(object, "rank", 0, double(schedule.world - 1));
  schedule.share = whole(object, "share", 0, kMostWhole);
  schedule.epoch = whole(object, "epoch", 0, kMostWhole);
  schedule.position = whole(object, "position", 0, kMostWhole);
  schedule.end_epoch = object.Get("endEpoch").ToNumber();
  return schedule;
}

void* as_data(uint32_t id) { return reinterpret_cast<void*>(uintptr_t(id)); }

}  // namespace

DataBinding::DataBinding(Napi::Env env, Napi::Object exports)
    : env_(env),
      thread_([this](uint32_t id) { napi_call_threadsafe_function(wake_, as_data(id), napi_tsfn_nonblocking); }) {
  // Unreferenced: it keeps the process alive only while a promise waits.
  napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "user-llm loader"), 0, 1, nullptr,
                                  nullptr, this, deliver, &wake_);
  napi_unref_threadsafe_function(env, wake_);
  const auto add = [&](const char* name, Napi::Value (DataBinding::*method)(const Napi::CallbackInfo&)) {
    exports[name] = Napi::Function::New(
        env, [this, method](const Napi::CallbackInfo& info) { return (this->*method)(info); }, name);
  };
  exports["mapFile"] = Napi::Function::New<map_file>(env, "mapFile");
  exports["unmapFile"] = Napi::Function::New<unmap_file>(env, "unmapFile");
  add("loaderCreate", &DataBinding::loader_create);
  add("loaderNext", &DataBinding::loader_next);
  add("loaderRecycle", &DataBinding::loader_recycle);
  add("loaderClose", &DataBinding::loader_close);
}

void DataBinding::close() {
  thread_.stop();
  napi_release_threadsafe_function(wake_, napi_tsfn_abort);
  loaders_.clear();
}

// mapFile(path) -> ArrayBuffer, or why not.
Napi::Value DataBinding::map_file(const Napi::CallbackInfo& info) {
  try {
    const std::shared_ptr<MappedFile> file = MappedFile::open(info[0].As<Napi::String>());
    return array_buffer(info.Env(), file->data(), file->size(), file);
  } catch (const std::runtime_error& error) {
    return Napi::String::New(info.Env(), error.what());
  }
}

// unmapFile(buffer): views of it are empty from now on; a loader that reads it keeps its own hold.
Napi::Value DataBinding::unmap_file(const Napi::CallbackInfo& info) {
  if (info[0].IsArrayBuffer()) info[0].As<Napi::ArrayBuffer>().Detach();
  return info.Env().Undefined();
}

// loaderCreate(spec) -> id, or why not. It gathers at once.
Napi::Value DataBinding::loader_create(const Napi::CallbackInfo& info) {
  try {
    const auto object = info[0].As<Napi::Object>();
    const int prefetch = int(whole(object, "prefetch", 1, 64));
    auto loader = std::make_shared<Loader>(++last_id_, read_spec(object), read_schedule(object), prefetch);
    thread_.add(loader);
    LoaderEntry& entry = loaders_[last_id_];
    entry.loader = std::move(loader);
    entry.buffers.resize(size_t(prefetch));
    return Napi::Number::New(env_, last_id_);
  } catch (const std::bad_alloc&) {
    return Napi::String::New(env_, "out of memory");
  } catch (const std::runtime_error& error) {
    return Napi::String::New(env_, error.what());
  }
}

// loaderNext(id) -> Promise of the block of the next batch, of undefined when there are no more, or of why not.
Napi::Value DataBinding::loader_next(const Napi::CallbackInfo& info) {
  LoaderEntry* const entry = find(info);
  if (!entry || entry->waiting)
    return Napi::String::New(env_, "the loader is closed, or a batch is waited for already");
  entry->waiting = Napi::Promise::Deferred::New(env_);
  if (waiting_++ == 0) napi_ref_threadsafe_function(env_, wake_);
  thread_.ask(*entry->loader);
  return entry->waiting->Promise();
}

// loaderRecycle(id, slot): nothing reads the block any more.
Napi::Value DataBinding::loader_recycle(const Napi::CallbackInfo& info) {
  if (LoaderEntry* const entry = find(info)) thread_.give_back(*entry->loader, info[1].As<Napi::Number>().Int32Value());
  return env_.Undefined();
}

// loaderClose(id): who waits gets undefined.
Napi::Value DataBinding::loader_close(const Napi::CallbackInfo& info) {
  LoaderEntry* const entry = find(info);
  if (!entry) return env_.Undefined();
  thread_.remove(*entry->loader);
  if (entry->waiting) settle(*entry, env_.Undefined());
  loaders_.erase(entry->loader->id);
  return env_.Undefined();
}

DataBinding::LoaderEntry* DataBinding::find(const Napi::CallbackInfo& info) {
  const auto entry = loaders_.find(info[0].ToNumber().Uint32Value());
  return entry == loaders_.end() ? nullptr : &entry->second;
}

void DataBinding::deliver(napi_env env, napi_value, void* self, void* id) {
  if (!env) return;  // the environment is going
  auto& binding = *static_cast<DataBinding*>(self);
  const auto entry = binding.loaders_.find(uint32_t(uintptr_t(id)));
  if (entry == binding.loaders_.end() || !entry->second.waiting) return;
  try {
    binding.deliver(entry->second);
  } catch (const Napi::Error&) {
    // The worker is being terminated: nothing of it runs any more, and nobody waits.
  }
}

void DataBinding::deliver(LoaderEntry& entry) {
  const auto [slot, error] = thread_.take(*entry.loader);
  if (slot < 0) return settle(entry, error.empty() ? env_.Undefined() : Napi::Value(Napi::String::New(env_, error)));

  auto& held = entry.buffers[size_t(slot)];
  if (!held.IsEmpty()) return settle(entry, held.Value());
  const auto& block = entry.loader->block(slot);
  const auto buffer = array_buffer(env_, block.get(), entry.loader->block_bytes(), block);
  // A copy serves once, memory of the loader's as often as the slot is filled.
  if (Napi::ArrayBuffer(buffer).Data() == block.get()) held = Napi::Persistent(buffer);
  settle(entry, buffer);
}

void DataBinding::settle(LoaderEntry& entry, napi_value value) {
  const auto deferred = *std::exchange(entry.waiting, std::nullopt);
  if (--waiting_ == 0) napi_unref_threadsafe_function(env_, wake_);
  deferred.Resolve(value);
}

}  // namespace userllm

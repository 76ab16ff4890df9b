// The functions of the addon that read prepared data: mapped files, and batches gathered ahead.
#pragma once
#include <napi.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "data/loader.h"

namespace userllm {

// Of one Node environment. Functions that can fail answer with a text instead of their result: the caller throws it, so
// that the stack is the caller's.
class DataBinding {
 public:
  DataBinding(Napi::Env env, Napi::Object exports);
  // Environment cleanup: the loader thread ends.
  void close();

 private:
  struct LoaderEntry {
    std::shared_ptr<Loader> loader;
    std::optional<Napi::Promise::Deferred> waiting;
    std::vector<Napi::Reference<Napi::ArrayBuffer>> buffers;  // over each block, once it was delivered
  };

  static Napi::Value map_file(const Napi::CallbackInfo& info);
  static Napi::Value unmap_file(const Napi::CallbackInfo& info);
  Napi::Value loader_create(const Napi::CallbackInfo& info);
  Napi::Value loader_next(const Napi::CallbackInfo& info);
  Napi::Value loader_recycle(const Napi::CallbackInfo& info);
  Napi::Value loader_close(const Napi::CallbackInfo& info);

  static void deliver(napi_env env, napi_value, void* self, void* id);
  void deliver(LoaderEntry& entry);
  void settle(LoaderEntry& entry, napi_value value);
  LoaderEntry* find(const Napi::CallbackInfo& info);

  Napi::Env env_;
  napi_threadsafe_function wake_ = nullptr;
  uint64_t waiting_ = 0;  // promises
  uint32_t last_id_ = 0;
  std::map<uint32_t, LoaderEntry> loaders_;
  LoaderThread thread_;
};

}  // namespace userllm

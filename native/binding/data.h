// The functions of the addon that read prepared data: mapped files, and batches gathered ahead.
#pragma once
#include <napi.h>

namespace userllm {

// Of one Node environment.
class DataBinding {
 public:
  DataBinding(Napi::Env env, Napi::Object exports);

 private:
  static Napi::Value map_file(const Napi::CallbackInfo& info);
  static Napi::Value unmap_file(const Napi::CallbackInfo& info);
};

}  // namespace userllm

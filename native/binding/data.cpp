#include "binding/data.h"

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "data/mapped_file.h"

namespace userllm {
namespace {

// The bytes as an ArrayBuffer that keeps `owner` while it lives; a copy where the runtime takes no memory of others.
//
// V8 counts the bytes as external memory, although the system drops mapped pages as it likes. They are not counted
// back with napi_adjust_external_memory: between a collection and its finalizer the sum could then fall below zero,
// and newer V8 aborts over that.
Napi::Value array_buffer(Napi::Env env, void* data, size_t bytes, std::shared_ptr<const void> owner) {
  using Owner = std::shared_ptr<const void>;
  if (bytes == 0) return Napi::ArrayBuffer::New(env, 0);
  const auto finalize = [](napi_env, void*, void* hint) { delete static_cast<Owner*>(hint); };
  auto held = std::make_unique<Owner>(std::move(owner));
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, data, bytes, finalize, held.get(), &buffer) == napi_ok) {
    held.release();
    return Napi::Value(env, buffer);
  }
  auto copy = Napi::ArrayBuffer::New(env, bytes);
  std::memcpy(copy.Data(), data, bytes);
  return copy;
}

}  // namespace

DataBinding::DataBinding(Napi::Env env, Napi::Object exports) {
  exports["mapFile"] = Napi::Function::New<map_file>(env, "mapFile");
  exports["unmapFile"] = Napi::Function::New<unmap_file>(env, "unmapFile");
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

}  // namespace userllm

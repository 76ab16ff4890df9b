// What the addon exports; only native/binding knows about Node. It names no op: everything goes through the registry.
//
// Numbers cross in one shared Float64Array, `wire`: the caller writes a call, run() answers with a row per output:
// handle, dtype, rank, sizes. A call that fails returns a negative error kind; lastError() has the message, and the
// TypeScript side throws, so that the stack is the caller's.
#include <napi.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "binding/data.h"
#include "core/environment.h"
#include "devices/cpu/gemm/gemm_bf16.h"
#include "devices/cpu/peak.h"
#include "devices/cpu/simd.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {
namespace {

constexpr size_t kWireLength = 1 << 16;
constexpr int64_t kAccountStep = 4 << 20;  // bytes

// What happens on the JavaScript thread once the stream has got somewhere.
using Completion = std::function<void(Napi::Env)>;

// One per Node environment; lives from load to the environment's cleanup.
class Binding {
 public:
  explicit Binding(Napi::Env env, Napi::Object exports) : env_(env), data_(env, exports) {
    auto buffer = Napi::ArrayBuffer::New(env, kWireLength * sizeof(double));
    wire_ = static_cast<double*>(buffer.Data());
    wire_reference_ = Napi::Persistent(buffer);
    exports["wire"] = Napi::Float64Array::New(env, kWireLength, buffer, 0);

    // Unreferenced: it keeps the process alive only while a promise waits.
    napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "user-llm"), 0, 1, nullptr, nullptr,
                                    nullptr, deliver, &wake_);
    napi_unref_threadsafe_function(env, wake_);

    const auto add = [&](const char* name, napi_callback function) {
      napi_value value;
      napi_create_function(env, name, NAPI_AUTO_LENGTH, function, this, &value);
      exports[name] = Napi::Value(env, value);
    };
    add("bind", call<&Binding::bind>);
    add("run", call<&Binding::run>);
    add("view", call<&Binding::view>);
    add("upload", call<&Binding::upload>);
    add("read", call<&Binding::read>);
    add("fence", call<&Binding::fence>);
    add("release", call<&Binding::release>);
    add("lastError", call<&Binding::last_error>);
    add("ops", call<&Binding::ops>);
    add("memory", call<&Binding::memory>);
    add("profile", call<&Binding::profile>);
    add("peak", call<&Binding::peak>);
    add("info", call<&Binding::info>);
  }

  // Environment cleanup: nothing of this environment runs afterwards.
  void close() {
    data_.close();
    environment_.close();
    napi_release_threadsafe_function(wake_, napi_tsfn_abort);
  }

 private:
  using Arguments = std::pair<size_t, napi_value*>;

  template <napi_value (Binding::*Method)(size_t count, const napi_value* arguments)>
  static napi_value call(napi_env env, napi_callback_info info) {
    size_t count = 4;
    napi_value arguments[4] = {};
    void* self = nullptr;
    napi_get_cb_info(env, info, &count, arguments, nullptr, &self);
    try {
      return (static_cast<Binding*>(self)->*Method)(count, arguments);
    } catch (const Napi::Error& error) {
      error.ThrowAsJavaScriptException();
    } catch (const std::exception& error) {
      napi_throw_error(env, "ERR_NATIVE", error.what());
    }
    return nullptr;
  }

  napi_value number(double value) const {
    napi_value result;
    napi_create_double(env_, value, &result);
    return result;
  }

  static double to_number(napi_env env, napi_value value) {
    double result = -1;
    napi_get_value_double(env, value, &result);
    return result;
  }

  napi_value fails(const UserError& error) {
    last_error_ = error.what();
    return number(-double(error.kind));
  }

  // Calls `body`, which may throw UserError; its result or the negative error kind goes to JavaScript.
  template <class Body> napi_value guarded(Body body) {
    try {
      const double result = body();
      account_later();
      return number(result);
    } catch (const UserError& error) {
      return fails(error);
    } catch (const std::bad_alloc&) {
      return fails(UserError(ErrorKind::kMemory, "out of memory"));
    }
  }

  // Tells V8 what is held, so that its collector feels the pressure of tensors that nobody disposes. Only between
  // macrotasks: what one of them frees again must not cost a collection, and no finalizer runs inside it anyway.
  void account_later() {
    if (accounting_ || std::abs(held() - accounted_) < kAccountStep) return;
    accounting_ = napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking) == napi_ok;
  }

  void account() {
    accounting_ = false;
    int64_t total;
    napi_adjust_external_memory(env_, held() - accounted_, &total);
    accounted_ = held();
  }

  int64_t held() const { return int64_t(environment_.allocator.stats().in_use); }

  double* write(double* at, const Environment::Output& output) {
    *at++ = output.handle;
    *at++ = double(output.tensor.dtype);
    *at++ = output.tensor.shape.rank;
    for (int i = 0; i < output.tensor.shape.rank; ++i) *at++ = double(output.tensor.shape[i]);
    return at;
  }

  std::span<const double> wire(napi_value length) {
    const double n = to_number(env_, length);
    if (!(n >= 0 && n <= double(kWireLength))) throw UserError(ErrorKind::kUsage, "the call is too long for the wire");
    return {wire_, size_t(n)};
  }

  // bind(name, inputs, attributes, outputs) -> number of the op. Refuses when the two sides disagree.
  napi_value bind(size_t, const napi_value* arguments) {
    const Napi::Env env(env_);
    const auto join = [](const std::vector<std::string>& names) {
      std::string text;
      for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
      return text;
    };
    const auto list = [&](napi_value value) {
      std::vector<std::string> names;
      const auto array = Napi::Array(env, value);
      for (uint32_t i = 0; i < array.Length(); ++i) names.push_back(array.Get(i).ToString());
      return names;
    };
    const std::string name = Napi::String(env, arguments[0]);
    return guarded([&] {
      const auto& ops = all_ops();
      for (size_t i = 0; i < ops.size(); ++i) {
        if (ops[i]->name != name) continue;
        const auto signature = [](const std::string& in, const std::string& attributes, const std::string& out) {
          return "(" + in + "; " + attributes + ") -> " + out;
        };
        const std::string theirs =
            signature(join(list(arguments[1])), join(list(arguments[2])), join(list(arguments[3])));
        const std::string ours = signature(join(ops[i]->inputs), join(ops[i]->attributes), join(ops[i]->outputs));
        if (ours != theirs)
          throw UserError(ErrorKind::kNative,
                          concat(name, ": TypeScript declares ", theirs, ", the native binary ", ours));
        return double(i);
      }
      throw UserError(ErrorKind::kNative, concat("the native binary has no op ", name));
    });
  }

  // run(op, length of the call on the wire) -> number of outputs.
  napi_value run(size_t, const napi_value* arguments) {
    return guarded([&] {
      const double op = to_number(env_, arguments[0]);
      if (!(op >= 0 && op < double(all_ops().size()))) throw UserError(ErrorKind::kUsage, "no such op");
      const auto outputs = environment_.run(*all_ops()[size_t(op)], wire(arguments[1]));
      double* at = wire_;
      for (const auto& output : outputs) at = write(at, output);
      return double(outputs.size());
    });
  }

  // view(handle, offset in elements, rank), sizes on the wire -> 1.
  napi_value view(size_t, const napi_value* arguments) {
    return guarded([&] {
      write(wire_, environment_.view(to_number(env_, arguments[0]), to_number(env_, arguments[1]), wire(arguments[2])));
      return 1.0;
    });
  }

  // upload(dtype, typed array, rank), sizes on the wire -> 1.
  napi_value upload(size_t, const napi_value* arguments) {
    return guarded([&] {
      const double dtype = to_number(env_, arguments[0]);
      bool typed = false;
      napi_is_typedarray(env_, arguments[1], &typed);
      if (!(dtype >= 0 && dtype < kDTypes) || !typed)
        throw UserError(ErrorKind::kUsage, "tensor: expected a dtype and a typed array");
      const Napi::TypedArray array(env_, arguments[1]);
      const auto* bytes = static_cast<const uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset();
      write(wire_, environment_.upload(DType(int(dtype)), wire(arguments[2]), bytes, array.ByteLength()));
      return 1.0;
    });
  }

  // read(handle) -> Promise of an ArrayBuffer, or of the text of the fault.
  napi_value read(size_t, const napi_value* arguments) {
    const Napi::Env env(env_);
    const Napi::Promise::Deferred deferred(env);
    return waiting(deferred, [&](auto finish) {
      environment_.read(to_number(env_, arguments[0]), [finish, deferred](Environment::ReadResult result) {
        finish([deferred, result = std::move(result)](Napi::Env env) {
          if (result.fault) return deferred.Resolve(Napi::String::New(env, result.fault->message));
          auto buffer = Napi::ArrayBuffer::New(env, result.bytes.size());
          std::copy(result.bytes.begin(), result.bytes.end(), static_cast<uint8_t*>(buffer.Data()));
          deferred.Resolve(buffer);
        });
      });
    });
  }

  // fence() -> Promise, settled when everything enqueued so far has run.
  napi_value fence(size_t, const napi_value*) {
    const Napi::Promise::Deferred deferred{Napi::Env(env_)};
    return waiting(deferred, [&](auto finish) {
      environment_.fence(
          [finish, deferred] { finish([deferred](Napi::Env env) { deferred.Resolve(env.Undefined()); }); });
    });
  }

  // peak() -> Promise of the machine's measured ceilings.
  napi_value peak(size_t, const napi_value*) {
    const Napi::Promise::Deferred deferred{Napi::Env(env_)};
    return waiting(deferred, [&](auto finish) {
      environment_.fence([finish, deferred] {
        const Peak peak = measure_peak();
        finish([deferred, peak](Napi::Env env) {
          auto result = Napi::Object::New(env);
          result["gflops"] = peak.gflops;
          result["bfloat16Gflops"] = peak.bf16_gflops;
          result["copyGBs"] = peak.copy_gbs;
          deferred.Resolve(result);
        });
      });
    });
  }

  // Starts something whose end settles `deferred`; the process stays alive until then.
  template <class Start> napi_value waiting(const Napi::Promise::Deferred& deferred, Start start) {
    const auto finish = [this](Completion completion) {
      auto owned = std::make_unique<Completion>(std::move(completion));
      if (napi_call_threadsafe_function(wake_, owned.get(), napi_tsfn_nonblocking) == napi_ok) owned.release();
    };
    try {
      start(finish);
    } catch (const UserError& error) {
      return fails(error);
    }
    if (waiting_++ == 0) napi_ref_threadsafe_function(env_, wake_);
    return deferred.Promise();
  }

  static void deliver(napi_env env, napi_value, void*, void* data) {
    const std::unique_ptr<Completion> completion(static_cast<Completion*>(data));
    if (!env) return;  // the environment is going
    auto* self = Napi::Env(env).GetInstanceData<Binding>();
    if (!completion) return self->account();
    if (--self->waiting_ == 0) napi_unref_threadsafe_function(env, self->wake_);
    try {
      (*completion)(Napi::Env(env));
    } catch (const Napi::Error&) {
      // The worker is being terminated: nothing of it runs any more, and nobody waits.
    }
  }

  napi_value release(size_t, const napi_value* arguments) {
    return guarded([&] {
      environment_.release(to_number(env_, arguments[0]));
      return 0.0;
    });
  }

  napi_value last_error(size_t, const napi_value*) { return Napi::String::New(env_, last_error_); }

  // ops() -> [{ name, inputs, attributes, outputs, mutates, cpu }]
  napi_value ops(size_t, const napi_value*) {
    const Napi::Env env(env_);
    const auto list = [&](const std::vector<std::string>& names) {
      auto array = Napi::Array::New(env);
      for (const auto& name : names) array.Set(array.Length(), name);
      return array;
    };
    auto result = Napi::Array::New(env);
    for (const OpDef* op : all_ops()) {
      auto entry = Napi::Object::New(env);
      entry["name"] = op->name;
      entry["inputs"] = list(op->inputs);
      entry["attributes"] = list(op->attributes);
      entry["outputs"] = list(op->outputs);
      std::vector<std::string> mutated;
      for (const int i : op->mutates) mutated.push_back(op->inputs[size_t(i)]);
      entry["mutates"] = list(mutated);
      entry["cpu"] = op->cpu != nullptr;
      result.Set(result.Length(), entry);
    }
    return result;
  }

  // memory(what): 0 only reads, 1 also resets the peak, 2 also gives the cache back to the system.
  napi_value memory(size_t, const napi_value* arguments) {
    const int what = int(to_number(env_, arguments[0]));
    const MemoryStats stats = environment_.allocator.stats();
    auto result = Napi::Object::New(env_);
    result["tensors"] = double(environment_.tensors());
    result["bytes"] = double(stats.in_use);
    result["cachedBytes"] = double(stats.cached);
    result["peakBytes"] = double(stats.peak);
    result["limitBytes"] = double(stats.limit);
    if (what == 1) environment_.allocator.reset_peak();
    if (what == 2) environment_.allocator.trim();
    return result;
  }

  // profile(mode): 0 stops, 1 starts afresh, 2 only reads -> [{ op, calls, seconds, flops, bytes }]
  napi_value profile(size_t, const napi_value* arguments) {
    const int mode = int(to_number(env_, arguments[0]));
    const Napi::Env env(env_);
    auto result = Napi::Array::New(env);
    for (const auto& [op, profile] : environment_.stream.profile(mode == 1)) {
      auto entry = Napi::Object::New(env);
      entry["op"] = op->name;
      entry["calls"] = double(profile.calls);
      entry["seconds"] = profile.seconds;
      entry["flops"] = profile.flops;
      entry["bytes"] = profile.bytes;
      result.Set(result.Length(), entry);
    }
    if (mode != 2) environment_.stream.profiling = mode == 1;
    return result;
  }

  napi_value info(size_t, const napi_value*) {
    auto result = Napi::Object::New(env_);
    result["threads"] = thread_count();
    result["isa"] = name_of(isa());
    result["bfloat16"] = name_of(bf16_tier());
    result["profiling"] = environment_.stream.profiling.load();
    result["synchronous"] = environment_.synchronous;
    return result;
  }

  napi_env env_;
  double* wire_ = nullptr;
  Napi::Reference<Napi::ArrayBuffer> wire_reference_;
  napi_threadsafe_function wake_ = nullptr;
  uint64_t waiting_ = 0;
  int64_t accounted_ = 0;    // what V8 knows of
  bool accounting_ = false;  // whether it is about to be told
  std::string last_error_;
  Environment environment_;
  DataBinding data_;
};

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* binding = new Binding(env, exports);
  env.SetInstanceData(binding);
  env.AddCleanupHook([binding] { binding->close(); });
  return exports;
}

NODE_API_MODULE(NODE_GYP_MODULE_NAME, init)

}  // namespace
}  // namespace userllm

// Errors of the calling thread: thrown by checks before anything is enqueued, caught by the binding.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace userllm {

// The numbers are the wire codes of src/errors.ts.
enum class ErrorKind : int { kShape = 1, kDType = 2, kUsage = 3, kMemory = 4, kNative = 5 };

struct UserError : std::runtime_error {
  ErrorKind kind;
  UserError(ErrorKind kind_, const std::string& message) : std::runtime_error(message), kind(kind_) {}
};

template <class... Parts> std::string concat(const Parts&... parts) {
  std::ostringstream out;
  out.precision(15);
  (out << ... << parts);
  return out.str();
}

}  // namespace userllm

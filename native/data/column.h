// Numbers that are read by several threads, with what keeps them in memory.
#pragma once
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace userllm {

// They may lie in a mapping that JavaScript can write to, so every use loads a number once and checks what it loaded.
template <class T> class Column {
 public:
  Column() = default;
  Column(const T* data, size_t length, std::shared_ptr<const void> owner)
      : data_(data), length_(length), owner_(std::move(owner)) {}
  // A copy of its own.
  Column(const T* data, size_t length) : length_(length) {
    const auto copy = std::make_shared<const std::vector<T>>(data, data + length);
    data_ = copy->data();
    owner_ = copy;
  }

  size_t length() const { return length_; }
  const T* data() const { return data_; }
  T operator[](size_t i) const {
    T value;
    __atomic_load(data_ + i, &value, __ATOMIC_RELAXED);
    return value;
  }
  void prefetch(size_t i) const { __builtin_prefetch(data_ + i); }

 private:
  const T* data_ = nullptr;
  size_t length_ = 0;
  std::shared_ptr<const void> owner_;
};

}  // namespace userllm

// Files in memory: mapped privately, so that a stray write through a view changes neither the file nor another process.
//
// Only files that are replaced by rename may be mapped: the system kills a process that reads a mapped page which
// somebody has cut off the file.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

namespace userllm {

class MappedFile {
 public:
  // As long as the file is now; nothing is mapped of an empty file. Throws std::runtime_error with the reason.
  static std::shared_ptr<MappedFile> open(const std::string& path);
  // The mapping that these bytes lie in; null when they are memory of another kind.
  static std::shared_ptr<MappedFile> holding(const void* data, size_t bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  MappedFile(void* data, size_t size) : data_(data), size_(size) {}

  void* data_;
  size_t size_;
};

}  // namespace userllm

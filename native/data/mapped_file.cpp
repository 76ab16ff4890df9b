#include "data/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <stdexcept>
#include <system_error>

#include "core/sync.h"

namespace userllm {
namespace {

// Mappings of the process by their first address. Leaks on purpose: the last one may go while the process ends.
struct Registry {
  Mutex mutex;
  std::map<uintptr_t, std::weak_ptr<MappedFile>> mappings;
};

Registry& registry() {
  static auto* registry = new Registry;
  return *registry;
}

[[noreturn]] void fail_with(int error) { throw std::runtime_error(std::generic_category().message(error)); }

class Descriptor {
 public:
  // Does not wait for the other end of a named pipe.
  explicit Descriptor(const std::string& path) : number(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (number < 0) fail_with(errno);
  }
  ~Descriptor() { ::close(number); }
  Descriptor(const Descriptor&) = delete;
  const int number;
};

}  // namespace

std::shared_ptr<MappedFile> MappedFile::open(const std::string& path) {
  if (path.find('\0') != std::string::npos) fail_with(ENOENT);
  const Descriptor file(path);
  struct stat status;
  if (::fstat(file.number, &status) != 0) fail_with(errno);
  if (S_ISDIR(status.st_mode)) fail_with(EISDIR);
  if (!S_ISREG(status.st_mode)) throw std::runtime_error("Not a regular file");

  const auto size = size_t(status.st_size);
  if (size == 0) return std::shared_ptr<MappedFile>(new MappedFile(nullptr, 0));
  // Pages that are written become private; no swap is set aside for them, as next to none are.
  void* const data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.number, 0);
  if (data == MAP_FAILED) fail_with(errno);
  std::shared_ptr<MappedFile> mapping(new MappedFile(data, size));
  Lock lock(registry().mutex);
  registry().mappings[uintptr_t(data)] = mapping;
  return mapping;
}

std::shared_ptr<MappedFile> MappedFile::holding(const void* data, size_t bytes) {
  const auto first = uintptr_t(data);
  std::shared_ptr<MappedFile> mapping;  // outlives the lock, which its destructor takes
  uintptr_t base = 0;
  {
    Lock lock(registry().mutex);
    const auto& mappings = registry().mappings;
    const auto next = mappings.upper_bound(first);
    if (next == mappings.begin()) return nullptr;
    base = std::prev(next)->first;
    mapping = std::prev(next)->second.lock();
  }
  const bool inside = mapping && first - base <= mapping->size() && bytes <= mapping->size() - (first - base);
  return inside ? mapping : nullptr;
}

MappedFile::~MappedFile() {
  if (!data_) return;
  Lock lock(registry().mutex);
  // First forgotten, then unmapped: the address may be given to the next mapping at once.
  registry().mappings.erase(uintptr_t(data_));
  ::munmap(data_, size_);
}

}  // namespace userllm

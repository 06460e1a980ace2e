#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "gpu/driver.h"

// What the ops on a GPU share.

namespace e3md::gpu {

/// The index that driver and torch count a tensor's GPU by.
int index_of(const at::Tensor& x);

/// torch's current stream there.
void* current_stream(const at::Tensor& x);

/// Kernels of a text on one GPU, compiled once.
std::shared_ptr<const Module> module_of(const std::string& text, int index);

inline const long long* integers(const at::Tensor& x) {
  return reinterpret_cast<const long long*>(x.const_data_ptr<int64_t>());
}

/// What something was made for: tensors that are told apart by which they are, not by their
/// numbers.
class Key {
 public:
  Key(std::vector<at::Tensor> tensors, std::vector<int64_t> numbers);
  bool operator==(const Key& other) const;

 private:
  std::vector<at::Tensor> tensors_;
  std::vector<int64_t> versions_;  ///< how often they were written
  std::vector<int64_t> numbers_;
};

/// Things made for a key, the latest kept.
template <class Value>
class Kept {
 public:
  using Shared = std::shared_ptr<const Value>;

  template <class Make>
  Shared get(const Key& key, Make make) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(kept_.begin(), kept_.end(),
                                    [&](const auto& entry) { return entry.first == key; });
    if (found == kept_.end()) {
      kept_.emplace_front(key, make());
      if (kept_.size() > kMost) kept_.pop_back();
    } else {
      kept_.splice(kept_.begin(), kept_, found);
    }
    return kept_.front().second;
  }

 private:
  static constexpr size_t kMost = 64;  // layers of models in use
  std::mutex mutex_;
  std::list<std::pair<Key, Shared>> kept_;  ///< the latest first
};

}  // namespace e3md::gpu

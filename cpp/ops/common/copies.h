#pragma once
#include <cstdint>

namespace e3md {

/// Most copies that loops work on together.
inline constexpr int kMaxCopies = 32;

/// While one lives, the nodes and edges that this thread gives to ops are those of n copies of one
/// graph, one after the other, none joined to another: their features and edge vectors are the
/// same, only cotangents and tangents differ. Loops may then do once what all copies share.
class CopiesScope {
 public:
  explicit CopiesScope(int64_t n) : outer_(current_) { current_ = n; }
  ~CopiesScope() { current_ = outer_; }
  CopiesScope(const CopiesScope&) = delete;
  CopiesScope& operator=(const CopiesScope&) = delete;

  /// At least 1, at most kMaxCopies.
  static int64_t current() { return current_; }

 private:
  const int64_t outer_;
  static thread_local int64_t current_;
};

}  // namespace e3md

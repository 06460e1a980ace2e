#pragma once
#include <string>

namespace e3md {

/// What a model file says of its training, in words for logs.
struct Training {
  std::string quality = "not recorded";  ///< finished or not, and errors
  std::string learned = "not recorded";  ///< stress, composition, temperature, closest atoms
  bool unfinished = false;               ///< known not to have ended
  bool stress_untrained = false;         ///< stress is known to have had no part in it
  bool periodic = false;                 ///< known to have had frames periodic in all directions

  /// A line on what an unfinished or stressless training means for a use; "" where there is none.
  std::string unfinished_warning(const std::string& path) const;
  std::string stress_warning(const std::string& path) const;
};

}  // namespace e3md

#pragma once
#include <string>

namespace e3md::gpu {

/// Machine code (a cubin) of CUDA C++ for compute capability `capability`, such as 90: from the
/// disk cache of this user, else made by NVRTC and put there.
std::string compiled(const std::string& text, int capability);

/// The same, made anew whatever the cache holds.
std::string compiled_anew(const std::string& text, int capability);

}  // namespace e3md::gpu

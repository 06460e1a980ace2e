#include "e3md/runtime.h"

#include <ATen/Parallel.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <string>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "e3md/error.h"

namespace e3md {
namespace {

/// "2.13.0" from the number libtorch packs its version into, one byte each.
std::string version_text(uint64_t packed) {
  const auto byte = [packed](int shift) { return std::to_string((packed >> shift) & 0xff); };
  return byte(56) + "." + byte(48) + "." + byte(40);
}

}  // namespace

void check_libtorch_version() {
  const uint64_t loaded = aoti_torch_abi_version();
  if (loaded == TORCH_ABI_VERSION) return;
  throw Error("libe3md was compiled with libtorch " + version_text(TORCH_ABI_VERSION) +
              ", but libtorch " + version_text(loaded) + " is loaded. Install torch==" +
              version_text(TORCH_ABI_VERSION) + ", or build e3md again with the torch you have.");
}

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);  // never
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

int n_cuda_devices() { return static_cast<int>(torch::cuda::device_count()); }

int n_threads() { return at::get_num_threads(); }

void set_n_threads(int n) { at::set_num_threads(n); }

}  // namespace e3md

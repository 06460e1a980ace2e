#include "e3md/runtime.h"

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <algorithm>

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

std::vector<std::string> ops_without_kernel(const std::string& kind) {
  if (kind != "cpu" && kind != "cuda")
    throw Error("ops_without_kernel: unknown kind of device '" + kind + "': use cpu or cuda");
  const auto key = kind == "cpu" ? c10::DispatchKey::CPU : c10::DispatchKey::CUDA;
  auto& dispatcher = c10::Dispatcher::singleton();
  std::vector<std::string> names;
  for (const c10::OperatorName& name : dispatcher.getAllOpNames()) {
    if (name.getNamespace() != "e3md") continue;
    const auto op = dispatcher.findSchema(name);
    // A kernel of its own: one written in terms of other ops would run, but is no fast path.
    if (op && !op->hasKernelForDispatchKey(key))
      names.push_back(name.name.substr(std::string("e3md::").size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string missing_cuda() {
  if (!c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA))
    return "this torch (" TORCH_VERSION ") was built without CUDA";
  if (n_cuda_devices() == 0) return "torch finds no GPU on this machine";
  std::string names;
  for (const std::string& name : ops_without_kernel("cuda"))
    names += (names.empty() ? "" : ", ") + name;
  if (names.empty() || references_stand_in()) return "";
  return "this build of e3md has no CUDA kernels of its ops " + names +
         " (with E3MD_REFERENCE=1 torch operations stand in for them: slow)";
}

bool prefers_cuda() { return missing_cuda().empty() && ops_without_kernel("cuda").empty(); }

int n_threads() { return at::get_num_threads(); }

void set_n_threads(int n) { at::set_num_threads(n); }

}  // namespace e3md

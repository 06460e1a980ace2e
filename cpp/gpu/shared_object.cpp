#include "gpu/shared_object.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <filesystem>

namespace e3md::gpu {
namespace fs = std::filesystem;

SharedObject::SharedObject(const std::vector<std::string>& names, const std::string& missing) {
  std::string said;
  for (const std::string& name : names) {
    handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    name_ = name;
    if (handle_) return;
    if (said.empty()) said = dlerror();
  }
  TORCH_CHECK(false, missing, " (", said, ")");
}

std::string SharedObject::folder() const {
  const link_map* map = nullptr;
  dlinfo(handle_, RTLD_DI_LINKMAP, &map);
  return map ? fs::path(map->l_name).parent_path().string() : "";
}

void* SharedObject::symbol(const char* name) const {
  void* found = dlsym(handle_, name);
  TORCH_CHECK(found, name_, " has no ", name, ": too old?");
  return found;
}

std::vector<std::string> files_in(const std::string& folder, const std::string& beginning) {
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (entry.path().filename().string().starts_with(beginning))
      found.push_back(entry.path().string());
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> folders_beside_torch() {
  Dl_info info{};
  const auto* known = reinterpret_cast<const void*>(&at::detail::getCUDAHooks);
  if (!dladdr(known, &info) || !info.dli_fname) return {};
  // site-packages/torch/lib/libtorch_cpu.so
  const fs::path packages = fs::path(info.dli_fname).parent_path().parent_path().parent_path();
  std::vector<std::string> found;
  for (const std::string& package : files_in((packages / "nvidia").string(), ""))
    found.push_back(package + "/lib");
  return found;
}

}  // namespace e3md::gpu

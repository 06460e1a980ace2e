// NVRTC, opened when something is to be compiled, and a cache of what it made.
#include "gpu/compiler.h"

#include <c10/util/Exception.h>

#include <vector>

#include "gpu/cubin_cache.h"
#include "gpu/shared_object.h"

namespace e3md::gpu {
namespace {

constexpr const char* kMissing =
    "no CUDA compiler: libnvrtc.so.13 does not open, nor libnvrtc.so.12. It comes with a torch "
    "that "
    "was built for CUDA; else: pip install nvidia-cuda-nvrtc";

/// As the loader finds it, or beside torch.
std::vector<std::string> places() {
  std::vector<std::string> all;
  for (const std::string name : {"libnvrtc.so.13", "libnvrtc.so.12"}) {
    all.push_back(name);
    for (const std::string& folder : folders_beside_torch()) all.push_back(folder + "/" + name);
  }
  return all;
}

class Compiler {
 public:
  static const Compiler& get() {
    static const Compiler compiler;
    return compiler;
  }

  /// Such as 13.0.
  std::string version() const {
    int major = 0, minor = 0;
    version_(&major, &minor);
    return std::to_string(major) + "." + std::to_string(minor);
  }

  std::string compile(const std::string& text, const std::string& level) const {
    void* program = nullptr;
    check(create_(&program, text.c_str(), "e3md.cu", 0, nullptr, nullptr), "nvrtcCreateProgram");
    const std::string architecture = "-arch=" + level;
    const char* options[] = {"--std=c++17", architecture.c_str()};
    const int code = compile_(program, 2, options);
    const std::string log = code ? got(program, log_size_, log_) : "";
    const std::string cubin = code ? "" : got(program, cubin_size_, cubin_);
    destroy_(&program);
    TORCH_CHECK(code == 0, "NVRTC ", version(), " does not compile e3md's kernels for ", level,
                ": ", error_string_(code), ". For a newer GPU: pip install -U nvidia-cuda-nvrtc\n",
                log);
    return cubin;
  }

 private:
  using Size = int(void*, size_t*);
  using Get = int(void*, char*);
  SharedObject library_;
  int (*version_)(int*, int*);
  int (*create_)(void**, const char*, const char*, int, const char* const*, const char* const*);
  int (*compile_)(void*, int, const char* const*);
  int (*destroy_)(void**);
  const char* (*error_string_)(int);
  Size *log_size_, *cubin_size_;
  Get *log_, *cubin_;

  Compiler() : library_(places(), kMissing) {
    // NVRTC looks for its builtins on the loader's path alone
    for (const std::string& path : files_in(library_.folder(), "libnvrtc-builtins.so."))
      SharedObject({path}, "NVRTC's builtins do not open");
    library_.find("nvrtcVersion", version_);
    library_.find("nvrtcCreateProgram", create_);
    library_.find("nvrtcCompileProgram", compile_);
    library_.find("nvrtcDestroyProgram", destroy_);
    library_.find("nvrtcGetErrorString", error_string_);
    library_.find("nvrtcGetProgramLogSize", log_size_);
    library_.find("nvrtcGetProgramLog", log_);
    library_.find("nvrtcGetCUBINSize", cubin_size_);
    library_.find("nvrtcGetCUBIN", cubin_);
  }

  void check(int code, const char* what) const {
    TORCH_CHECK(code == 0, what, ": ", error_string_(code));
  }

  std::string got(void* program, Size* size_of, Get* get) const {
    size_t size = 0;
    check(size_of(program, &size), "NVRTC, size of a result");
    std::string text(size, '\0');
    check(get(program, text.data()), "NVRTC, a result");
    return text;
  }
};

std::string level_of(int capability) { return "sm_" + std::to_string(capability); }

}  // namespace

std::string compiled_anew(const std::string& text, int capability) {
  const std::string level = level_of(capability);
  const std::string cubin = Compiler::get().compile(text, level);
  CubinCache(text, level, Compiler::get().version()).write(cubin);
  return cubin;
}

std::string compiled(const std::string& text, int capability) {
  const CubinCache cache(text, level_of(capability), Compiler::get().version());
  const std::string cubin = cache.read();
  return cubin.empty() ? compiled_anew(text, capability) : cubin;
}

}  // namespace e3md::gpu

#include "gpu/driver.h"

#include <c10/util/Exception.h>

#include <map>
#include <memory>
#include <mutex>

#include "gpu/shared_object.h"

namespace e3md::gpu {
namespace {

/// The part of libcuda that is used; cuda.h need not be there to build.
struct Driver {
  int (*init)(unsigned);
  int (*error_string)(int, const char**);
  int (*device_get)(int*, int);
  int (*device_attribute)(int*, int, int);
  int (*retain_context)(void**, int);
  int (*push_context)(void*);
  int (*pop_context)(void**);
  int (*load)(void**, const void*);
  int (*function)(void**, void*, const char*);
  int (*launch)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*,
                void**, void**);

  static const Driver& get() {
    static const Driver driver;
    return driver;
  }

  void check(int code, const std::string& what) const {
    if (code == 0) return;
    const char* text = nullptr;
    error_string(code, &text);
    TORCH_CHECK(false, "CUDA driver, ", what, ": ", text ? text : "unknown error", " (", code, ")");
  }

 private:
  Driver() {
    const SharedObject library(
        {"libcuda.so.1"}, "no CUDA driver: libcuda.so.1 does not open. Install NVIDIA's driver");
    library.find("cuInit", init);
    library.find("cuGetErrorString", error_string);
    library.find("cuDeviceGet", device_get);
    library.find("cuDeviceGetAttribute", device_attribute);
    library.find("cuDevicePrimaryCtxRetain", retain_context);
    library.find("cuCtxPushCurrent_v2", push_context);
    library.find("cuCtxPopCurrent_v2", pop_context);
    library.find("cuModuleLoadData", load);
    library.find("cuModuleGetFunction", function);
    library.find("cuLaunchKernel", launch);
    check(init(0), "cuInit");
  }
};

constexpr int kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*

/// Inside, a context is the thread's current one.
class Current {
 public:
  explicit Current(void* context) {
    Driver::get().check(Driver::get().push_context(context), "cuCtxPushCurrent");
  }
  ~Current() {
    void* popped = nullptr;
    Driver::get().pop_context(&popped);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
};

}  // namespace

Device::Device(int index) {
  const Driver& driver = Driver::get();
  int device = 0, major = 0, minor = 0;
  driver.check(driver.device_get(&device, index), "cuDeviceGet of GPU " + std::to_string(index));
  driver.check(driver.device_attribute(&major, kMajor, device), "cuDeviceGetAttribute");
  driver.check(driver.device_attribute(&minor, kMinor, device), "cuDeviceGetAttribute");
  capability_ = 10 * major + minor;
  driver.check(driver.retain_context(&context_, device), "cuDevicePrimaryCtxRetain");
}

const Device& Device::get(int index) {
  static std::mutex mutex;
  static std::map<int, std::unique_ptr<Device>> devices;
  const std::lock_guard lock(mutex);
  std::unique_ptr<Device>& device = devices[index];
  if (!device) device.reset(new Device(index));
  return *device;
}

Module::Module(const std::string& cubin, const Device& device) : device_(device) {
  const Current current(device.context_);
  Driver::get().check(Driver::get().load(&module_, cubin.data()), "cuModuleLoadData");
}

void Module::launch(const std::string& kernel, unsigned x, unsigned y, unsigned threads,
                    void* argument, void* stream) const {
  const Driver& driver = Driver::get();
  const Current current(device_.context_);
  void* function = nullptr;
  driver.check(driver.function(&function, module_, kernel.c_str()), kernel);
  driver.check(driver.launch(function, x, y, 1, threads, 1, 1, 0, stream, &argument, nullptr),
               kernel);
}

}  // namespace e3md::gpu

#include "gpu/runtime.h"

#include <map>

#include "gpu/compiler.h"

// Of libtorch's CUDA part, where there is one: its stable interface has no header of the kind that
// can be read without CUDA's.
extern "C" [[gnu::weak]] int32_t aoti_torch_get_current_cuda_stream(int32_t device, void** stream);

namespace e3md::gpu {

int index_of(const at::Tensor& x) { return x.is_cuda() ? x.device().index() : 0; }

void* current_stream(const at::Tensor& x) {
  void* stream = nullptr;
  if (!x.is_cuda()) return stream;
  TORCH_CHECK(aoti_torch_get_current_cuda_stream &&
                  aoti_torch_get_current_cuda_stream(x.device().index(), &stream) == 0,
              "e3md: this torch does not tell its current CUDA stream");
  return stream;
}

std::shared_ptr<const Module> module_of(const std::string& text, int index) {
  static std::mutex mutex;
  static std::map<std::pair<std::string, int>, std::shared_ptr<const Module>> modules;
  const std::lock_guard lock(mutex);
  std::shared_ptr<const Module>& module = modules[{text, index}];
  if (module) return module;
  const Device& device = Device::get(index);
  const std::string cubin = compiled(text, device.capability());
  try {
    module = std::make_shared<Module>(cubin, device);
  } catch (const c10::Error&) {  // what the cache held may be damaged
    module = std::make_shared<Module>(compiled_anew(text, device.capability()), device);
  }
  return module;
}

Key::Key(std::vector<at::Tensor> tensors, std::vector<int64_t> numbers)
    : tensors_(std::move(tensors)), numbers_(std::move(numbers)) {
  for (const at::Tensor& tensor : tensors_)
    versions_.push_back(tensor.is_inference() ? 0 : tensor._version());
}

bool Key::operator==(const Key& other) const {
  return numbers_ == other.numbers_ && versions_ == other.versions_ &&
         std::equal(tensors_.begin(), tensors_.end(), other.tensors_.begin(), other.tensors_.end(),
                    [](const at::Tensor& a, const at::Tensor& b) { return a.is_same(b); });
}

}  // namespace e3md::gpu

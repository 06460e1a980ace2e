#include "common/reference.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "common/isa.h"
#include "e3md/runtime.h"

namespace e3md {
namespace {

std::string wish() {
  const char* value = std::getenv("E3MD_REFERENCE");
  return value ? value : "";
}

bool all_wished() { return !wish().empty() && wish() != "0" && wish() != "missing"; }

std::atomic<bool> forced{all_wished()};

}  // namespace

bool references_stand_in() { return forced || wish() == "missing"; }

void force_references(bool on) { forced = on; }

bool references_forced() { return forced; }

std::string ops_in_use() {
  return forced ? "references in torch operations, as E3MD_REFERENCE asks: slow"
                : std::string("kernels (") + isa_name() + ")";
}

bool runs_reference(const char* op, const at::Tensor& x) {
  // Fake tensors, which have a Python class and no numbers, are the Meta kernels'.
  const bool has_numbers = !x.is_meta() && !x.key_set().has(c10::DispatchKey::Python);
  if (x.is_cpu() || !has_numbers) return forced && has_numbers;
  const auto key = c10::highestPriorityBackendTypeId(x.key_set());
  // A kernel of its own: the reference is registered for every device.
  return forced ||
         !c10::Dispatcher::singleton().findSchemaOrThrow(op, "").hasKernelForDispatchKey(key);
}

std::vector<at::Tensor> on_host(at::TensorList tensors) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& tensor : tensors) copies.push_back(tensor.cpu());
  return copies;
}

// Where autograd is left out (inference_mode) and there is no kernel.
TORCH_LIBRARY_IMPL(e3md, CompositeExplicitAutograd, m) {
  m.impl("edge_conv", reference_edge_conv);
  m.impl("edge_conv_radial", reference_edge_conv_radial);
  m.impl("symmetric_contraction", reference_symmetric_contraction);
  m.impl("irreps_linear", reference_irreps_linear);
  m.impl("activation_jets", reference_activation_jets);
}

}  // namespace e3md

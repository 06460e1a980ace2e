#pragma once
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

// What the files that register autograd share.

namespace e3md {

template <class Signature>
auto find_op(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

/// Gradients of the sum of g * out over the results to those of `inputs` that need one, to be
/// differentiated further; a g that is undefined is zero. `reference` makes the results from
/// aliases of the inputs: one input may depend on another, and what is wanted are partial
/// derivatives.
template <class Reference>
torch::autograd::variable_list differentiate(Reference reference,
                                             const torch::autograd::variable_list& inputs,
                                             const torch::autograd::variable_list& cotangents) {
  torch::autograd::variable_list aliases, wanted, grads(inputs.size()), outs, gs;
  for (const at::Tensor& input : inputs) {
    aliases.push_back(input.view_as(input));
    if (input.requires_grad()) wanted.push_back(aliases.back());
  }
  const torch::autograd::variable_list results = reference(aliases);
  for (size_t k = 0; k < results.size(); ++k) {
    if (!cotangents[k].defined() || !results[k].defined() || !results[k].requires_grad()) continue;
    outs.push_back(results[k]);
    gs.push_back(cotangents[k]);
  }
  if (outs.empty()) return grads;
  const torch::autograd::variable_list found =
      torch::autograd::grad(outs, wanted, gs, true, true, true);
  for (size_t k = 0, at = 0; k < inputs.size(); ++k)
    if (inputs[k].requires_grad()) grads[k] = found[at++];
  return grads;
}

}  // namespace e3md

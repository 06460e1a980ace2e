#pragma once
#include <torch/script.h>

#include <string>

#include "e3md/metadata.h"

namespace e3md {

/// The cause of a torch exception in one line, without its C++ and TorchScript traces.
std::string one_line(const std::exception& error);

/// A device by name; throws Error if it is unknown or absent from this machine.
torch::Device find_device(const std::string& name);

/// Loads the module of a model file for inference. Parameters need no gradients; all floating
/// tensors are cast to `dtype`, except reference energies, scale, shift and coupling coefficients.
torch::jit::Module load_module(const std::string& path, torch::Device device,
                               torch::ScalarType dtype);

}  // namespace e3md

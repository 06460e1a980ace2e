#pragma once
#include <ATen/core/Tensor.h>

#include <tuple>

namespace e3md {

/// edge_conv_radial_grad where CopiesScope says that the arguments are those of several copies.
std::tuple<at::Tensor, at::Tensor> gradients_of_copies(
    const at::Tensor& g, const at::Tensor& h, const at::Tensor& edge_vec, const at::Tensor& types,
    const at::Tensor& edge_index, at::TensorList tables, bool solid, bool need_h);

}  // namespace e3md

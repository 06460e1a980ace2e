#pragma once
#include <ATen/core/Tensor.h>

#include <tuple>

namespace e3md::gpu {

/// The ops edge_conv_radial and edge_conv_radial_grad on a GPU, enqueued on torch's current stream.
/// Indices are checked on the way: what leads outside ends the run with the driver's next error.
at::Tensor edge_conv_radial(const at::Tensor& h, const at::Tensor& edge_vec,
                            const at::Tensor& types, const at::Tensor& edge_index,
                            at::TensorList tables, bool solid, int64_t n_local, int64_t dim_out);
std::tuple<at::Tensor, at::Tensor> edge_conv_radial_grad(
    const at::Tensor& g, const at::Tensor& h, const at::Tensor& edge_vec, const at::Tensor& types,
    const at::Tensor& edge_index, at::TensorList tables, bool solid, bool need_h);

}  // namespace e3md::gpu

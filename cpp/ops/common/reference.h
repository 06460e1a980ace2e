#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

// Every op has a reference: torch operations that autograd differentiates any number of times, on
// any device. It runs where an op has no kernel, and everywhere when it is forced (e3md/runtime.h).

namespace e3md {

/// Whether `op` runs its reference on a tensor like x.
bool runs_reference(const char* op, const at::Tensor& x);

/// Copies on the host, where tables are read and checked; tensors that are there already as they
/// are.
std::vector<at::Tensor> on_host(at::TensorList tensors);

at::Tensor reference_edge_conv(const at::Tensor& h, const at::Tensor& sh, const at::Tensor& weights,
                               const at::Tensor& edge_index, const at::Tensor& paths,
                               const at::Tensor& cg_index, const at::Tensor& cg_value,
                               int64_t n_local, int64_t dim_out);

at::Tensor reference_edge_conv_radial(const at::Tensor& h, const at::Tensor& edge_vec,
                                      const at::Tensor& types, const at::Tensor& edge_index,
                                      at::TensorList tables, bool solid, int64_t n_local,
                                      int64_t dim_out);

at::Tensor reference_symmetric_contraction(const at::Tensor& a, const at::Tensor& types,
                                           at::TensorList weights, at::TensorList tables,
                                           int64_t n_rows);

at::Tensor reference_irreps_linear(const at::Tensor& x, at::TensorList weights,
                                   at::ArrayRef<double> scales, at::IntArrayRef blocks,
                                   int64_t dim_out, bool transposed,
                                   const std::optional<at::Tensor>& types);

at::Tensor reference_activation_jets(const at::Tensor& x, bool softplus);

}  // namespace e3md

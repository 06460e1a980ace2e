#pragma once
#include <ATen/core/Tensor.h>

namespace e3md::gpu {

/// The ops symmetric_contraction and symmetric_contraction_grad on a GPU, enqueued on torch's
/// current stream. A type that has no weights ends the run with the driver's next error.
at::Tensor symmetric_contraction(const at::Tensor& a, const at::Tensor& types,
                                 at::TensorList weights, at::TensorList tables, int64_t n_rows);
at::Tensor symmetric_contraction_grad(const at::Tensor& g, const at::Tensor& a,
                                      const at::Tensor& types, at::TensorList weights,
                                      at::TensorList tables);

}  // namespace e3md::gpu

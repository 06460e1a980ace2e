#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "gpu/driver.h"
#include "gpu/specialise.h"

namespace e3md::gpu {

/// A convolution's kernels on one GPU.
struct RadialKernels {
  Specialised made;
  std::shared_ptr<const Module> module;
  at::Tensor table_of_pair;  ///< on the GPU
  double first, spacing;     ///< as RadialTables'
  int64_t doubled;

  /// Those of tables as the op takes them, with values on the GPU; made once for the same tensors.
  static std::shared_ptr<const RadialKernels> of(at::TensorList tables, bool solid, int64_t dim_in,
                                                 int64_t dim_out, int64_t n_gradients);
};

}  // namespace e3md::gpu

#pragma once
#include <cstdint>
#include <string>

#include "symmetric_contraction/op.h"

namespace e3md::gpu {

/// CUDA C++ for one product basis, with kernels `forward` and `backward`.
struct SpecialisedProduct {
  std::string text;
  int64_t n_together;  ///< atoms of a warp
};

SpecialisedProduct specialise_product(const ProductTables& tables, int64_t n_components,
                                      int64_t n_channels, int64_t n_rows, bool float64);

}  // namespace e3md::gpu

#pragma once
#include <ATen/core/Tensor.h>

namespace e3md {

/// What symmetric_contraction is told of its products; the order of its argument `tables`.
struct ProductTables {
  at::Tensor terms;    ///< (n_terms, 4) int64: output row, components i <= j <= k of A (-1: none);
                       ///< in lexicographic order, each once
  at::Tensor entries;  ///< (n, 2) int64: term, weight; sorted by term
  at::Tensor values;   ///< (n) float64: coefficient of the term += value * weight

  explicit ProductTables(at::TensorList tables);
};

/// The same in differentiable torch operations.
at::Tensor composite_symmetric_contraction(const at::Tensor& a, const at::Tensor& types,
                                           at::TensorList weights, const ProductTables& tables,
                                           int64_t n_rows);

}  // namespace e3md

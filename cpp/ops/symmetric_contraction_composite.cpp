// symmetric_contraction from torch operations that autograd differentiates any number of times.
#include <torch/torch.h>

#include "symmetric_contraction.h"

namespace e3md {

using at::Tensor;

Tensor composite_symmetric_contraction(const Tensor& a, const Tensor& types, at::TensorList list,
                                       const ProductTables& tables, int64_t n_rows) {
  const Tensor weights = at::cat(list, 1);
  const Tensor values = tables.values.to(a.scalar_type()).view({1, -1, 1});
  const int64_t n_terms = tables.terms.size(0);
  const Tensor weighted = weights.index_select(1, tables.entries.select(1, 1)) * values;
  const Tensor coefficients =
      at::zeros({weights.size(0), n_terms, weights.size(2)}, weights.options())
          .index_add(1, tables.entries.select(1, 0), weighted);
  // A component of its own, always one, stands in for "none".
  const Tensor padded = at::cat({a, at::ones_like(a.narrow(1, 0, 1))}, 1);
  const Tensor index = tables.terms.where(tables.terms.ge(0), a.size(1));
  Tensor products = coefficients.index_select(0, types);
  for (int factor = 1; factor < 4; ++factor)
    products = products * padded.index_select(1, index.select(1, factor));
  return at::zeros({a.size(0), n_rows, a.size(2)}, a.options())
      .index_add(1, tables.terms.select(1, 0), products);
}

}  // namespace e3md

#pragma once
#include <ATen/core/Tensor.h>

namespace e3md {

/// What edge_conv_radial is told of a convolution; the order of its argument `tables`.
struct RadialTables {
  at::Tensor values;  ///< (n_tables, n_knots, n_groups, 3, 16): f, h f', h² f'' of each weight
  at::Tensor chosen;  ///< (n_types, n_types) int64: table of receiver and neighbor
  at::Tensor grid;    ///< (2) float64: first knot and spacing h, Å
  at::Tensor harmonic_index;  ///< (n, 3) int64: out, lower, component; rows of lower come first
  at::Tensor harmonic_value;  ///< (n) float64: sh[out] += value * sh[lower] * direction[component]
  at::Tensor paths, cg_index, cg_value;  ///< as edge_conv's; weight_offset counts table columns

  explicit RadialTables(at::TensorList tables);
  int64_t n_harmonics() const;  ///< columns of sh
};

/// The same in differentiable torch operations and edge_conv: for second derivatives.
at::Tensor composite_edge_conv_radial(const at::Tensor& h, const at::Tensor& edge_vec,
                                      const at::Tensor& types, const at::Tensor& edge_index,
                                      const RadialTables& tables, bool solid, int64_t n_local,
                                      int64_t dim_out);

}  // namespace e3md

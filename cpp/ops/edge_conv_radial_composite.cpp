// edge_conv_radial from torch operations that autograd differentiates any number of times. Hessians
// come here; molecular dynamics does not.
#include <torch/torch.h>

#include "autograd.h"
#include "edge_conv_radial.h"
#include "edge_conv_radial_kernel.h"

namespace e3md {
namespace {

using at::Tensor;

/// Harmonics of the edges, (n_edges, n), by the recursion over degrees.
Tensor harmonics(const Tensor& direction, const RadialTables& tables) {
  std::vector<Tensor> columns(tables.n_harmonics);
  columns[0] = at::ones_like(direction.select(1, 0));
  const double* value = tables.harmonic_value.const_data_ptr<double>();
  for (const HarmonicRow& row : tables.harmonics) {
    const Tensor term = *value++ * columns[row.lower] * direction.select(1, row.component);
    Tensor& column = columns[row.out];
    column = column.defined() ? column + term : term;
  }
  return at::stack(columns, 1);
}

/// The quintic between two knots, t in [0, 1]: weights of f, h f', h² f'' at both, (n_edges, 6).
Tensor hermite(const Tensor& t) {
  const Tensor t2 = t * t, t3 = t2 * t;
  const Tensor last = t3 * (10 + t * (6 * t - 15));
  return at::stack(
      {1 - last, t + t3 * (-6 + t * (8 - 3 * t)), 0.5 * t2 * (1 + t * (-3 + t * (3 - t))), last,
       t3 * (-4 + t * (7 - 3 * t)), 0.5 * t3 * (1 + t * (t - 2))},
      1);
}

/// Radial weights of the edges, (n_edges, 16 n_groups).
Tensor radial_weights(const Tensor& r, const Tensor& types, const Tensor& edge_index,
                      const RadialTables& tables) {
  const Tensor u = (r - tables.first) / tables.spacing;
  const Tensor k = u.detach().floor().clamp(0, tables.n_knots() - 2).to(at::kLong);
  const Tensor i = types.index_select(0, edge_index[0]), j = types.index_select(0, edge_index[1]);
  const Tensor row =
      tables.chosen.flatten().index_select(0, i * tables.n_types() + j) * tables.n_knots() + k;
  const Tensor knots = tables.values.flatten(0, 1);  // (tables * knots, groups, 3, 16)
  const Tensor around = at::cat({knots.index_select(0, row), knots.index_select(0, row + 1)}, 2);
  const Tensor basis = hermite(u - k.to(u.scalar_type()));
  return at::einsum("egqc,eq->egc", {around, basis}).flatten(1);
}

}  // namespace

Tensor composite_edge_conv_radial(const Tensor& h, const Tensor& edge_vec, const Tensor& types,
                                  const Tensor& edge_index, const RadialTables& tables, bool solid,
                                  int64_t n_local, int64_t dim_out) {
  using Signature = Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                           const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t);
  static const auto edge_conv = find_op<Signature>("e3md::edge_conv");
  TORCH_CHECK(edge_vec.dim() == 2,
              "edge_conv_radial: several gradients to edge_vec have no second derivatives");
  const Tensor r = edge_vec.square().sum(1).sqrt();
  const Tensor direction = solid ? edge_vec : edge_vec / r.unsqueeze(1);
  const int64_t ones = h.size(1) ? 0 : tables.products(0, dim_out).widest();
  const Tensor features = h.size(1) ? h : at::ones({h.size(0), ones}, h.options());
  return edge_conv.call(features, harmonics(direction, tables),
                        radial_weights(r, types, edge_index, tables), edge_index, tables.paths,
                        tables.cg_index, tables.cg_value, n_local, dim_out);
}

}  // namespace e3md

// edge_conv_radial from harmonics, splines and edge_conv, in torch operations.
#include "common/reference.h"

#include <torch/torch.h>

#include "common/autograd.h"
#include "edge_conv_radial/op.h"

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
  const bool doubled = tables.doubled != kernels::kNoKnot;
  const Tensor k = u.detach().floor().clamp(0, tables.n_knots() - 2 - doubled).to(at::kLong);
  const Tensor i = types.index_select(0, edge_index[0]), j = types.index_select(0, edge_index[1]);
  const Tensor row =
      tables.table_of_pair.flatten().to(r.device()).index_select(0, i * tables.n_types() + j) *
          tables.n_knots() +
      k + k.ge(tables.doubled).to(at::kLong);
  const Tensor knots = tables.values.flatten(0, 1);  // (tables * knots, groups, 3, 16)
  const Tensor around = at::cat({knots.index_select(0, row), knots.index_select(0, row + 1)}, 2);
  const Tensor basis = hermite(u - k.to(u.scalar_type()));
  return at::einsum("egqc,eq->egc", {around, basis}).flatten(1);
}

/// Those paths that are counted, of member k of n: others have no channels or no terms.
Tensor paths_of(const RadialTables& tables, int64_t dim_in, int64_t dim_out, int64_t k, int64_t n) {
  const PathTable table = tables.products(dim_in, dim_out);
  std::vector<int64_t> chosen;
  int64_t number = 0;
  for (int64_t row = 0; row < table.paths.size(); ++row)
    if (table.paths[row].mul > 0 && table.extents[row].n_in > 0 && number++ % n == k)
      chosen.push_back(row);
  return tables.paths.index_select(0, torch::tensor(chosen, at::kLong));
}

void check_arguments(const Tensor& h, const Tensor& edge_vec, const Tensor& types,
                     const RadialTables& tables) {
  TORCH_CHECK((edge_vec.dim() == 2 || edge_vec.dim() == 3) && edge_vec.size(-1) == 3 &&
                  h.dim() == 2 && types.dim() == 1 && types.size(0) == h.size(0) &&
                  types.scalar_type() == at::kLong,
              "edge_conv_radial: h must be (n_nodes, columns), types int64 (n_nodes), edge_vec "
              "(n_edges, 3) or (n_gradients, n_edges, 3)");
  for (const Tensor& t : {edge_vec, tables.values})
    TORCH_CHECK(t.scalar_type() == h.scalar_type(),
                "edge_conv_radial: h, edge_vec and the table must have one dtype");
  check_types("edge_conv_radial", types.cpu().contiguous(), tables.n_types());
}

}  // namespace

Tensor reference_edge_conv_radial(const Tensor& h, const Tensor& edge_vec, const Tensor& types,
                                  const Tensor& edge_index, at::TensorList list, bool solid,
                                  int64_t n_local, int64_t dim_out) {
  using Signature = Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                           const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t);
  static const auto edge_conv = find_op<Signature>("e3md::edge_conv");
  std::vector<Tensor> parts = on_host(list);
  if (!parts.empty()) parts[0] = list[0];
  const RadialTables tables(parts);
  check_arguments(h, edge_vec, types, tables);
  const int64_t ones = h.size(1) ? 0 : tables.products(0, dim_out).widest();
  const Tensor features = h.size(1) ? h : at::ones({h.size(0), ones}, h.options());
  const int64_t n_gradients = edge_vec.dim() == 3 ? edge_vec.size(0) : 1;
  Tensor out = at::zeros({n_local, dim_out}, h.options());
  for (int64_t k = 0; k < n_gradients; ++k) {
    const Tensor edges = edge_vec.dim() == 3 ? edge_vec[k] : edge_vec;
    const Tensor r = edges.square().sum(1).sqrt();
    const Tensor direction = solid ? edges : edges / r.unsqueeze(1);
    out = out + edge_conv.call(features, harmonics(direction, tables),
                               radial_weights(r, types, edge_index, tables), edge_index,
                               paths_of(tables, h.size(1), dim_out, k, n_gradients),
                               tables.cg_index, tables.cg_value, n_local, dim_out);
  }
  return out;
}

}  // namespace e3md

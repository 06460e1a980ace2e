// edge_conv path by path, in torch operations.
#include "common/reference.h"

#include <torch/torch.h>

#include "common/edges.h"
#include "common/path_table.h"

namespace e3md {
namespace {

using at::Tensor;

/// Columns offset + m * stride + c of m < n_m and c < mul.
Tensor columns(int64_t offset, int64_t stride, int64_t n_m, int64_t mul) {
  const Tensor m = at::arange(n_m, at::kLong), c = at::arange(mul, at::kLong);
  return (offset + m.unsqueeze(1) * stride + c).flatten();
}

/// Couplings of a path as (n_in, n_sh, n_out) float64.
Tensor dense(const PathTable& table, int64_t number) {
  const auto& n = table.extents[number];
  Tensor found = at::zeros({n.n_in, n.n_sh, n.n_out}, at::kDouble);
  auto to = found.accessor<double, 3>();
  const double* value = table.values.const_data_ptr<double>();
  for (int64_t k = table.paths[number].cg_begin; k < table.paths[number].cg_end; ++k) {
    const CouplingRow& row = table.couplings[k];
    to[row.m_in][row.m_sh][row.m_out] += value[k];
  }
  return found;
}

}  // namespace

Tensor reference_edge_conv(const Tensor& h, const Tensor& sh, const Tensor& weights,
                           const Tensor& edge_index, const Tensor& paths, const Tensor& cg_index,
                           const Tensor& cg_value, int64_t n_local, int64_t dim_out) {
  check_edges(sh, weights, edge_index);
  check_features(h, sh, weights);
  check_size("edge_conv", "dim_out", dim_out, 0, kMaxColumns);
  receiver_begin(edge_index.cpu().contiguous(), n_local, h.size(0));
  const PathTable table(paths.cpu(), cg_index.cpu(), cg_value.cpu(),
                        {h.size(1), sh.size(1), weights.size(1), dim_out});
  const Tensor neighbors = h.index_select(0, edge_index[1]);
  // Also without a path it depends on all three, as far as autograd is concerned.
  Tensor out = at::zeros({n_local, dim_out}, h.options());
  for (const Tensor& x : {h, sh, weights}) out = out + x.narrow(0, 0, 0).sum();
  for (int64_t k = 0; k < table.paths.size(); ++k) {
    const PathRow& path = table.paths[k];
    const auto& n = table.extents[k];
    if (path.mul == 0 || n.n_in == 0) continue;
    const Tensor from = columns(path.in_offset, path.in_stride, n.n_in, path.mul).to(h.device());
    const Tensor to = columns(path.out_offset, path.out_stride, n.n_out, path.mul).to(h.device());
    const Tensor x = neighbors.index_select(1, from).view({-1, n.n_in, path.mul});
    const Tensor y = sh.narrow(1, path.sh_offset, n.n_sh);
    const Tensor weighted = x * weights.narrow(1, path.weight_offset, path.mul).unsqueeze(1);
    const Tensor coupled = at::einsum("ej,ijk->eik", {y, dense(table, k).to(h.options())});
    const Tensor messages = at::einsum("eic,eik->ekc", {weighted, coupled}).flatten(1);
    const Tensor sums = at::zeros({n_local, to.size(0)}, h.options());
    out = out.index_add(1, to, sums.index_add(0, edge_index[0], messages));
  }
  return out;
}

}  // namespace e3md

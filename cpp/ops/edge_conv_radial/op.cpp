// edge_conv_radial on the CPU: the loop over receivers. The schemas are in
// register_radial.cpp.
#include "edge_conv_radial/op.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <omp.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "common/copies.h"
#include "edge_conv_radial/arguments.h"
#include "edge_conv_radial/hessian.h"

namespace e3md {

using at::Tensor;

namespace {

Tensor edge_conv_radial(const Tensor& h, const Tensor& edge_vec, const Tensor& types,
                        const Tensor& edge_index, at::TensorList tables, bool solid,
                        int64_t n_local, int64_t dim_out) {
  const RadialArguments arguments(h, edge_vec, types, edge_index, tables, solid);
  check_size("edge_conv_radial", "n_local", n_local, 0, h.size(0));
  check_size("edge_conv_radial", "dim_out", dim_out, 0, kMaxColumns);
  Tensor out = at::empty({n_local, dim_out}, h.options());
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "edge_conv_radial", [&] {
    const PreparedRadial<scalar_t> prepared(arguments, n_local, dim_out);
    const auto convolve = radial_loops<scalar_t>().convolve;
    auto* result = out.mutable_data_ptr<scalar_t>();
    for_owners<scalar_t>(n_local, prepared.scratch_size(),
                         [&](int64_t first, int64_t last, scalar_t* scratch) {
                           convolve(prepared.problem, result, first, last, scratch);
                         });
  });
  return out;
}

/// Gradients to h, (0) if not needed, and to edge_vec. A receiver adds to the rows of its
/// neighbors, so every thread has rows of its own, added up in the order of the threads.
std::tuple<Tensor, Tensor> edge_conv_radial_grad(const Tensor& g_, const Tensor& h,
                                                 const Tensor& edge_vec, const Tensor& types,
                                                 const Tensor& edge_index, at::TensorList tables,
                                                 bool solid, bool need_h) {
  if (CopiesScope::current() > 1)
    return gradients_of_copies(g_, h, edge_vec, types, edge_index, tables, solid, need_h);
  const RadialArguments arguments(h, edge_vec, types, edge_index, tables, solid);
  const Tensor g = g_.contiguous();
  TORCH_CHECK(g.dim() == 2 && g.scalar_type() == h.scalar_type(),
              "edge_conv_radial_grad: g must be (n_local, dim_out) and of the dtype of h");
  const int64_t n_local = g.size(0), n_threads = std::min<int64_t>(loop_threads(), n_local + 1);
  const bool to_rows = need_h && h.size(1) > 0;
  Tensor grad_vec = at::empty(edge_vec.sizes(), edge_vec.options());
  std::vector<Tensor> grad_h(n_threads);
  if (need_h)
    for (Tensor& rows : grad_h) rows = at::zeros(h.sizes(), h.options());
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "edge_conv_radial_grad", [&] {
    const PreparedRadial<scalar_t> prepared(arguments, n_local, g.size(1));
    const auto differentiate = radial_loops<scalar_t>().differentiate;
    const auto* cotangent = g.const_data_ptr<scalar_t>();
    auto* to_vec = grad_vec.mutable_data_ptr<scalar_t>();
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
      const int64_t t = omp_get_thread_num(), n = omp_get_num_threads();
      std::vector<scalar_t> scratch(prepared.scratch_size());
      auto* to_h = to_rows ? grad_h[t].template mutable_data_ptr<scalar_t>() : nullptr;
      differentiate(prepared.problem, cotangent, to_vec, to_rows, to_h, n_local * t / n,
                    n_local * (t + 1) / n, scratch.data());
    }
  });
  for (int64_t t = 1; need_h && t < n_threads; ++t) grad_h[0].add_(grad_h[t]);
  return {need_h ? grad_h[0] : at::empty({0}, h.options()), grad_vec};
}

Tensor edge_conv_radial_meta(const Tensor& h, const Tensor&, const Tensor&, const Tensor&,
                             at::TensorList, bool, int64_t n_local, int64_t dim_out) {
  return h.new_empty({n_local, dim_out});
}

std::tuple<Tensor, Tensor> edge_conv_radial_grad_meta(const Tensor&, const Tensor& h,
                                                      const Tensor& edge_vec, const Tensor&,
                                                      const Tensor&, at::TensorList, bool,
                                                      bool need_h) {
  return {h.new_empty(need_h ? h.sizes() : at::IntArrayRef{0}),
          edge_vec.new_empty(edge_vec.sizes())};
}

}  // namespace

TORCH_LIBRARY_IMPL(e3md, CPU, m) {
  m.impl("edge_conv_radial", edge_conv_radial);
  m.impl("edge_conv_radial_grad", edge_conv_radial_grad);
}

TORCH_LIBRARY_IMPL(e3md, Meta, m) {
  m.impl("edge_conv_radial", edge_conv_radial_meta);
  m.impl("edge_conv_radial_grad", edge_conv_radial_grad_meta);
}

}  // namespace e3md

// What Hessians add to edge_conv_radial on the CPU: second derivatives to the edge vectors.
#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <omp.h>
#include <torch/library.h>

#include <optional>
#include <tuple>
#include <vector>

#include "common/isa.h"
#include "edge_conv_radial/arguments.h"
#include "edge_conv_radial/hessian_kernel.h"

namespace e3md {
namespace {

using at::Tensor;
using kernels::RadialHessian;
using kernels::RadialHessianLoop;

template <class T>
RadialHessianLoop<T> hessian_loop() {
  if constexpr (std::is_same_v<T, float>)
    return E3MD_FOR_ISA(radial_hessian_loop_f32);
  else
    return E3MD_FOR_ISA(radial_hessian_loop_f64);
}

void check_hessian(const RadialArguments& arguments, const Tensor& g,
                   const std::optional<Tensor>& h_dot, const Tensor& edge_dot) {
  const Tensor& h = arguments.h;
  TORCH_CHECK(g.dim() == 2 && g.scalar_type() == h.scalar_type(),
              "edge_conv_radial_hessian: g must be (n_local, dim_out) and of the dtype of h");
  TORCH_CHECK(arguments.n_gradients == 1,
              "edge_conv_radial_hessian: several gradients to edge_vec are for first derivatives");
  TORCH_CHECK(
      edge_dot.sizes() == arguments.edge_vec.sizes() && edge_dot.scalar_type() == h.scalar_type() &&
          (!h_dot || (h_dot->sizes() == h.sizes() && h_dot->scalar_type() == h.scalar_type())),
      "edge_conv_radial_hessian: tangents must be like what they change");
}

/// Derivatives to g, h, (0) if not needed, and edge_vec. As in edge_conv_radial_grad every thread
/// has rows of h of its own.
std::tuple<Tensor, Tensor, Tensor> edge_conv_radial_hessian(
    const Tensor& g_, const Tensor& h, const Tensor& edge_vec, const Tensor& types,
    const Tensor& edge_index, at::TensorList tables, bool solid, const std::optional<Tensor>& h_dot,
    const Tensor& edge_dot_, bool need_h) {
  const RadialArguments arguments(h, edge_vec, types, edge_index, tables, solid);
  check_hessian(arguments, g_, h_dot, edge_dot_);
  const Tensor g = g_.contiguous(), edge_dot = edge_dot_.contiguous();
  const int64_t n_local = g.size(0), n_threads = std::min<int64_t>(loop_threads(), n_local + 1);
  const bool has_rows = h.size(1) > 0;
  const Tensor in_dot = h_dot && has_rows ? h_dot->contiguous() : Tensor();
  const Tensor to_g = at::empty(g.sizes(), g.options());
  const Tensor to_vec = at::empty(edge_vec.sizes(), edge_vec.options());
  std::vector<Tensor> to_h(n_threads);
  if (need_h)
    for (Tensor& rows : to_h) rows = at::zeros(h.sizes(), h.options());
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "edge_conv_radial_hessian", [&] {
    const PreparedRadial<scalar_t> prepared(arguments, n_local, g.size(1));
    const auto loop = hessian_loop<scalar_t>();
    const auto size =
        kernels::hessian_scratch_size(prepared.problem.dim_sh, prepared.problem.max_pairs);
    const RadialHessian<scalar_t> shared{
        in_dot.defined(),
        need_h && has_rows,
        g.const_data_ptr<scalar_t>(),
        in_dot.defined() ? in_dot.const_data_ptr<scalar_t>() : nullptr,
        edge_dot.const_data_ptr<scalar_t>(),
        to_g.mutable_data_ptr<scalar_t>(),
        nullptr,
        to_vec.mutable_data_ptr<scalar_t>()};
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
      const int64_t t = omp_get_thread_num(), n = omp_get_num_threads();
      std::vector<scalar_t> scratch(size);
      RadialHessian<scalar_t> own = shared;
      if (own.need_in) own.to_in = to_h[t].template mutable_data_ptr<scalar_t>();
      loop(prepared.problem, own, n_local * t / n, n_local * (t + 1) / n, scratch.data());
    }
  });
  for (int64_t t = 1; need_h && t < n_threads; ++t) to_h[0].add_(to_h[t]);
  return {to_g, need_h ? to_h[0] : at::empty({0}, h.options()), to_vec};
}

std::tuple<Tensor, Tensor, Tensor> hessian_meta(const Tensor& g, const Tensor& h,
                                                const Tensor& edge_vec, const Tensor&,
                                                const Tensor&, at::TensorList, bool,
                                                const std::optional<Tensor>&, const Tensor&,
                                                bool need_h) {
  return {g.new_empty(g.sizes()), h.new_empty(need_h ? h.sizes() : at::IntArrayRef{0}),
          edge_vec.new_empty(edge_vec.sizes())};
}

}  // namespace

TORCH_LIBRARY_IMPL(e3md, CPU, m) { m.impl("edge_conv_radial_hessian", edge_conv_radial_hessian); }

TORCH_LIBRARY_IMPL(e3md, Meta, m) { m.impl("edge_conv_radial_hessian", hessian_meta); }

}  // namespace e3md

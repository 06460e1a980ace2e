// What training adds to edge_conv_radial on the CPU: derivatives to the table, and second ones.
#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <omp.h>
#include <torch/library.h>

#include <optional>
#include <tuple>
#include <vector>

#include "common/isa.h"
#include "edge_conv_radial/arguments.h"
#include "edge_conv_radial/training_kernel.h"

namespace e3md {
namespace {

using at::Tensor;
using kernels::RadialTraining;
using kernels::RadialTrainingLoop;

template <class T>
RadialTrainingLoop<T> loop() {
  if constexpr (std::is_same_v<T, float>)
    return E3MD_FOR_ISA(radial_training_loop_f32);
  else
    return E3MD_FOR_ISA(radial_training_loop_f64);
}

/// Tangents of a second derivative.
struct Tangents {
  std::optional<Tensor> h;  ///< none: zero
  Tensor edge_vec;
};

/// Derivatives to g (only with tangents), h and the table. A receiver adds to rows that others add
/// to as well, so every thread has its own, added up in the order of the threads.
std::tuple<Tensor, Tensor, Tensor> derivatives(const RadialArguments& arguments, const Tensor& g,
                                               const std::optional<Tangents>& tangents) {
  const Tensor& h = arguments.h;
  TORCH_CHECK(g.dim() == 2 && g.scalar_type() == h.scalar_type() && h.size(1) > 0,
              "edge_conv_radial: g must be (n_local, dim_out) and of the dtype of h, h not empty");
  TORCH_CHECK(arguments.n_gradients == 1,
              "edge_conv_radial: several gradients to edge_vec are for inference only");
  const int64_t n_local = g.size(0), n_threads = std::min<int64_t>(loop_threads(), n_local + 1);
  const bool has_in_dot = tangents && tangents->h;
  Tensor to_g = tangents ? at::empty(g.sizes(), g.options()) : Tensor();
  std::vector<Tensor> to_h(n_threads), to_values(n_threads);
  for (int64_t t = 0; t < n_threads; ++t) {
    to_h[t] = at::zeros(h.sizes(), h.options());
    to_values[t] = at::zeros_like(arguments.tables.values);
  }
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "edge_conv_radial_training", [&] {
    const PreparedRadial<scalar_t> prepared(arguments, n_local, g.size(1));
    const auto train = loop<scalar_t>();
    const auto size =
        kernels::training_scratch_size(prepared.problem.dim_sh, prepared.problem.max_pairs);
    const RadialTraining<scalar_t> shared{
        tangents.has_value(),
        has_in_dot,
        g.const_data_ptr<scalar_t>(),
        has_in_dot ? tangents->h->const_data_ptr<scalar_t>() : nullptr,
        tangents ? tangents->edge_vec.const_data_ptr<scalar_t>() : nullptr,
        tangents ? to_g.mutable_data_ptr<scalar_t>() : nullptr,
        nullptr,
        nullptr};
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
      const int64_t t = omp_get_thread_num(), n = omp_get_num_threads();
      std::vector<scalar_t> scratch(size);
      RadialTraining<scalar_t> own = shared;
      own.to_in = to_h[t].template mutable_data_ptr<scalar_t>();
      own.to_values = to_values[t].template mutable_data_ptr<scalar_t>();
      train(prepared.problem, own, n_local * t / n, n_local * (t + 1) / n, scratch.data());
    }
  });
  for (int64_t t = 1; t < n_threads; ++t) {
    to_h[0].add_(to_h[t]);
    to_values[0].add_(to_values[t]);
  }
  return {to_g, to_h[0], to_values[0]};
}

std::tuple<Tensor, Tensor> edge_conv_radial_table(const Tensor& g, const Tensor& h,
                                                  const Tensor& edge_vec, const Tensor& types,
                                                  const Tensor& edge_index, at::TensorList tables,
                                                  bool solid) {
  const RadialArguments arguments(h, edge_vec, types, edge_index, tables, solid);
  const auto [to_g, to_h, to_values] = derivatives(arguments, g.contiguous(), std::nullopt);
  return {to_h, to_values};
}

std::tuple<Tensor, Tensor, Tensor> edge_conv_radial_second(
    const Tensor& g, const Tensor& h, const Tensor& edge_vec, const Tensor& types,
    const Tensor& edge_index, at::TensorList tables, bool solid, const std::optional<Tensor>& h_dot,
    const Tensor& edge_dot) {
  const RadialArguments arguments(h, edge_vec, types, edge_index, tables, solid);
  TORCH_CHECK(
      edge_dot.sizes() == edge_vec.sizes() && edge_dot.scalar_type() == h.scalar_type() &&
          (!h_dot || (h_dot->sizes() == h.sizes() && h_dot->scalar_type() == h.scalar_type())),
      "edge_conv_radial_second: tangents must be like what they change");
  Tangents tangents{std::nullopt, edge_dot.contiguous()};
  if (h_dot) tangents.h = h_dot->contiguous();
  return derivatives(arguments, g.contiguous(), tangents);
}

std::tuple<Tensor, Tensor> table_meta(const Tensor&, const Tensor& h, const Tensor&, const Tensor&,
                                      const Tensor&, at::TensorList tables, bool) {
  return {h.new_empty(h.sizes()), h.new_empty(tables[0].sizes())};
}

std::tuple<Tensor, Tensor, Tensor> second_meta(const Tensor& g, const Tensor& h, const Tensor&,
                                               const Tensor&, const Tensor&, at::TensorList tables,
                                               bool, const std::optional<Tensor>&, const Tensor&) {
  return {g.new_empty(g.sizes()), h.new_empty(h.sizes()), h.new_empty(tables[0].sizes())};
}

}  // namespace

TORCH_LIBRARY_IMPL(e3md, CPU, m) {
  m.impl("edge_conv_radial_table", edge_conv_radial_table);
  m.impl("edge_conv_radial_second", edge_conv_radial_second);
}

TORCH_LIBRARY_IMPL(e3md, Meta, m) {
  m.impl("edge_conv_radial_table", table_meta);
  m.impl("edge_conv_radial_second", second_meta);
}

}  // namespace e3md

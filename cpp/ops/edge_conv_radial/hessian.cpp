// What Hessians add to edge_conv_radial on the CPU: second derivatives to the edge vectors, and
// derivatives of several copies of a graph.
#include "edge_conv_radial/hessian.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <omp.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "common/copies.h"
#include "common/isa.h"
#include "edge_conv_radial/arguments.h"
#include "edge_conv_radial/hessian_kernel.h"

namespace e3md {
namespace {

using at::Tensor;
using kernels::Copies;
using kernels::RadialCotangents;
using kernels::RadialHessian;
using kernels::RadialHessianLoops;

template <class T>
RadialHessianLoops<T> hessian_loops() {
  if constexpr (std::is_same_v<T, float>)
    return E3MD_FOR_ISA(radial_hessian_loops_f32);
  else
    return E3MD_FOR_ISA(radial_hessian_loops_f64);
}

/// Copies that arguments are of; without a CopiesScope they are one.
Copies copies_of(const Tensor& h, const Tensor& edge_vec, const Tensor& g) {
  const int64_t n = CopiesScope::current(), n_nodes = h.size(0), n_edges = edge_vec.size(-2);
  TORCH_CHECK(n == 1 || (n <= kMaxCopies && n_nodes == g.size(0) && n_nodes % n == 0 &&
                         n_edges % n == 0 && edge_vec.dim() == 2),
              "edge_conv_radial: ", n_nodes, " nodes and ", n_edges, " edges are not those of ", n,
              " copies of a graph");
  return {n, n_nodes / n, n_edges / n};
}

/// The arguments of the first copy.
RadialArguments first_of(const Copies& copies, const Tensor& h, const Tensor& edge_vec,
                         const Tensor& types, const Tensor& edge_index, at::TensorList tables,
                         bool solid) {
  TORCH_CHECK(edge_vec.dim() == 2 && edge_index.dim() == 2 && types.dim() == 1 &&
                  edge_index.size(1) == edge_vec.size(0) && types.size(0) == h.size(0),
              "edge_conv_radial: second derivatives take types (n_nodes), edge_index (2, n_edges) "
              "and edge_vec (n_edges, 3)");
  return {h.narrow(0, 0, copies.n_nodes),
          edge_vec.narrow(0, 0, copies.n_edges),
          types.narrow(0, 0, copies.n_nodes),
          edge_index.narrow(1, 0, copies.n_edges),
          tables,
          solid};
}

/// Runs `body(t, begin, end)` on threads t over [0, n).
template <class Body>
void for_threads(int64_t n_threads, int64_t n, Body body) {
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
  {
    const int64_t t = omp_get_thread_num(), all = omp_get_num_threads();
    body(t, n * t / all, n * (t + 1) / all);
  }
}

/// Rows that several receivers add to: every thread has its own, added up in their order.
struct ThreadRows {
  std::vector<Tensor> rows;

  ThreadRows(bool needed, int64_t n_threads, const Tensor& like) {
    for (int64_t t = 0; needed && t < n_threads; ++t)
      rows.push_back(at::zeros(like.sizes(), like.options()));
  }
  /// Null where there are none.
  template <class T>
  T* of(int64_t t) const {
    return rows.empty() ? nullptr : rows[t].mutable_data_ptr<T>();
  }
  /// (0) where none were needed.
  Tensor sum(const Tensor& like) {
    if (rows.empty()) return at::empty({0}, like.options());
    for (size_t t = 1; t < rows.size(); ++t) rows[0].add_(rows[t]);
    return rows[0];
  }
};

/// Which rows of x are not zero.
template <class T>
std::vector<uint8_t> nonzero_rows(const Tensor& x) {
  std::vector<uint8_t> found(x.size(0));
  const T* row = x.const_data_ptr<T>();
  for (size_t i = 0; i < found.size(); ++i, row += x.size(1))
    found[i] = std::any_of(row, row + x.size(1), [](T value) { return value != 0; });
  return found;
}

void check_hessian(const Tensor& g, const Tensor& h, const Tensor& edge_vec,
                   const std::optional<Tensor>& h_dot, const Tensor& edge_dot) {
  TORCH_CHECK(h.dim() == 2 && g.dim() == 2 && g.scalar_type() == h.scalar_type(),
              "edge_conv_radial_hessian: g must be (n_local, dim_out) and of the dtype of h");
  TORCH_CHECK(edge_vec.dim() == 2,
              "edge_conv_radial_hessian: several gradients to edge_vec are for first derivatives");
  TORCH_CHECK(
      edge_dot.sizes() == edge_vec.sizes() && edge_dot.scalar_type() == h.scalar_type() &&
          (!h_dot || (h_dot->sizes() == h.sizes() && h_dot->scalar_type() == h.scalar_type())),
      "edge_conv_radial_hessian: tangents must be like what they change");
}

/// Derivatives to g, h, (0) if not needed, and edge_vec.
std::tuple<Tensor, Tensor, Tensor> edge_conv_radial_hessian(
    const Tensor& g_, const Tensor& h, const Tensor& edge_vec, const Tensor& types,
    const Tensor& edge_index, at::TensorList tables, bool solid, const std::optional<Tensor>& h_dot,
    const Tensor& edge_dot_, bool need_h) {
  check_hessian(g_, h, edge_vec, h_dot, edge_dot_);
  const Copies copies = copies_of(h, edge_vec, g_);
  const RadialArguments arguments = first_of(copies, h, edge_vec, types, edge_index, tables, solid);
  const Tensor g = g_.contiguous(), edge_dot = edge_dot_.contiguous();
  const int64_t n_local = g.size(0) / copies.n;
  const int64_t n_threads = std::min<int64_t>(loop_threads(), n_local + 1);
  const bool has_in = h.size(1) > 0, has_in_dot = h_dot && has_in;
  const Tensor in_dot = has_in_dot ? h_dot->contiguous() : Tensor();
  const Tensor to_g = at::empty(g.sizes(), g.options());
  const Tensor to_vec = at::empty(edge_vec.sizes(), edge_vec.options());
  ThreadRows to_h(need_h, n_threads, h);
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "edge_conv_radial_hessian", [&] {
    const PreparedRadial<scalar_t> prepared(arguments, n_local, g.size(1));
    const auto& p = prepared.problem;
    const auto rows = has_in_dot ? nonzero_rows<scalar_t>(in_dot) : std::vector<uint8_t>();
    for_threads(n_threads, n_local, [&](int64_t t, int64_t begin, int64_t end) {
      std::vector<scalar_t> scratch(kernels::hessian_scratch_size(p.dim_sh, p.max_pairs, p.dim_in));
      const RadialHessian<scalar_t> hessian{
          copies,
          has_in_dot,
          need_h && has_in,
          g.const_data_ptr<scalar_t>(),
          has_in_dot ? in_dot.const_data_ptr<scalar_t>() : nullptr,
          rows.data(),
          edge_dot.const_data_ptr<scalar_t>(),
          to_g.mutable_data_ptr<scalar_t>(),
          to_h.of<scalar_t>(t),
          to_vec.mutable_data_ptr<scalar_t>()};
      hessian_loops<scalar_t>().bend(p, hessian, begin, end, scratch.data());
    });
  });
  return {to_g, to_h.sum(h), to_vec};
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

std::tuple<Tensor, Tensor> gradients_of_copies(const Tensor& g_, const Tensor& h,
                                               const Tensor& edge_vec, const Tensor& types,
                                               const Tensor& edge_index, at::TensorList tables,
                                               bool solid, bool need_h) {
  TORCH_CHECK(h.dim() == 2 && g_.dim() == 2 && g_.scalar_type() == h.scalar_type(),
              "edge_conv_radial_grad: g must be (n_local, dim_out) and of the dtype of h");
  const Copies copies = copies_of(h, edge_vec, g_);
  const RadialArguments arguments = first_of(copies, h, edge_vec, types, edge_index, tables, solid);
  const Tensor g = g_.contiguous();
  const int64_t n_threads = std::min<int64_t>(loop_threads(), copies.n_nodes + 1);
  const Tensor to_vec = at::empty(edge_vec.sizes(), edge_vec.options());
  ThreadRows to_h(need_h, n_threads, h);
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "edge_conv_radial_grad", [&] {
    const PreparedRadial<scalar_t> prepared(arguments, copies.n_nodes, g.size(1));
    const auto& p = prepared.problem;
    for_threads(n_threads, copies.n_nodes, [&](int64_t t, int64_t begin, int64_t end) {
      std::vector<scalar_t> scratch(kernels::hessian_scratch_size(p.dim_sh, p.max_pairs, p.dim_in));
      const RadialCotangents<scalar_t> cotangents{
          copies, need_h && p.dim_in > 0, g.const_data_ptr<scalar_t>(), to_h.of<scalar_t>(t),
          to_vec.mutable_data_ptr<scalar_t>()};
      hessian_loops<scalar_t>().differentiate(p, cotangents, begin, end, scratch.data());
    });
  });
  return {to_h.sum(h), to_vec};
}

TORCH_LIBRARY_IMPL(e3md, CPU, m) { m.impl("edge_conv_radial_hessian", edge_conv_radial_hessian); }

TORCH_LIBRARY_IMPL(e3md, Meta, m) { m.impl("edge_conv_radial_hessian", hessian_meta); }

}  // namespace e3md

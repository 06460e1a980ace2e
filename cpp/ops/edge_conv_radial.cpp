// edge_conv_radial on the CPU: checks, tables, and the loop over receivers. The schemas are in
// register_inference.cpp.
#include "edge_conv_radial.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <omp.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "edge_conv_radial_kernel.h"
#include "edge_conv_tables.h"
#include "edges.h"
#include "isa.h"

namespace e3md {

using at::Tensor;

RadialTables::RadialTables(at::TensorList tables) {
  TORCH_CHECK(tables.size() == 8, "edge_conv_radial: expected 8 tables, not ", tables.size());
  values = tables[0].contiguous(), chosen = tables[1].contiguous(), grid = tables[2].contiguous();
  harmonic_index = tables[3].contiguous(), harmonic_value = tables[4].contiguous();
  paths = tables[5], cg_index = tables[6], cg_value = tables[7];
  TORCH_CHECK(values.dim() == 5 && values.size(1) >= 2 && values.size(3) == kernels::kTableValues &&
                  values.size(4) == kernels::kTableGroup,
              "edge_conv_radial: the table must be (tables, knots, groups, 3, 16), not ",
              values.sizes(), ". Was the model loaded without making its tables?");
  TORCH_CHECK(
      chosen.dim() == 2 && chosen.size(0) == chosen.size(1) && chosen.scalar_type() == at::kLong,
      "edge_conv_radial: `chosen` must be int64 (n_types, n_types)");
  TORCH_CHECK(grid.numel() == 2 && grid.scalar_type() == at::kDouble &&
                  harmonic_value.scalar_type() == at::kDouble &&
                  harmonic_index.scalar_type() == at::kLong &&
                  harmonic_index.numel() == 3 * harmonic_value.numel(),
              "edge_conv_radial: wrong grid or harmonics");
}

int64_t RadialTables::n_harmonics() const {
  const int64_t* index = harmonic_index.const_data_ptr<int64_t>();
  int64_t n = 1;
  for (int64_t k = 0; k < harmonic_value.numel(); ++k) n = std::max(n, index[3 * k] + 1);
  return n;
}

namespace {

using conv::Widths;
using kernels::HarmonicTerm;
using kernels::RadialLoops;
using kernels::RadialProblem;

template <class T>
RadialLoops<T> loops() {
  namespace k = kernels;
  if constexpr (std::is_same_v<T, float>)
    return for_isa(k::baseline::radial_loops_f32, k::avx2::radial_loops_f32,
                   k::avx512::radial_loops_f32);
  else
    return for_isa(k::baseline::radial_loops_f64, k::avx2::radial_loops_f64,
                   k::avx512::radial_loops_f64);
}

/// Arguments of both ops, checked and contiguous.
struct Arguments {
  Tensor h, edge_vec, types, edge_index;
  RadialTables tables;
  bool solid;

  Arguments(const Tensor& h_, const Tensor& edge_vec_, const Tensor& types_,
            const Tensor& edge_index_, at::TensorList tables_, bool solid_)
      : h(h_.contiguous()),
        edge_vec(edge_vec_.contiguous()),
        types(types_.contiguous()),
        edge_index(edge_index_.contiguous()),
        tables(tables_),
        solid(solid_) {
    TORCH_CHECK(
        edge_index.scalar_type() == at::kLong && edge_index.dim() == 2 && edge_index.size(0) == 2 &&
            edge_vec.dim() == 2 && edge_vec.size(1) == 3 && edge_vec.size(0) == edge_index.size(1),
        "edge_conv_radial: edge_index must be int64 (2, n_edges) and edge_vec (n_edges, 3)");
    TORCH_CHECK(types.scalar_type() == at::kLong && types.dim() == 1 && h.dim() == 2 &&
                    types.size(0) == h.size(0),
                "edge_conv_radial: types must be int64 (n_nodes) and h (n_nodes, columns), not ",
                types.sizes(), " and ", h.sizes());
    for (const Tensor& t : {edge_vec, tables.values})
      TORCH_CHECK(t.scalar_type() == h.scalar_type(),
                  "edge_conv_radial: h, edge_vec and the table must have one dtype");
    const int64_t n_types = tables.chosen.size(0), n_tables = tables.values.size(0);
    const auto below = [](const Tensor& t, int64_t n) {
      for (int64_t k = 0; k < t.numel(); ++k)
        if (t.const_data_ptr<int64_t>()[k] < 0 || t.const_data_ptr<int64_t>()[k] >= n) return false;
      return true;
    };
    TORCH_CHECK(below(types, n_types) && below(tables.chosen, n_tables),
                "edge_conv_radial: a type or a table is out of range");
  }
};

template <class T>
struct Prepared {
  conv::Tables<T> products;
  std::vector<HarmonicTerm<T>> harmonics;
  std::vector<int64_t> begin;
  RadialProblem<T> problem{};

  Prepared(const Arguments& a, int64_t n_local, int64_t dim_out)
      : begin(receiver_begin(a.edge_index, n_local, a.h.size(0))) {
    const RadialTables& tables = a.tables;
    const int64_t n_columns = tables.values.size(2) * kernels::kTableGroup;
    const int64_t n_sh = tables.n_harmonics();
    const bool has_in = a.h.size(1) > 0;
    const Widths widths{has_in ? a.h.size(1) : INT32_MAX, n_sh, n_columns, dim_out};
    products = conv::read_tables<T>(tables.paths, tables.cg_index, tables.cg_value, widths, false);
    for (const auto& path : products.paths)
      TORCH_CHECK(path.weight_offset % kernels::kTableGroup == 0 && (has_in || path.n_in == 1),
                  "edge_conv_radial: a path begins inside a group of columns, or needs features");
    const int64_t* index = tables.harmonic_index.const_data_ptr<int64_t>();
    for (int64_t k = 0; k < tables.harmonic_value.numel(); ++k)
      harmonics.push_back({int32_t(index[3 * k]), int32_t(index[3 * k + 1]),
                           int32_t(index[3 * k + 2]),
                           T(tables.harmonic_value.template const_data_ptr<double>()[k])});
    const double* grid = tables.grid.template const_data_ptr<double>();
    problem.in = a.h.const_data_ptr<T>();
    problem.edge_vec = a.edge_vec.const_data_ptr<T>();
    problem.owner_begin = begin.data();
    problem.neighbor = a.edge_index.const_data_ptr<int64_t>() + a.edge_index.size(1);
    problem.types = a.types.const_data_ptr<int64_t>();
    problem.dim_in = a.h.size(1);
    problem.dim_out = dim_out;
    problem.dim_sh = n_sh;
    problem.table = {tables.values.const_data_ptr<T>(),
                     tables.chosen.const_data_ptr<int64_t>(),
                     tables.chosen.size(0),
                     tables.values.size(1),
                     tables.values.size(2),
                     T(grid[0]),
                     T(1 / grid[1])};
    problem.harmonics = harmonics.data();
    problem.n_harmonics = static_cast<int64_t>(harmonics.size());
    problem.solid = a.solid;
    problem.paths = products.paths.data();
    problem.terms = products.terms.data();
    problem.n_paths = static_cast<int64_t>(products.paths.size());
    problem.max_pairs = products.max_pairs;
  }

  int64_t scratch_size() const {
    return kernels::radial_scratch_size(problem.dim_sh, problem.max_pairs);
  }
};

Tensor edge_conv_radial(const Tensor& h, const Tensor& edge_vec, const Tensor& types,
                        const Tensor& edge_index, at::TensorList tables, bool solid,
                        int64_t n_local, int64_t dim_out) {
  const Arguments arguments(h, edge_vec, types, edge_index, tables, solid);
  Tensor out = at::empty({n_local, dim_out}, h.options());
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "edge_conv_radial", [&] {
    const Prepared<scalar_t> prepared(arguments, n_local, dim_out);
    const auto convolve = loops<scalar_t>().convolve;
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
  const Arguments arguments(h, edge_vec, types, edge_index, tables, solid);
  const Tensor g = g_.contiguous();
  TORCH_CHECK(g.dim() == 2 && g.scalar_type() == h.scalar_type(),
              "edge_conv_radial_grad: g must be (n_local, dim_out) and of the dtype of h");
  const int64_t n_local = g.size(0), n_threads = std::min<int64_t>(loop_threads(), n_local + 1);
  Tensor grad_vec = at::empty(edge_vec.sizes(), edge_vec.options());
  std::vector<Tensor> grad_h(n_threads);
  if (need_h)
    for (Tensor& rows : grad_h) rows = at::zeros(h.sizes(), h.options());
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "edge_conv_radial_grad", [&] {
    const Prepared<scalar_t> prepared(arguments, n_local, g.size(1));
    const auto differentiate = loops<scalar_t>().differentiate;
    const auto* cotangent = g.const_data_ptr<scalar_t>();
    auto* to_vec = grad_vec.mutable_data_ptr<scalar_t>();
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
      const int64_t t = omp_get_thread_num(), n = omp_get_num_threads();
      std::vector<scalar_t> scratch(prepared.scratch_size());
      auto* to_h = need_h ? grad_h[t].template mutable_data_ptr<scalar_t>() : nullptr;
      differentiate(prepared.problem, cotangent, to_vec, to_h, n_local * t / n,
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

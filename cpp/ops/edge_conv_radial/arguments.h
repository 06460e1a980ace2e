#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "common/edges.h"
#include "common/isa.h"
#include "edge_conv/tables.h"
#include "edge_conv_radial/kernel.h"
#include "edge_conv_radial/op.h"

// From the arguments of the ops of edge_conv_radial to what their loops want.

namespace e3md {

template <class T>
kernels::RadialLoops<T> radial_loops() {
  if constexpr (std::is_same_v<T, float>)
    return E3MD_FOR_ISA(radial_loops_f32);
  else
    return E3MD_FOR_ISA(radial_loops_f64);
}

/// Arguments of all ops, checked and contiguous.
struct RadialArguments {
  at::Tensor h, edge_vec, types, edge_index;
  RadialTables tables;
  bool solid;
  int64_t n_gradients;  ///< how often edge_vec was given

  RadialArguments(const at::Tensor& h_, const at::Tensor& edge_vec_, const at::Tensor& types_,
                  const at::Tensor& edge_index_, at::TensorList tables_, bool solid_)
      : h(h_.contiguous()),
        edge_vec((edge_vec_.dim() == 3 ? edge_vec_.select(0, 0) : edge_vec_).contiguous()),
        types(types_.contiguous()),
        edge_index(edge_index_.contiguous()),
        tables(tables_),
        solid(solid_),
        n_gradients(edge_vec_.dim() == 3 ? edge_vec_.size(0) : 1) {
    TORCH_CHECK(
        edge_index.scalar_type() == at::kLong && edge_index.dim() == 2 && edge_index.size(0) == 2 &&
            edge_vec.dim() == 2 && edge_vec.size(1) == 3 && edge_vec.size(0) == edge_index.size(1),
        "edge_conv_radial: edge_index must be int64 (2, n_edges) and edge_vec (n_edges, 3) or "
        "(n_gradients, n_edges, 3)");
    TORCH_CHECK(types.scalar_type() == at::kLong && types.dim() == 1 && h.dim() == 2 &&
                    types.size(0) == h.size(0),
                "edge_conv_radial: types must be int64 (n_nodes) and h (n_nodes, columns), not ",
                types.sizes(), " and ", h.sizes());
    for (const at::Tensor& t : {edge_vec, tables.values})
      TORCH_CHECK(t.scalar_type() == h.scalar_type(),
                  "edge_conv_radial: h, edge_vec and the table must have one dtype");
    check_size("edge_conv_radial", "number of columns of h", h.size(1), 0, kMaxColumns);
    check_types("edge_conv_radial", types, tables.n_types());
  }
};

/// Paths that follow one another with equal terms read the same ones, which tells the loops so.
template <class T>
void share_terms(conv::Tables<T>& products) {
  const auto* terms = products.terms.data();
  const auto equal = [](const kernels::Term<T>& a, const kernels::Term<T>& b) {
    return a.pair == b.pair && a.column == b.column && a.value == b.value;
  };
  for (size_t k = 1; k < products.paths.size(); ++k) {
    const kernels::Path& before = products.paths[k - 1];
    kernels::Path& path = products.paths[k];
    if (path.n_in != before.n_in || path.n_out != before.n_out ||
        !std::equal(terms + path.term_begin, terms + path.term_end, terms + before.term_begin,
                    terms + before.term_end, equal))
      continue;
    path.term_begin = before.term_begin;
    path.term_end = before.term_end;
  }
}

template <class T>
struct PreparedRadial {
  conv::Tables<T> products;
  std::vector<kernels::HarmonicTerm<T>> harmonics;
  std::vector<int64_t> begin;
  kernels::RadialProblem<T> problem{};

  PreparedRadial(const RadialArguments& a, int64_t n_local, int64_t dim_out)
      : begin(receiver_begin(a.edge_index, n_local, a.h.size(0))) {
    const RadialTables& tables = a.tables;
    products = conv::read_tables<T>(tables.products(a.h.size(1), dim_out), false);
    share_terms(products);
    const double* value = tables.harmonic_value.template const_data_ptr<double>();
    for (const HarmonicRow& row : tables.harmonics)
      harmonics.push_back(
          {int32_t(row.out), int32_t(row.lower), int32_t(row.component), T(*value++)});
    problem.in = a.h.const_data_ptr<T>();
    problem.edge_vec = a.edge_vec.const_data_ptr<T>();
    problem.owner_begin = begin.data();
    problem.neighbor = a.edge_index.const_data_ptr<int64_t>() + a.edge_index.size(1);
    problem.types = a.types.const_data_ptr<int64_t>();
    problem.dim_in = a.h.size(1);
    problem.dim_out = dim_out;
    problem.dim_sh = tables.n_harmonics;
    problem.table = {tables.values.const_data_ptr<T>(),
                     tables.table_of_pair.const_data_ptr<int64_t>(),
                     tables.n_types(),
                     tables.n_knots(),
                     tables.values.size(2),
                     T(tables.first),
                     T(1 / tables.spacing),
                     tables.doubled};
    problem.harmonics = harmonics.data();
    problem.n_harmonics = static_cast<int64_t>(harmonics.size());
    problem.solid = a.solid;
    problem.add_vec = false;
    problem.paths = products.paths.data();
    problem.terms = products.terms.data();
    problem.n_paths = static_cast<int64_t>(products.paths.size());
    problem.max_pairs = products.max_pairs;
    problem.n_gradients = a.n_gradients;
    problem.n_edges = a.edge_index.size(1);
    TORCH_CHECK(problem.n_gradients <= std::max<int64_t>(1, problem.n_paths) &&
                    problem.n_paths % problem.n_gradients == 0,
                "edge_conv_radial: ", problem.n_paths, " paths cannot be shared out among ",
                problem.n_gradients, " gradients");
  }

  int64_t scratch_size() const {
    return kernels::radial_scratch_size(problem.dim_sh, problem.max_pairs, problem.n_gradients);
  }
};

}  // namespace e3md

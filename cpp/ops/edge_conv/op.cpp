// The ops of edge_conv on the CPU: checks, and the loop over nodes. The schemas, and what
// the arguments mean, are in register.cpp.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "common/edges.h"
#include "common/isa.h"
#include "edge_conv/kernel.h"
#include "edge_conv/tables.h"

namespace e3md {
namespace {

using at::Tensor;
using conv::read_tables;
using conv::Tables;
using conv::transpose;
using kernels::Loops;
using kernels::Problem;

template <class T>
Loops<T> loops();

template <>
Loops<float> loops<float>() {
  return E3MD_FOR_ISA(loops_f32);
}

template <>
Loops<double> loops<double>() {
  return E3MD_FOR_ISA(loops_f64);
}

// ---- edges -------------------------------------------------------------------------------------

/// Edges ordered by sender (counting sort, stable: the order of sums is fixed).
struct SenderOrder {
  std::vector<int64_t> begin, edges;

  SenderOrder(const int64_t* sender, int64_t n_edges, int64_t n_nodes)
      : begin(n_nodes + 1, 0), edges(n_edges) {
    for (int64_t e = 0; e < n_edges; ++e) ++begin[sender[e] + 1];
    for (int64_t j = 0; j < n_nodes; ++j) begin[j + 1] += begin[j];
    std::vector<int64_t> next(begin.begin(), begin.end() - 1);
    for (int64_t e = 0; e < n_edges; ++e) edges[next[sender[e]]++] = e;
  }
};

// ---- loops -------------------------------------------------------------------------------------

template <class T>
int64_t scratch_size(const Problem<T>& problem) {
  return kernels::scratch_size(problem.dim_sh, problem.max_pairs);
}

template <class T>
Problem<T> make_problem(const Tensor& in, const Tensor& sh, const Tensor& weights, int64_t dim_out,
                        const Tables<T>& tables) {
  Problem<T> problem{};
  problem.in = in.const_data_ptr<T>();
  problem.sh = sh.const_data_ptr<T>();
  problem.weights = weights.const_data_ptr<T>();
  problem.dim_in = in.size(1);
  problem.dim_sh = sh.size(1);
  problem.n_weights = weights.size(1);
  problem.dim_out = dim_out;
  problem.paths = tables.paths.data();
  problem.terms = tables.terms.data();
  problem.n_paths = static_cast<int64_t>(tables.paths.size());
  problem.max_pairs = tables.max_pairs;
  return problem;
}

Tensor edge_conv(const Tensor& h_, const Tensor& sh_, const Tensor& weights_,
                 const Tensor& edge_index_, const Tensor& paths, const Tensor& cg_index,
                 const Tensor& cg_value, int64_t n_local, int64_t dim_out) {
  check_edges(sh_, weights_, edge_index_);
  check_features(h_, sh_, weights_);
  check_size("edge_conv", "dim_out", dim_out, 0, kMaxColumns);
  const Tensor h = h_.contiguous(), sh = sh_.contiguous(), weights = weights_.contiguous();
  const Tensor edge_index = edge_index_.contiguous();
  const auto begin = receiver_begin(edge_index, n_local, h.size(0));
  const PathTable table(paths, cg_index, cg_value,
                        {h.size(1), sh.size(1), weights.size(1), dim_out});
  Tensor out = at::empty({n_local, dim_out}, h.options());
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "edge_conv", [&] {
    const auto tables = read_tables<scalar_t>(table);
    auto problem = make_problem<scalar_t>(h, sh, weights, dim_out, tables);
    problem.owner_begin = begin.data();
    problem.in_order = true;
    problem.in_node = edge_index.const_data_ptr<int64_t>() + edge_index.size(1);
    const auto convolve = loops<scalar_t>().convolve;
    auto* result = out.mutable_data_ptr<scalar_t>();
    for_owners<scalar_t>(n_local, scratch_size(problem),
                         [&](int64_t first, int64_t last, scalar_t* scratch) {
                           convolve(problem, result, first, last, scratch);
                         });
  });
  return out;
}

Tensor edge_conv_h(const Tensor& g_, const Tensor& sh_, const Tensor& weights_,
                   const Tensor& edge_index_, const Tensor& paths, const Tensor& cg_index,
                   const Tensor& cg_value, int64_t n_nodes, int64_t dim_in) {
  check_edges(sh_, weights_, edge_index_);
  check_features(g_, sh_, weights_);
  check_size("edge_conv_h", "dim_in", dim_in, 0, kMaxColumns);
  const Tensor g = g_.contiguous(), sh = sh_.contiguous(), weights = weights_.contiguous();
  const Tensor edge_index = edge_index_.contiguous();
  receiver_begin(edge_index, g.size(0), n_nodes);
  const int64_t* receiver = edge_index.const_data_ptr<int64_t>();
  const int64_t n_edges = edge_index.size(1);
  const SenderOrder order(receiver + n_edges, n_edges, n_nodes);
  const PathTable table(paths, cg_index, cg_value,
                        {dim_in, sh.size(1), weights.size(1), g.size(1)});
  Tensor out = at::empty({n_nodes, dim_in}, g.options());
  AT_DISPATCH_FLOATING_TYPES(g.scalar_type(), "edge_conv_h", [&] {
    auto tables = read_tables<scalar_t>(table);
    transpose(tables);
    auto problem = make_problem<scalar_t>(g, sh, weights, dim_in, tables);
    problem.owner_begin = order.begin.data();
    problem.edge_ids = order.edges.data();
    problem.in_node = receiver;
    const auto convolve = loops<scalar_t>().convolve;
    auto* result = out.mutable_data_ptr<scalar_t>();
    for_owners<scalar_t>(n_nodes, scratch_size(problem),
                         [&](int64_t first, int64_t last, scalar_t* scratch) {
                           convolve(problem, result, first, last, scratch);
                         });
  });
  return out;
}

std::tuple<Tensor, Tensor> edge_conv_yw(const Tensor& g_, const Tensor& h_, const Tensor& sh_,
                                        const Tensor& weights_, const Tensor& edge_index_,
                                        const Tensor& paths, const Tensor& cg_index,
                                        const Tensor& cg_value, bool need_sh, bool need_weights) {
  check_edges(sh_, weights_, edge_index_);
  check_features(h_, sh_, weights_);
  check_features(g_, sh_, weights_);
  const Tensor g = g_.contiguous(), h = h_.contiguous();
  const Tensor sh = sh_.contiguous(), weights = weights_.contiguous();
  const Tensor edge_index = edge_index_.contiguous();
  const auto begin = receiver_begin(edge_index, g.size(0), h.size(0));
  const PathTable table(paths, cg_index, cg_value,
                        {h.size(1), sh.size(1), weights.size(1), g.size(1)});
  Tensor grad_sh = at::empty(need_sh ? sh.sizes() : at::IntArrayRef{0}, sh.options());
  Tensor grad_weights =
      at::empty(need_weights ? weights.sizes() : at::IntArrayRef{0}, sh.options());
  AT_DISPATCH_FLOATING_TYPES(g.scalar_type(), "edge_conv_yw", [&] {
    const auto tables = read_tables<scalar_t>(table);
    auto problem = make_problem<scalar_t>(h, sh, weights, g.size(1), tables);
    problem.owner_begin = begin.data();
    problem.in_order = true;
    problem.in_node = edge_index.const_data_ptr<int64_t>() + edge_index.size(1);
    const auto differentiate = loops<scalar_t>().differentiate;
    const auto* cotangent = g.const_data_ptr<scalar_t>();
    const kernels::EdgeGradients<scalar_t> to{need_sh, need_weights,
                                              grad_sh.mutable_data_ptr<scalar_t>(),
                                              grad_weights.mutable_data_ptr<scalar_t>()};
    for_owners<scalar_t>(g.size(0), scratch_size(problem),
                         [&](int64_t first, int64_t last, scalar_t* scratch) {
                           differentiate(problem, cotangent, to, first, last, scratch);
                         });
  });
  return {grad_sh, grad_weights};
}

// ---- shapes ------------------------------------------------------------------------------------

Tensor edge_conv_meta(const Tensor& features, const Tensor&, const Tensor&, const Tensor&,
                      const Tensor&, const Tensor&, const Tensor&, int64_t n_rows, int64_t dim) {
  return features.new_empty({n_rows, dim});
}

std::tuple<Tensor, Tensor> edge_conv_yw_meta(const Tensor&, const Tensor&, const Tensor& sh,
                                             const Tensor& weights, const Tensor&, const Tensor&,
                                             const Tensor&, const Tensor&, bool need_sh,
                                             bool need_weights) {
  return {sh.new_empty(need_sh ? sh.sizes() : at::IntArrayRef{0}),
          weights.new_empty(need_weights ? weights.sizes() : at::IntArrayRef{0})};
}

}  // namespace

TORCH_LIBRARY_IMPL(e3md, CPU, m) {
  m.impl("edge_conv", edge_conv);
  m.impl("edge_conv_h", edge_conv_h);
  m.impl("edge_conv_yw", edge_conv_yw);
}

TORCH_LIBRARY_IMPL(e3md, Meta, m) {
  m.impl("edge_conv", edge_conv_meta);
  m.impl("edge_conv_h", edge_conv_meta);
  m.impl("edge_conv_yw", edge_conv_yw_meta);
}

}  // namespace e3md

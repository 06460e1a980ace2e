// Schemas and autograd of edge_conv.
//
// T(g, h, Y, W) = sum over edges e (j -> i), paths and Clebsch-Gordan entries of
//   value * g[i, out_offset + m3*out_stride + c] * h[j, in_offset + m1*in_stride + c]
//         * Y[e, sh_offset + m2] * W[e, weight_offset + c],   c < mul
// is linear in each argument. edge_conv = dT/dg, edge_conv_h = dT/dh, edge_conv_yw = (dT/dY,
// dT/dW); the derivatives of each are the others again, hence derivatives of every order exist.
#include <torch/library.h>

#include <tuple>

#include "common/autograd.h"
#include "common/reference.h"

namespace e3md {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

TORCH_LIBRARY_FRAGMENT(e3md, m) {
  // h (n_nodes, dim_in), g (n_local, dim_out), sh (n_edges, dim_sh), weights (n_edges, n_weights):
  // one dtype, float32 or float64. edge_index int64 (2, n_edges): receiver (non-decreasing),
  // neighbor. paths int64 (n_paths, 9): in_offset, in_stride, sh_offset, out_offset, out_stride,
  // weight_offset, mul, cg_begin, cg_end. cg_index int64 (n, 3): m1, m2, m3. cg_value float64 (n).
  m.def(
      "edge_conv(Tensor h, Tensor sh, Tensor weights, Tensor edge_index, Tensor paths, "
      "Tensor cg_index, Tensor cg_value, int n_local, int dim_out) -> Tensor");
  m.def(
      "edge_conv_h(Tensor g, Tensor sh, Tensor weights, Tensor edge_index, Tensor paths, "
      "Tensor cg_index, Tensor cg_value, int n_nodes, int dim_in) -> Tensor");
  // A gradient that is not needed comes back with shape (0).
  m.def(
      "edge_conv_yw(Tensor g, Tensor h, Tensor sh, Tensor weights, Tensor edge_index, "
      "Tensor paths, Tensor cg_index, Tensor cg_value, bool need_sh, bool need_weights) "
      "-> (Tensor, Tensor)");
}

/// What stays fixed from one derivative to the next.
struct Graph {
  Tensor edge_index, paths, cg_index, cg_value;
};

using ConvSignature = Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                             const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t);
using YWSignature = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&,
                                               const Tensor&, const Tensor&, const Tensor&,
                                               const Tensor&, const Tensor&, bool, bool);

Tensor call_edge_conv(const Tensor& h, const Tensor& sh, const Tensor& weights, const Graph& graph,
                      int64_t n_local, int64_t dim_out) {
  static const auto op = find_op<ConvSignature>("e3md::edge_conv");
  return op.call(h, sh, weights, graph.edge_index, graph.paths, graph.cg_index, graph.cg_value,
                 n_local, dim_out);
}

Tensor call_edge_conv_h(const Tensor& g, const Tensor& sh, const Tensor& weights,
                        const Graph& graph, int64_t n_nodes, int64_t dim_in) {
  static const auto op = find_op<ConvSignature>("e3md::edge_conv_h");
  return op.call(g, sh, weights, graph.edge_index, graph.paths, graph.cg_index, graph.cg_value,
                 n_nodes, dim_in);
}

/// Gradients to sh and weights; undefined where not needed.
std::tuple<Tensor, Tensor> call_edge_conv_yw(const Tensor& g, const Tensor& h, const Tensor& sh,
                                             const Tensor& weights, const Graph& graph,
                                             bool need_sh, bool need_weights) {
  static const auto op = find_op<YWSignature>("e3md::edge_conv_yw");
  if (!need_sh && !need_weights) return {};
  auto [to_sh, to_weights] = op.call(g, h, sh, weights, graph.edge_index, graph.paths,
                                     graph.cg_index, graph.cg_value, need_sh, need_weights);
  return {need_sh ? to_sh : Tensor(), need_weights ? to_weights : Tensor()};
}

/// edge_conv (x = h) and edge_conv_h (x = g): one is the other with the ends of edges exchanged.
template <bool TO_H>
struct Conv : Function<Conv<TO_H>> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& sh,
                        const Tensor& weights, const Tensor& edge_index, const Tensor& paths,
                        const Tensor& cg_index, const Tensor& cg_value, int64_t n_rows,
                        int64_t dim) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x, sh, weights, edge_index, paths, cg_index, cg_value});
    const Graph graph{edge_index, paths, cg_index, cg_value};
    return TO_H ? call_edge_conv_h(x, sh, weights, graph, n_rows, dim)
                : call_edge_conv(x, sh, weights, graph, n_rows, dim);
  }

  static variable_list backward(AutogradContext* context, variable_list cotangents) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &sh = saved[1], &weights = saved[2], &u = cotangents[0];
    const Graph graph{saved[3], saved[4], saved[5], saved[6]};
    variable_list grads(9);
    if (context->needs_input_grad(0))
      grads[0] = TO_H ? call_edge_conv(u, sh, weights, graph, x.size(0), x.size(1))
                      : call_edge_conv_h(u, sh, weights, graph, x.size(0), x.size(1));
    std::tie(grads[1], grads[2]) =
        call_edge_conv_yw(TO_H ? x : u, TO_H ? u : x, sh, weights, graph,
                          context->needs_input_grad(1), context->needs_input_grad(2));
    return grads;
  }
};

/// a + b, where either may be undefined.
Tensor sum(const Tensor& a, const Tensor& b) {
  return !a.defined() ? b : !b.defined() ? a : a.add(b);
}

struct ConvYW : Function<ConvYW> {
  static variable_list forward(AutogradContext* context, const Tensor& g, const Tensor& h,
                               const Tensor& sh, const Tensor& weights, const Tensor& edge_index,
                               const Tensor& paths, const Tensor& cg_index, const Tensor& cg_value,
                               bool need_sh, bool need_weights) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->set_materialize_grads(false);
    context->save_for_backward({g, h, sh, weights, edge_index, paths, cg_index, cg_value});
    context->saved_data["need_sh"] = need_sh;
    context->saved_data["need_weights"] = need_weights;
    static const auto op = find_op<YWSignature>("e3md::edge_conv_yw");
    auto [to_sh, to_weights] =
        op.call(g, h, sh, weights, edge_index, paths, cg_index, cg_value, need_sh, need_weights);
    return {to_sh, to_weights};
  }

  /// With cotangents u, v of the two results: derivatives of T(g, h, u, W) + T(g, h, Y, v).
  static variable_list backward(AutogradContext* context, variable_list cotangents) {
    const auto saved = context->get_saved_variables();
    const Tensor &g = saved[0], &h = saved[1], &sh = saved[2], &weights = saved[3];
    const Graph graph{saved[4], saved[5], saved[6], saved[7]};
    const Tensor u = context->saved_data["need_sh"].toBool() ? cotangents[0] : Tensor();
    const Tensor v = context->saved_data["need_weights"].toBool() ? cotangents[1] : Tensor();
    variable_list grads(10);
    auto to_g = [&](const Tensor& y, const Tensor& w) {
      return call_edge_conv(h, y, w, graph, g.size(0), g.size(1));
    };
    auto to_h = [&](const Tensor& y, const Tensor& w) {
      return call_edge_conv_h(g, y, w, graph, h.size(0), h.size(1));
    };
    if (context->needs_input_grad(0))
      grads[0] = sum(u.defined() ? to_g(u, weights) : u, v.defined() ? to_g(sh, v) : v);
    if (context->needs_input_grad(1))
      grads[1] = sum(u.defined() ? to_h(u, weights) : u, v.defined() ? to_h(sh, v) : v);
    // The gradient to Y comes with W := v, the one to W with Y := u; the other argument is unused.
    std::tie(grads[2], grads[3]) = call_edge_conv_yw(
        g, h, u.defined() ? u : sh, v.defined() ? v : weights, graph,
        context->needs_input_grad(2) && v.defined(), context->needs_input_grad(3) && u.defined());
    return grads;
  }
};

std::tuple<Tensor, Tensor> edge_conv_yw_autograd(const Tensor& g, const Tensor& h, const Tensor& sh,
                                                 const Tensor& weights, const Tensor& edge_index,
                                                 const Tensor& paths, const Tensor& cg_index,
                                                 const Tensor& cg_value, bool need_sh,
                                                 bool need_weights) {
  auto results = ConvYW::apply(g, h, sh, weights, edge_index, paths, cg_index, cg_value, need_sh,
                               need_weights);
  return {results[0], results[1]};
}

template <bool TO_H>
Tensor conv_autograd(const Tensor& x, const Tensor& sh, const Tensor& weights,
                     const Tensor& edge_index, const Tensor& paths, const Tensor& cg_index,
                     const Tensor& cg_value, int64_t n_rows, int64_t dim) {
  if (!TO_H && runs_reference("e3md::edge_conv", x))
    return reference_edge_conv(x, sh, weights, edge_index, paths, cg_index, cg_value, n_rows, dim);
  return Conv<TO_H>::apply(x, sh, weights, edge_index, paths, cg_index, cg_value, n_rows, dim);
}

TORCH_LIBRARY_IMPL(e3md, Autograd, m) {
  m.impl("edge_conv", conv_autograd<false>);
  m.impl("edge_conv_h", conv_autograd<true>);
  m.impl("edge_conv_yw", edge_conv_yw_autograd);
}

}  // namespace
}  // namespace e3md

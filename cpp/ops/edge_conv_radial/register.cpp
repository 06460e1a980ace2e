// Schemas and autograd of edge_conv_radial. First and second derivatives are fused loops, to the
// table (training) or to the edge vectors (Hessians); third ones go through the reference.
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <optional>
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
  // edge_conv with sh and weights made from edge_vec (n_edges, 3): harmonics by recursion, weights
  // from a table of quintic splines. h (n_nodes, dim_in), dim_in = 0: ones. types int64 (n_nodes).
  // tables: see RadialTables. solid: harmonics of the edge vector, not of its direction.
  // edge_vec may be (n, n_edges, 3), n times the same: gradient k is then that of the paths whose
  // number is k modulo n.
  m.def(
      "edge_conv_radial(Tensor h, Tensor edge_vec, Tensor types, Tensor edge_index, "
      "Tensor[] tables, bool solid, int n_local, int dim_out) -> Tensor");
  // derivatives of sum(g * out) to h and edge_vec
  m.def(
      "edge_conv_radial_grad(Tensor g, Tensor h, Tensor edge_vec, Tensor types, "
      "Tensor edge_index, Tensor[] tables, bool solid, bool need_h) -> (Tensor, Tensor)");
  // derivatives of sum(g * out) to h and the table
  m.def(
      "edge_conv_radial_table(Tensor g, Tensor h, Tensor edge_vec, Tensor types, "
      "Tensor edge_index, Tensor[] tables, bool solid) -> (Tensor, Tensor)");
  // derivatives of sum(h_dot * grad_h) + sum(edge_dot * grad_vec) to g, h and the table; no h_dot:
  // zero
  m.def(
      "edge_conv_radial_second(Tensor g, Tensor h, Tensor edge_vec, Tensor types, "
      "Tensor edge_index, Tensor[] tables, bool solid, Tensor? h_dot, Tensor edge_dot) "
      "-> (Tensor, Tensor, Tensor)");
  // derivatives of the same sum to g, h and edge_vec
  m.def(
      "edge_conv_radial_hessian(Tensor g, Tensor h, Tensor edge_vec, Tensor types, "
      "Tensor edge_index, Tensor[] tables, bool solid, Tensor? h_dot, Tensor edge_dot, "
      "bool need_h) -> (Tensor, Tensor, Tensor)");
}

/// The arguments that no derivative is taken to, and the table, as tensors and nodes keep them.
struct Convolution {
  Tensor types, edge_index;
  std::vector<Tensor> tables;
  bool solid;

  void save(AutogradContext* context) const {
    context->saved_data["types"] = types;
    context->saved_data["edge_index"] = edge_index;
    context->saved_data["tables"] = std::vector<Tensor>(tables.begin() + 1, tables.end());
    context->saved_data["solid"] = solid;
  }

  static Convolution load(AutogradContext* context, const Tensor& values) {
    auto& saved = context->saved_data;
    std::vector<Tensor> tables = saved["tables"].toTensorVector();
    tables.insert(tables.begin(), values);
    return {saved["types"].toTensor(), saved["edge_index"].toTensor(), tables,
            saved["solid"].toBool()};
  }
};

void check_training(bool needs_edge_vec) {
  TORCH_CHECK(
      !needs_edge_vec && !at::GradMode::is_enabled(),
      "edge_conv_radial: while the table needs gradients, a loss on forces is differentiated "
      "to parameters only, and once: loss.backward(inputs=parameters)");
}

/// Gradients to h and edge_vec through the reference, which autograd differentiates any number of
/// times.
variable_list reference_gradients(const Tensor& g, const Tensor& h, const Tensor& edge_vec,
                                  const Convolution& c) {
  const auto reference = [&](const variable_list& x) {
    return variable_list{reference_edge_conv_radial(x[0], x[1], c.types, c.edge_index, c.tables,
                                                    c.solid, g.size(0), g.size(1))};
  };
  return differentiate(reference, {h, edge_vec}, {g});
}

/// First derivatives, to be differentiated once more: to g, h and the table or edge_vec.
struct RadialGrad : Function<RadialGrad> {
  static variable_list forward(AutogradContext* context, const Tensor& g, const Tensor& h,
                               const Tensor& edge_vec, const Tensor& values,
                               const Convolution& convolution, bool need_h) {
    using Signature =
        std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                   const Tensor&, at::TensorList, bool, bool);
    static const auto op = find_op<Signature>("e3md::edge_conv_radial_grad");
    at::AutoDispatchBelowADInplaceOrView below;
    context->set_materialize_grads(false);
    context->save_for_backward({g, h, edge_vec, values});
    context->saved_data["need_h"] = need_h;
    convolution.save(context);
    auto [to_h, to_vec] = op.call(g, h, edge_vec, convolution.types, convolution.edge_index,
                                  convolution.tables, convolution.solid, need_h);
    return {to_h, to_vec};
  }

  static variable_list backward(AutogradContext* context, variable_list dots) {
    const auto saved = context->get_saved_variables();
    const Tensor &g = saved[0], &h = saved[1], &edge_vec = saved[2], &values = saved[3];
    const auto c = Convolution::load(context, values);
    if (!context->saved_data["need_h"].toBool()) dots[0] = Tensor();
    const bool trains = context->needs_input_grad(3);
    if (trains || (values.requires_grad() && at::GradMode::is_enabled()))
      check_training(context->needs_input_grad(2));
    variable_list grads(6);
    const bool further = at::GradMode::is_enabled();
    if (further || runs_reference("e3md::edge_conv_radial_hessian", g)) {
      const at::AutoGradMode differentiable(true);
      const auto reference = [&](const variable_list& x) {
        return reference_gradients(x[0], x[1], x[2], c);
      };
      const variable_list found = differentiate(reference, {g, h, edge_vec}, dots);
      for (size_t k = 0; k < found.size(); ++k)
        grads[k] = further || !found[k].defined() ? found[k] : found[k].detach();
      return grads;
    }
    std::optional<Tensor> h_dot;
    if (dots[0].defined()) h_dot = dots[0];
    const Tensor edge_dot = dots[1].defined() ? dots[1] : at::zeros_like(edge_vec);
    if (trains)
      std::tie(grads[0], grads[1], grads[3]) = to_table(g, h, edge_vec, c, h_dot, edge_dot);
    else
      std::tie(grads[0], grads[1], grads[2]) =
          to_edges(g, h, edge_vec, c, h_dot, edge_dot, context->needs_input_grad(1));
    return grads;
  }

 private:
  using Triple = std::tuple<Tensor, Tensor, Tensor>;

  static Triple to_table(const Tensor& g, const Tensor& h, const Tensor& edge_vec,
                         const Convolution& c, const std::optional<Tensor>& h_dot,
                         const Tensor& edge_dot) {
    using Signature =
        Triple(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
               at::TensorList, bool, const std::optional<Tensor>&, const Tensor&);
    static const auto op = find_op<Signature>("e3md::edge_conv_radial_second");
    return op.call(g, h, edge_vec, c.types, c.edge_index, c.tables, c.solid, h_dot, edge_dot);
  }

  static Triple to_edges(const Tensor& g, const Tensor& h, const Tensor& edge_vec,
                         const Convolution& c, const std::optional<Tensor>& h_dot,
                         const Tensor& edge_dot, bool need_h) {
    using Signature =
        Triple(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
               at::TensorList, bool, const std::optional<Tensor>&, const Tensor&, bool);
    static const auto op = find_op<Signature>("e3md::edge_conv_radial_hessian");
    auto [to_g, to_h, to_vec] =
        op.call(g, h, edge_vec, c.types, c.edge_index, c.tables, c.solid, h_dot, edge_dot, need_h);
    return {to_g, need_h ? to_h : Tensor(), to_vec};
  }
};

struct Radial : Function<Radial> {
  static Tensor forward(AutogradContext* context, const Tensor& h, const Tensor& edge_vec,
                        const Tensor& values, const Convolution& convolution, int64_t n_local,
                        int64_t dim_out) {
    using Signature = Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                             at::TensorList, bool, int64_t, int64_t);
    static const auto op = find_op<Signature>("e3md::edge_conv_radial");
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({h, edge_vec, values});
    convolution.save(context);
    return op.call(h, edge_vec, convolution.types, convolution.edge_index, convolution.tables,
                   convolution.solid, n_local, dim_out);
  }

  static variable_list backward(AutogradContext* context, variable_list cotangents) {
    const auto saved = context->get_saved_variables();
    const Tensor &g = cotangents[0], &h = saved[0], &edge_vec = saved[1], &values = saved[2];
    const auto c = Convolution::load(context, values);
    if (context->needs_input_grad(2)) return to_table(context, g, h, edge_vec, c);
    if (at::GradMode::is_enabled() && !values.requires_grad() && edge_vec.dim() == 3) {
      const variable_list found = reference_gradients(g, h, edge_vec, c);
      return {found[0], found[1], Tensor(), Tensor(), Tensor(), Tensor()};
    }
    const bool need_h = context->needs_input_grad(0);
    const auto found = RadialGrad::apply(g, h, edge_vec, values, c, need_h);
    return {need_h ? found[0] : Tensor(), found[1], Tensor(), Tensor(), Tensor(), Tensor()};
  }

 private:
  static variable_list to_table(AutogradContext* context, const Tensor& g, const Tensor& h,
                                const Tensor& edge_vec, const Convolution& c) {
    using Signature =
        std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                   const Tensor&, at::TensorList, bool);
    static const auto op = find_op<Signature>("e3md::edge_conv_radial_table");
    check_training(context->needs_input_grad(1));
    auto [to_h, to_values] = op.call(g, h, edge_vec, c.types, c.edge_index, c.tables, c.solid);
    return {to_h, Tensor(), to_values, Tensor(), Tensor(), Tensor()};
  }
};

Tensor radial_autograd(const Tensor& h, const Tensor& edge_vec, const Tensor& types,
                       const Tensor& edge_index, at::TensorList tables, bool solid, int64_t n_local,
                       int64_t dim_out) {
  TORCH_CHECK(!tables.empty(), "edge_conv_radial: no tables");
  const bool trains = at::GradMode::is_enabled() && tables[0].requires_grad();
  if (runs_reference("e3md::edge_conv_radial", h) ||
      (trains && runs_reference("e3md::edge_conv_radial_table", h)))
    return reference_edge_conv_radial(h, edge_vec, types, edge_index, tables, solid, n_local,
                                      dim_out);
  const Convolution convolution{types, edge_index, tables.vec(), solid};
  return Radial::apply(h, edge_vec, tables[0], convolution, n_local, dim_out);
}

TORCH_LIBRARY_IMPL(e3md, Autograd, m) { m.impl("edge_conv_radial", radial_autograd); }

}  // namespace
}  // namespace e3md

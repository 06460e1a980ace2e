// Schemas and autograd of symmetric_contraction. First and second derivatives are fused loops;
// third ones, of weights that are not trained, go through the reference.
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "common/autograd.h"
#include "common/reference.h"

namespace e3md {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

TORCH_LIBRARY_FRAGMENT(e3md, m) {
  // out[i, row, c] = sum over terms of A_i A_j A_k times a coefficient of species and channel;
  // a (n, n_components, n_channels), weights (n_species, n_weights, n_channels) each, one after the
  // other along n_weights, tables: see ProductTables. -> (n, n_rows, n_channels).
  m.def(
      "symmetric_contraction(Tensor a, Tensor types, Tensor[] weights, Tensor[] tables, "
      "int n_rows) -> Tensor");
  // derivative of sum(g * out) to a
  m.def(
      "symmetric_contraction_grad(Tensor g, Tensor a, Tensor types, Tensor[] weights, "
      "Tensor[] tables) -> Tensor");
  // derivatives of sum(g * out), or with a_dot of its derivative along a_dot, to g (only with
  // a_dot), a and, if needed, the weights
  m.def(
      "symmetric_contraction_train(Tensor g, Tensor a, Tensor types, Tensor[] weights, "
      "Tensor[] tables, Tensor? a_dot, bool need_weights) -> (Tensor, Tensor, Tensor[])");
}

using Derivatives = std::tuple<Tensor, Tensor, std::vector<Tensor>>;

/// The arguments that no derivative is taken to.
struct Products {
  Tensor types;
  std::vector<Tensor> tables;

  void save(AutogradContext* context, const Tensor& first, const Tensor& second,
            at::TensorList weights) const {
    variable_list kept{first, second};
    kept.insert(kept.end(), weights.begin(), weights.end());
    context->save_for_backward(kept);
    context->saved_data["types"] = types;
    context->saved_data["tables"] = tables;
  }

  static Products load(AutogradContext* context) {
    return {context->saved_data["types"].toTensor(),
            context->saved_data["tables"].toTensorVector()};
  }

  Derivatives train(const Tensor& g, const Tensor& a, at::TensorList weights,
                    const std::optional<Tensor>& a_dot, bool need_weights) const {
    using Signature = Derivatives(const Tensor&, const Tensor&, const Tensor&, at::TensorList,
                                  at::TensorList, const std::optional<Tensor>&, bool);
    static const auto op = find_op<Signature>("e3md::symmetric_contraction_train");
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "symmetric_contraction: gradients to the weights cannot be differentiated further");
    return op.call(g, a, types, weights, tables, a_dot, need_weights);
  }
};

variable_list weights_of(const variable_list& saved) { return {saved.begin() + 2, saved.end()}; }

bool any_trained(const variable_list& weights) {
  return std::any_of(weights.begin(), weights.end(),
                     [](const Tensor& weight) { return weight.requires_grad(); });
}

/// Whether gradients to any of n inputs from `first` on are wanted.
bool any_wanted(AutogradContext* context, size_t first, size_t n) {
  for (size_t k = first; k < first + n; ++k)
    if (context->needs_input_grad(k)) return true;
  return false;
}

/// The gradient to a through the reference, which autograd differentiates any number of times.
Tensor reference_gradient(const Tensor& g, const Tensor& a, const variable_list& weights,
                          const Products& products) {
  const auto reference = [&](const variable_list& x) {
    return variable_list{
        reference_symmetric_contraction(x[0], products.types, weights, products.tables, g.size(1))};
  };
  return differentiate(reference, {a}, {g})[0];
}

/// The gradient to a, to be differentiated once more: to g, a and the weights.
struct ContractionGrad : Function<ContractionGrad> {
  static Tensor forward(AutogradContext* context, const Tensor& g, const Tensor& a,
                        at::TensorList weights, const Products& products) {
    using Signature =
        Tensor(const Tensor&, const Tensor&, const Tensor&, at::TensorList, at::TensorList);
    static const auto op = find_op<Signature>("e3md::symmetric_contraction_grad");
    at::AutoDispatchBelowADInplaceOrView below;
    products.save(context, g, a, weights);
    return op.call(g, a, products.types, weights, products.tables);
  }

  static variable_list backward(AutogradContext* context, variable_list dots) {
    const auto saved = context->get_saved_variables();
    const Tensor &g = saved[0], &a = saved[1];
    const variable_list weights = weights_of(saved);
    const Products products = Products::load(context);
    variable_list grads(weights.size() + 3);
    const bool further = at::GradMode::is_enabled();
    if ((further && !any_trained(weights)) ||
        (!further && runs_reference("e3md::symmetric_contraction_train", g))) {
      const at::AutoGradMode differentiable(true);
      const auto reference = [&](const variable_list& x) {
        return variable_list{reference_gradient(x[0], x[1], weights, products)};
      };
      const variable_list found = differentiate(reference, {g, a}, dots);
      for (size_t k = 0; k < found.size(); ++k)
        grads[k] = further || !found[k].defined() ? found[k] : found[k].detach();
      return grads;
    }
    auto [to_g, to_a, to_weights] =
        products.train(g, a, weights, dots[0], any_wanted(context, 2, weights.size()));
    grads[0] = to_g;
    grads[1] = to_a;
    std::copy(to_weights.begin(), to_weights.end(), grads.begin() + 2);
    return grads;
  }
};

struct Contraction : Function<Contraction> {
  static Tensor forward(AutogradContext* context, const Tensor& a, at::TensorList weights,
                        const Products& products, int64_t n_rows) {
    using Signature = Tensor(const Tensor&, const Tensor&, at::TensorList, at::TensorList, int64_t);
    static const auto op = find_op<Signature>("e3md::symmetric_contraction");
    at::AutoDispatchBelowADInplaceOrView below;
    products.save(context, a, Tensor(), weights);
    return op.call(a, products.types, weights, products.tables, n_rows);
  }

  static variable_list backward(AutogradContext* context, variable_list cotangents) {
    const auto saved = context->get_saved_variables();
    const variable_list weights = weights_of(saved);
    const Tensor &g = cotangents[0], &a = saved[0];
    const Products products = Products::load(context);
    variable_list grads(weights.size() + 3);
    if (any_wanted(context, 1, weights.size())) {
      auto [_, to_a, to_weights] = products.train(g, a, weights, std::nullopt, true);
      grads[0] = to_a;
      std::copy(to_weights.begin(), to_weights.end(), grads.begin() + 1);
    } else {
      grads[0] = ContractionGrad::apply(g, a, at::TensorList(weights), products);
    }
    return grads;
  }
};

Tensor contraction_autograd(const Tensor& a, const Tensor& types, at::TensorList weights,
                            at::TensorList tables, int64_t n_rows) {
  const bool trains =
      at::GradMode::is_enabled() && any_trained(variable_list(weights.begin(), weights.end()));
  if (runs_reference("e3md::symmetric_contraction", a) ||
      (trains && runs_reference("e3md::symmetric_contraction_train", a)))
    return reference_symmetric_contraction(a, types, weights, tables, n_rows);
  return Contraction::apply(a, weights, Products{types, tables.vec()}, n_rows);
}

TORCH_LIBRARY_IMPL(e3md, Autograd, m) { m.impl("symmetric_contraction", contraction_autograd); }

}  // namespace
}  // namespace e3md

// Schemas and autograd of symmetric_contraction and irreps_linear. Their first derivatives are
// fused loops; where a second one may follow, the backward pass goes through the composite of the
// same function.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>
#include <torch/torch.h>

#include "autograd.h"
#include "symmetric_contraction.h"

namespace e3md {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

TORCH_LIBRARY_FRAGMENT(e3md, m) {
  // out[i, row, c] = sum over terms of A_i A_j A_k times a coefficient of species and channel;
  // a (n, n_components, n_channels), weights (n_species, n_weights, n_channels) each, one after the
  // other along n_weights and without gradients, tables: see
  // ProductTables. -> (n, n_rows, n_channels).
  m.def(
      "symmetric_contraction(Tensor a, Tensor types, Tensor[] weights, Tensor[] tables, "
      "int n_rows) -> Tensor");
  m.def(
      "symmetric_contraction_grad(Tensor g, Tensor a, Tensor types, Tensor[] weights, "
      "Tensor[] tables) -> Tensor");
  // y[l, m, d] = scale_l * sum over c of x[l, m, c] W_l[c, d]; blocks: in_offset, n_m, out_offset
  // of each W_l, which must not need a gradient. transposed: from y back to x.
  m.def(
      "irreps_linear(Tensor x, Tensor[] weights, float[] scales, int[] blocks, int dim_out, "
      "bool transposed) -> Tensor");
}

struct Contraction : Function<Contraction> {
  static Tensor forward(AutogradContext* context, const Tensor& a, const Tensor& types,
                        const std::vector<Tensor>& weights, const std::vector<Tensor>& tables,
                        int64_t n_rows) {
    using Signature = Tensor(const Tensor&, const Tensor&, at::TensorList, at::TensorList, int64_t);
    static const auto op = find_op<Signature>("e3md::symmetric_contraction");
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({a, types});
    context->saved_data["weights"] = weights;
    context->saved_data["tables"] = tables;
    return op.call(a, types, weights, tables, n_rows);
  }

  static variable_list backward(AutogradContext* context, variable_list cotangents) {
    using Signature =
        Tensor(const Tensor&, const Tensor&, const Tensor&, at::TensorList, at::TensorList);
    static const auto op = find_op<Signature>("e3md::symmetric_contraction_grad");
    const auto saved = context->get_saved_variables();
    const Tensor &a = saved[0], &types = saved[1];
    const auto weights = context->saved_data["weights"].toTensorVector();
    const auto tables = context->saved_data["tables"].toTensorVector();
    variable_list grads(5);
    if (at::GradMode::is_enabled()) {
      const int64_t n_rows = cotangents[0].size(1);
      const auto composite = [&](const variable_list& x) {
        return composite_symmetric_contraction(x[0], types, weights, ProductTables(tables), n_rows);
      };
      grads[0] = differentiate(composite, {a}, cotangents[0])[0];
    } else {
      grads[0] = op.call(cotangents[0], a, types, weights, tables);
    }
    return grads;
  }
};

Tensor call_linear(const Tensor& x, at::TensorList weights, at::ArrayRef<double> scales,
                   at::IntArrayRef blocks, int64_t dim_out, bool transposed) {
  using Signature =
      Tensor(const Tensor&, at::TensorList, at::ArrayRef<double>, at::IntArrayRef, int64_t, bool);
  static const auto op = find_op<Signature>("e3md::irreps_linear");
  return op.call(x, weights, scales, blocks, dim_out, transposed);
}

struct IrrepsLinear : Function<IrrepsLinear> {
  static Tensor forward(AutogradContext* context, const Tensor& x,
                        const std::vector<Tensor>& weights, const std::vector<double>& scales,
                        const std::vector<int64_t>& blocks, int64_t dim_out, bool transposed) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->saved_data["weights"] = weights;
    context->saved_data["scales"] = scales;
    context->saved_data["blocks"] = blocks;
    context->saved_data["dim_in"] = x.size(1);
    context->saved_data["transposed"] = transposed;
    return call_linear(x, weights, scales, blocks, dim_out, transposed);
  }

  static variable_list backward(AutogradContext* context, variable_list cotangents) {
    auto& saved = context->saved_data;
    variable_list grads(6);
    grads[0] = call_linear(cotangents[0], saved["weights"].toTensorVector(),
                           saved["scales"].toDoubleVector(), saved["blocks"].toIntVector(),
                           saved["dim_in"].toInt(), !saved["transposed"].toBool());
    return grads;
  }
};

Tensor linear_autograd(const Tensor& x, at::TensorList weights, at::ArrayRef<double> scales,
                       at::IntArrayRef blocks, int64_t dim_out, bool transposed) {
  for (const Tensor& weight : weights)
    TORCH_CHECK(!weight.requires_grad(), "irreps_linear: weights must not need a gradient");
  return IrrepsLinear::apply(x, weights.vec(), scales.vec(), blocks.vec(), dim_out, transposed);
}

Tensor contraction_autograd(const Tensor& a, const Tensor& types, at::TensorList weights,
                            at::TensorList tables, int64_t n_rows) {
  for (const Tensor& weight : weights)
    TORCH_CHECK(!weight.requires_grad(), "symmetric_contraction: weights must not need a gradient");
  return Contraction::apply(a, types, weights.vec(), tables.vec(), n_rows);
}

TORCH_LIBRARY_IMPL(e3md, Autograd, m) {
  m.impl("symmetric_contraction", contraction_autograd);
  m.impl("irreps_linear", linear_autograd);
}

}  // namespace
}  // namespace e3md

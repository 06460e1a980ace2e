// Schemas and autograd of irreps_linear: bilinear in x and the weights, so that its derivatives of
// any order are made of itself and of irreps_linear_weights.
#include <torch/library.h>

#include <optional>
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
  // y[l, m, d] = scale_l * sum over c of x[l, m, c] W_l[c, d]; blocks: in_offset, n_m, out_offset
  // of each W_l. With types int64 (n), W_l (n_species, c_in, c_out) holds a matrix for each.
  // transposed: from y back to x.
  m.def(
      "irreps_linear(Tensor x, Tensor[] weights, float[] scales, int[] blocks, int dim_out, "
      "bool transposed, Tensor? types=None) -> Tensor");
  // derivatives of sum(g * y) to the weights, whose shapes are all that is read of them
  m.def(
      "irreps_linear_weights(Tensor x, Tensor g, Tensor[] weights, float[] scales, int[] blocks, "
      "Tensor? types=None) -> Tensor[]");
}

using Optional = std::optional<Tensor>;

/// What x and y have in common; x is the side that the weights multiply untransposed.
struct Map {
  std::vector<double> scales;
  std::vector<int64_t> blocks;
  int64_t dim_x, dim_y;
  Optional types;

  Tensor apply(const Tensor& from, at::TensorList weights, bool transposed) const {
    using Signature = Tensor(const Tensor&, at::TensorList, at::ArrayRef<double>, at::IntArrayRef,
                             int64_t, bool, const Optional&);
    static const auto op = find_op<Signature>("e3md::irreps_linear");
    return op.call(from, weights, scales, blocks, transposed ? dim_x : dim_y, transposed, types);
  }

  std::vector<Tensor> to_weights(const Tensor& x, const Tensor& y, at::TensorList weights) const {
    using Signature = std::vector<Tensor>(const Tensor&, const Tensor&, at::TensorList,
                                          at::ArrayRef<double>, at::IntArrayRef, const Optional&);
    static const auto op = find_op<Signature>("e3md::irreps_linear_weights");
    return op.call(x, y, weights, scales, blocks, types);
  }

  void save(AutogradContext* context) const {
    auto& saved = context->saved_data;
    saved["scales"] = scales, saved["blocks"] = blocks;
    saved["dim_x"] = dim_x, saved["dim_y"] = dim_y, saved["types"] = types;
  }

  static Map load(AutogradContext* context) {
    auto& saved = context->saved_data;
    return {saved["scales"].toDoubleVector(), saved["blocks"].toIntVector(), saved["dim_x"].toInt(),
            saved["dim_y"].toInt(), saved["types"].toOptional<Tensor>()};
  }
};

struct Linear : Function<Linear> {
  static Tensor forward(AutogradContext* context, const Tensor& from, at::TensorList weights,
                        const Map& map, bool transposed) {
    at::AutoDispatchBelowADInplaceOrView below;
    variable_list kept{from};
    kept.insert(kept.end(), weights.begin(), weights.end());
    context->save_for_backward(kept);
    context->saved_data["transposed"] = transposed;
    map.save(context);
    return map.apply(from, weights, transposed);
  }

  static variable_list backward(AutogradContext* context, variable_list cotangents) {
    const auto saved = context->get_saved_variables();
    const variable_list weights(saved.begin() + 1, saved.end());
    const Map map = Map::load(context);
    const bool transposed = context->saved_data["transposed"].toBool();
    const Tensor &from = saved[0], &g = cotangents[0];
    variable_list grads(saved.size() + 2);
    if (context->needs_input_grad(0)) grads[0] = map.apply(g, weights, !transposed);
    bool any = false;
    for (size_t k = 0; k < weights.size(); ++k) any = any || context->needs_input_grad(k + 1);
    if (any) {
      const auto found =
          transposed ? map.to_weights(g, from, weights) : map.to_weights(from, g, weights);
      std::copy(found.begin(), found.end(), grads.begin() + 1);
    }
    return grads;
  }
};

/// Derivatives to the weights, differentiable themselves.
struct Outer : Function<Outer> {
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& y,
                               const std::vector<Tensor>& weights, const Map& map) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x, y});
    map.save(context);
    return map.to_weights(x, y, weights);
  }

  static variable_list backward(AutogradContext* context, variable_list cotangents) {
    const auto saved = context->get_saved_variables();
    const Map map = Map::load(context);
    return {map.apply(saved[1], cotangents, true), map.apply(saved[0], cotangents, false), Tensor(),
            Tensor()};
  }
};

Tensor linear_autograd(const Tensor& x, at::TensorList weights, at::ArrayRef<double> scales,
                       at::IntArrayRef blocks, int64_t dim_out, bool transposed,
                       const Optional& types) {
  if (runs_reference("e3md::irreps_linear", x))
    return reference_irreps_linear(x, weights, scales, blocks, dim_out, transposed, types);
  const int64_t dim_x = transposed ? dim_out : x.size(1), dim_y = transposed ? x.size(1) : dim_out;
  return Linear::apply(x, weights, Map{scales.vec(), blocks.vec(), dim_x, dim_y, types},
                       transposed);
}

std::vector<Tensor> weights_autograd(const Tensor& x, const Tensor& g, at::TensorList weights,
                                     at::ArrayRef<double> scales, at::IntArrayRef blocks,
                                     const Optional& types) {
  return Outer::apply(x, g, weights.vec(),
                      Map{scales.vec(), blocks.vec(), x.size(1), g.size(1), types});
}

TORCH_LIBRARY_IMPL(e3md, Autograd, m) {
  m.impl("irreps_linear", linear_autograd);
  m.impl("irreps_linear_weights", weights_autograd);
}

}  // namespace
}  // namespace e3md

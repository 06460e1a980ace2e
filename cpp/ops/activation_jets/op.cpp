// activation_jets: an activation with its first two derivatives carried forward, and the gradient.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/library.h>

#include <cmath>

#include "common/autograd.h"
#include "common/reference.h"

namespace e3md {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

TORCH_LIBRARY_FRAGMENT(e3md, m) {
  // x (3, n, width): value, first and second derivative -> those of f(x), with f = silu or
  // softplus - ln 2. Differentiable once.
  m.def("activation_jets(Tensor x, bool softplus) -> Tensor");
  m.def("activation_jets_grad(Tensor g, Tensor x, bool softplus) -> Tensor");
}

/// f', f'' and f''' at x, from s = sigmoid(x).
template <class T, bool SOFTPLUS>
struct Slopes {
  T first, second, third;

  Slopes(T x, T s) {
    const T c = s * (1 - s), odd = 1 - 2 * s;
    first = SOFTPLUS ? s : s + x * c;
    second = SOFTPLUS ? c : c * (2 + x * odd);
    third = SOFTPLUS ? c * odd : c * (3 * odd + x * (odd * odd - 2 * c));
  }
};

template <class T, bool SOFTPLUS>
void jets(int64_t n, const T* x, const T* s, const T* f, T* y) {
  for (int64_t k = 0; k < n; ++k) {
    const Slopes<T, SOFTPLUS> slope(x[k], s[k]);
    const T dot = x[n + k];
    y[k] = SOFTPLUS ? f[k] : x[k] * s[k];
    y[n + k] = slope.first * dot;
    y[2 * n + k] = slope.second * dot * dot + slope.first * x[2 * n + k];
  }
}

template <class T, bool SOFTPLUS>
void jets_grad(int64_t n, const T* g, const T* x, const T* s, T* to_x) {
  for (int64_t k = 0; k < n; ++k) {
    const Slopes<T, SOFTPLUS> slope(x[k], s[k]);
    const T dot = x[n + k], dot2 = x[2 * n + k];
    to_x[k] = g[k] * slope.first + g[n + k] * slope.second * dot +
              g[2 * n + k] * (slope.third * dot * dot + slope.second * dot2);
    to_x[n + k] = g[n + k] * slope.first + 2 * g[2 * n + k] * slope.second * dot;
    to_x[2 * n + k] = g[2 * n + k] * slope.first;
  }
}

Tensor checked(const Tensor& x) {
  TORCH_CHECK(x.dim() == 3 && x.size(0) == 3, "activation_jets: x must be (3, n, width), not ",
              x.sizes());
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble,
              "activation_jets: x must be float32 or float64, not ", x.scalar_type());
  return x.contiguous();
}

Tensor activation_jets(const Tensor& x_, bool softplus) {
  const Tensor x = checked(x_), s = at::sigmoid(x[0]);
  const Tensor f = softplus ? at::softplus(x[0]).sub_(std::log(2.0)) : s;
  Tensor y = at::empty_like(x);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "activation_jets", [&] {
    (softplus ? jets<scalar_t, true>
              : jets<scalar_t, false>)(s.numel(), x.const_data_ptr<scalar_t>(),
                                       s.const_data_ptr<scalar_t>(), f.const_data_ptr<scalar_t>(),
                                       y.mutable_data_ptr<scalar_t>());
  });
  return y;
}

Tensor activation_jets_grad(const Tensor& g_, const Tensor& x_, bool softplus) {
  const Tensor x = checked(x_), g = checked(g_), s = at::sigmoid(x[0]);
  TORCH_CHECK(g.sizes() == x.sizes() && g.scalar_type() == x.scalar_type(),
              "activation_jets_grad: g must be as x");
  Tensor to_x = at::empty_like(x);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "activation_jets_grad", [&] {
    (softplus ? jets_grad<scalar_t, true>
              : jets_grad<scalar_t, false>)(s.numel(), g.const_data_ptr<scalar_t>(),
                                            x.const_data_ptr<scalar_t>(),
                                            s.const_data_ptr<scalar_t>(),
                                            to_x.mutable_data_ptr<scalar_t>());
  });
  return to_x;
}

struct ActivationJets : Function<ActivationJets> {
  static Tensor forward(AutogradContext* context, const Tensor& x, bool softplus) {
    static const auto op = find_op<Tensor(const Tensor&, bool)>("e3md::activation_jets");
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x});
    context->saved_data["softplus"] = softplus;
    return op.call(x, softplus);
  }

  static variable_list backward(AutogradContext* context, variable_list cotangents) {
    using Signature = Tensor(const Tensor&, const Tensor&, bool);
    static const auto op = find_op<Signature>("e3md::activation_jets_grad");
    TORCH_CHECK(!at::GradMode::is_enabled(), "activation_jets is differentiable once");
    const Tensor x = context->get_saved_variables()[0];
    return {op.call(cotangents[0], x, context->saved_data["softplus"].toBool()), Tensor()};
  }
};

Tensor jets_autograd(const Tensor& x, bool softplus) {
  if (runs_reference("e3md::activation_jets", x)) return reference_activation_jets(x, softplus);
  return ActivationJets::apply(x, softplus);
}

Tensor jets_meta(const Tensor& x, bool) { return x.new_empty(x.sizes()); }
Tensor jets_grad_meta(const Tensor&, const Tensor& x, bool) { return x.new_empty(x.sizes()); }

TORCH_LIBRARY_IMPL(e3md, CPU, m) {
  m.impl("activation_jets", activation_jets);
  m.impl("activation_jets_grad", activation_jets_grad);
}

TORCH_LIBRARY_IMPL(e3md, Meta, m) {
  m.impl("activation_jets", jets_meta);
  m.impl("activation_jets_grad", jets_grad_meta);
}

TORCH_LIBRARY_IMPL(e3md, Autograd, m) { m.impl("activation_jets", jets_autograd); }

}  // namespace

Tensor reference_activation_jets(const Tensor& x, bool softplus) {
  checked(x);
  const Tensor s = at::sigmoid(x[0]), c = s * (1 - s);
  const Tensor f = softplus ? at::softplus(x[0]) - std::log(2.0) : x[0] * s;
  const Tensor first = softplus ? s : s + x[0] * c;
  const Tensor second = softplus ? c : c * (2 + x[0] * (1 - 2 * s));
  return at::stack({f, first * x[1], second * x[1].square() + first * x[2]});
}

}  // namespace e3md

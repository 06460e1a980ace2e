// Schemas and autograd of ghost_exchange: the derivative of filling ghosts is adding them up.
#include <torch/library.h>

#include "common/autograd.h"
#include "e3md/ghost_exchange.h"

namespace e3md {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

TORCH_LIBRARY(e3md, m) {
  // (n_local, width) -> (n_nodes, width): fills the rows of ghost atoms from their owners.
  m.def("ghost_exchange(Tensor h, int n_nodes) -> Tensor");
  // (n_nodes, width) -> (n_local, width): adds the rows of ghost atoms to their owners'.
  m.def("ghost_exchange_reverse(Tensor grad, int n_local) -> Tensor");
}

template <bool REVERSE>
struct Exchange : Function<Exchange<REVERSE>> {
  static Tensor call(bool reverse, const Tensor& rows, int64_t n_rows) {
    using Signature = Tensor(const Tensor&, int64_t);
    static const auto fill = find_op<Signature>("e3md::ghost_exchange");
    static const auto add = find_op<Signature>("e3md::ghost_exchange_reverse");
    return (reverse ? add : fill).call(rows, n_rows);
  }

  static Tensor forward(AutogradContext* context, const Tensor& rows, int64_t n_rows) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->saved_data["n_rows"] = rows.size(0);
    context->saved_data["lent"] = reinterpret_cast<int64_t>(GhostExchangeScope::current());
    return call(REVERSE, rows, n_rows);
  }

  static variable_list backward(AutogradContext* context, variable_list cotangents) {
    const auto lent = context->saved_data["lent"].toInt();
    const GhostExchangeRelay relay(reinterpret_cast<const GhostExchangeScope*>(lent));
    return {call(!REVERSE, cotangents[0], context->saved_data["n_rows"].toInt()), Tensor()};
  }
};

template <bool REVERSE>
Tensor exchange_autograd(const Tensor& rows, int64_t n_rows) {
  return Exchange<REVERSE>::apply(rows, n_rows);
}

TORCH_LIBRARY_IMPL(e3md, Autograd, m) {
  m.impl("ghost_exchange", exchange_autograd<false>);
  m.impl("ghost_exchange_reverse", exchange_autograd<true>);
}

}  // namespace
}  // namespace e3md

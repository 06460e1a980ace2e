#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <utility>

#include "common/table.h"
#include "e3md/ghost_exchange.h"

namespace e3md {
namespace {

thread_local const GhostExchangeScope* lent = nullptr;

/// Rows as the exchanger wants them: on the host and contiguous. Runs `exchange(rows, width)`.
template <class Exchange>
void with_host_rows(const at::Tensor& rows, Exchange exchange) {
  const int64_t width = rows.size(1);
  TORCH_CHECK(rows.scalar_type() == at::kFloat || rows.scalar_type() == at::kDouble,
              "ghost_exchange: features must be float32 or float64, not ", rows.scalar_type());
  if (rows.scalar_type() == at::kFloat)
    exchange(rows.data_ptr<float>(), width);
  else
    exchange(rows.data_ptr<double>(), width);
}

void check_rows(const at::Tensor& rows, const char* name) {
  TORCH_CHECK(rows.dim() == 2, "ghost_exchange: ", name, " must be (rows, width), not ",
              rows.sizes());
}

/// What is lent, if the rows are those of the host's atoms; none: null.
GhostExchanger* exchanger_for(int64_t n_local, int64_t n_nodes) {
  const GhostExchangeScope* scope = lent;
  if (!scope || !scope->exchanger) return nullptr;
  TORCH_CHECK(n_local == scope->n_local && n_nodes == scope->n_nodes, "ghost_exchange: ", n_local,
              " local and ", n_nodes, " rows in all, expected ", scope->n_local, " and ",
              scope->n_nodes, ", the atoms of the host program");
  return scope->exchanger;
}

void check_no_ghosts(int64_t n_local, int64_t n_nodes) {
  TORCH_CHECK(n_nodes == n_local, "ghost_exchange: ", no_exchanger(n_nodes - n_local));
}

/// (n_local, width) -> (n_nodes, width)
at::Tensor ghost_exchange(const at::Tensor& h, int64_t n_nodes) {
  check_rows(h, "h");
  const int64_t n_local = h.size(0);
  check_size("ghost_exchange", "number of columns of h", h.size(1), 0, kMaxColumns);
  TORCH_CHECK(n_nodes >= n_local, "ghost_exchange: n_nodes = ", n_nodes, " is less than the ",
              n_local, " local rows");
  GhostExchanger* exchanger = exchanger_for(n_local, n_nodes);
  if (!exchanger) {
    check_no_ghosts(n_local, n_nodes);
    return h.clone(at::MemoryFormat::Contiguous);
  }
  at::Tensor rows = at::zeros({n_nodes, h.size(1)}, h.options().device(at::kCPU));
  rows.narrow(0, 0, n_local).copy_(h);
  with_host_rows(rows, [&](auto* data, int64_t width) { exchanger->forward(data, width); });
  return rows.to(h.device());
}

/// (n_nodes, width) -> (n_local, width)
at::Tensor ghost_exchange_reverse(const at::Tensor& grad, int64_t n_local) {
  check_rows(grad, "grad");
  TORCH_CHECK(n_local >= 0 && n_local <= grad.size(0),
              "ghost_exchange_reverse: n_local = ", n_local, " is not within the ", grad.size(0),
              " rows");
  GhostExchanger* exchanger = exchanger_for(n_local, grad.size(0));
  if (!exchanger) {
    check_no_ghosts(n_local, grad.size(0));
    return grad.clone(at::MemoryFormat::Contiguous);
  }
  at::Tensor rows = at::empty(grad.sizes(), grad.options().device(at::kCPU));
  rows.copy_(grad);
  with_host_rows(rows, [&](auto* data, int64_t width) { exchanger->reverse(data, width); });
  return rows.narrow(0, 0, n_local).clone().to(grad.device());
}

at::Tensor ghost_exchange_meta(const at::Tensor& h, int64_t n_rows) {
  return h.new_empty({n_rows, h.size(1)});
}

}  // namespace

std::string no_exchanger(int64_t n_ghosts) {
  return "the graph has " + std::to_string(n_ghosts) +
         " ghost atoms, but no communicator is lent to fill them. Graphs with ghosts can be "
         "evaluated only through a host that exchanges them (pair_style e3nn).";
}

GhostExchangeScope::GhostExchangeScope(GhostExchanger* exchanger_, int64_t n_local_,
                                       int64_t n_nodes_)
    : exchanger(exchanger_),
      n_local(n_local_),
      n_nodes(n_nodes_),
      previous_(std::exchange(lent, this)) {}

GhostExchangeScope::~GhostExchangeScope() { lent = previous_; }

const GhostExchangeScope* GhostExchangeScope::current() { return lent; }

GhostExchangeRelay::GhostExchangeRelay(const GhostExchangeScope* scope)
    : previous_(std::exchange(lent, scope)) {}

GhostExchangeRelay::~GhostExchangeRelay() { lent = previous_; }

TORCH_LIBRARY_IMPL(e3md, CPU, m) {
  m.impl("ghost_exchange", ghost_exchange);
  m.impl("ghost_exchange_reverse", ghost_exchange_reverse);
}

TORCH_LIBRARY_IMPL(e3md, CUDA, m) {
  m.impl("ghost_exchange", ghost_exchange);
  m.impl("ghost_exchange_reverse", ghost_exchange_reverse);
}

TORCH_LIBRARY_IMPL(e3md, Meta, m) {
  m.impl("ghost_exchange", ghost_exchange_meta);
  m.impl("ghost_exchange_reverse", ghost_exchange_meta);
}

}  // namespace e3md

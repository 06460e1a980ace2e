// symmetric_contraction term by term, in torch operations.
#include "common/reference.h"

#include <torch/torch.h>

#include <vector>

#include "symmetric_contraction/op.h"

namespace e3md {

using at::Tensor;

namespace {

/// Numbers of one field of all rows.
template <class Row, class Field>
Tensor column(const Table<Row>& table, const at::Device& device, Field field) {
  std::vector<int64_t> numbers;
  for (const Row& row : table) numbers.push_back(field(row));
  return torch::tensor(numbers, at::kLong).to(device);
}

}  // namespace

Tensor product_coefficients(const Tensor& weights, const ProductTables& tables) {
  const auto of = [&](auto field) { return column(tables.entries, weights.device(), field); };
  const Tensor term = of([](const ProductEntry& e) { return e.term; });
  const Tensor weight = of([](const ProductEntry& e) { return e.weight; });
  const Tensor values = tables.values.to(weights.options()).view({1, -1, 1});
  return at::zeros({weights.size(0), tables.terms.size(), weights.size(2)}, weights.options())
      .index_add(1, term, weights.index_select(1, weight) * values);
}

Tensor reference_symmetric_contraction(const Tensor& a, const Tensor& types, at::TensorList list,
                                       at::TensorList tables, int64_t n_rows) {
  const ProductTables program(on_host(tables), ProductSizes(a, list, n_rows));
  check_atoms(a, types.cpu(), list);
  const Tensor coefficients = product_coefficients(at::cat(list, 1), program);
  // A component of its own, always one, stands in for "none".
  const Tensor padded = at::cat({a, at::ones_like(a.narrow(1, 0, 1))}, 1);
  const auto of = [&](auto field) { return column(program.terms, a.device(), field); };
  Tensor products = coefficients.index_select(0, types);
  for (size_t n = 0; n < 3; ++n) {
    const auto factor = [&](const ProductTerm& t) {
      return t.components[n] < 0 ? a.size(1) : t.components[n];
    };
    products = products * padded.index_select(1, of(factor));
  }
  const Tensor row = of([](const ProductTerm& t) { return t.row; });
  return at::zeros({a.size(0), n_rows, a.size(2)}, a.options()).index_add(1, row, products);
}

}  // namespace e3md

// The argument `tables` of symmetric_contraction, checked.
#include "symmetric_contraction/op.h"

namespace e3md {
namespace {

constexpr const char* kOp = "symmetric_contraction";
constexpr int64_t kMaxSide = 1 << 16;  // components, rows: every thread keeps some of each

const at::Tensor& one_of(at::TensorList tables, size_t n) {
  TORCH_CHECK(tables.size() == 3, kOp, ": expected 3 tables, not ", tables.size());
  return tables[n];
}

/// Components that there are come first.
void check_term(int64_t n, const ProductTerm& term, const ProductSizes& sizes) {
  check_entry(kOp, "terms", n, "row", term.row, 0, sizes.n_rows - 1);
  int64_t least = 0;
  for (const int64_t component : term.components) {
    check_entry(kOp, "terms", n, "component", component, least, sizes.n_components - 1);
    least = -1;
  }
  TORCH_CHECK(term.components[1] >= 0 || term.components[2] < 0, kOp, ": terms[", n,
              "] has a third component, ", term.components[2], ", but no second one");
}

bool before(const ProductTerm& a, const ProductTerm& b) {
  return a.row != b.row ? a.row < b.row : a.components < b.components;
}

}  // namespace

ProductSizes::ProductSizes(const at::Tensor& a, at::TensorList weights, int64_t n_rows_)
    : n_components(a.dim() == 3 ? a.size(1) : -1), n_rows(n_rows_), n_weights(0) {
  check_size(kOp, "number of components of a", n_components, 0, kMaxSide);
  check_size(kOp, "n_rows", n_rows, 0, kMaxSide);
  for (const at::Tensor& weight : weights) {
    check_size(kOp, "number of weights", weight.dim() == 3 ? weight.size(1) : -1, 0, kMaxRows);
    n_weights += weight.size(1);
  }
}

void check_shapes(const at::Tensor& a, const at::Tensor& types, at::TensorList weights) {
  TORCH_CHECK(!weights.empty(), kOp, ": no weights");
  bool right = a.dim() == 3 && types.dim() == 1 && types.size(0) == a.size(0) &&
               types.scalar_type() == at::kLong;
  for (const at::Tensor& w : weights)
    right = right && w.dim() == 3 && w.size(0) == weights[0].size(0) && w.size(2) == a.size(2) &&
            w.scalar_type() == a.scalar_type();
  TORCH_CHECK(right, kOp,
              ": a must be (n_atoms, n_components, n_channels), weights (n_species, n_weights, "
              "n_channels) of its dtype, types int64 (n_atoms)");
  check_size(kOp, "number of species", weights[0].size(0), 0, kMaxRows);
}

void check_atoms(const at::Tensor& a, const at::Tensor& types, at::TensorList weights) {
  check_shapes(a, types, weights);
  check_types(kOp, types.contiguous(), weights[0].size(0));
}

ProductTables::ProductTables(at::TensorList tables, const ProductSizes& sizes)
    : terms(kOp, "terms", one_of(tables, 0)),
      entries(kOp, "entries", one_of(tables, 1)),
      values(host_numbers(kOp, "values", one_of(tables, 2), entries.size())) {
  for (int64_t n = 0; n < terms.size(); ++n) {
    check_term(n, terms[n], sizes);
    TORCH_CHECK(n == 0 || before(terms[n - 1], terms[n]), kOp, ": terms[", n,
                "] is out of order: terms are sorted, each once");
  }
  for (int64_t n = 0; n < entries.size(); ++n) {
    check_entry(kOp, "entries", n, "term", entries[n].term, 0, terms.size() - 1);
    check_entry(kOp, "entries", n, "weight", entries[n].weight, 0, sizes.n_weights - 1);
  }
}

}  // namespace e3md

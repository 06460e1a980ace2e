#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "common/table.h"

namespace e3md {

/// A product of up to three components of A, -1: none, that counts for a row of the result.
struct ProductTerm {
  int64_t row;
  std::array<int64_t, 3> components;
};

/// The coefficient of a term += value * weight.
struct ProductEntry {
  int64_t term, weight;
};

/// What entries and terms point into.
struct ProductSizes {
  int64_t n_components, n_rows, n_weights;

  /// a (n_atoms, n_components, n_channels), weights (n_species, n_weights, n_channels) each.
  ProductSizes(const at::Tensor& a, at::TensorList weights, int64_t n_rows);
};

/// Shapes and dtypes of a, types and weights.
void check_shapes(const at::Tensor& a, const at::Tensor& types, at::TensorList weights);
/// The same with types on the host; every type has weights.
void check_atoms(const at::Tensor& a, const at::Tensor& types, at::TensorList weights);

/// What symmetric_contraction is told of its products; the order of its argument `tables`. Checked
/// in full.
struct ProductTables {
  Table<ProductTerm> terms;     ///< in lexicographic order, each once
  Table<ProductEntry> entries;  ///< sorted by term
  at::Tensor values;            ///< (n_entries) float64

  ProductTables(at::TensorList tables, const ProductSizes& sizes);
};

/// Coefficients of the terms, (n_species, n_terms, n_channels), of all weights (n_species,
/// n_weights, n_channels), in torch operations.
at::Tensor product_coefficients(const at::Tensor& weights, const ProductTables& tables);

}  // namespace e3md

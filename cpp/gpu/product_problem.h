#pragma once

// What kernels of symmetric_contraction are told. The text of GPU kernels holds this file: it
// includes nothing.

namespace e3md::gpu {

template <class T>
struct ProductProblem {
  const T* a;              ///< (n_atoms, n_components, n_channels)
  const T* coefficients;   ///< (n_species, n_terms, n_channels)
  const T* g;              ///< (n_atoms, n_rows, n_channels): cotangents; of backward
  T* out;                  ///< (n_atoms, n_rows, n_channels); of forward
  T* grad_a;               ///< as a; of backward
  const long long* types;  ///< (n_atoms)
  const long long* order;  ///< (n_atoms): atoms of a species one after the other
  long long n_atoms, n_species, n_terms;
};

}  // namespace e3md::gpu

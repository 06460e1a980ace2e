#pragma once

// What kernels of edge_conv_radial are told. The text of GPU kernels holds this file: it includes
// nothing.

namespace e3md::gpu {

/// T: the numbers. Sum: those that only atomic additions change.
template <class T, class Sum = T>
struct RadialProblem {
  const T* h;                      ///< (n_nodes, dim_in); not read where features are ones
  const T* edge_vec;               ///< (n_edges, 3) Å
  const T* table;                  ///< (n_tables, n_rows, row)
  const T* g;                      ///< (n_local, dim_out): cotangents; of backward
  T* out;                          ///< (n_local, dim_out); of forward
  Sum* grad_vec;                   ///< (n_edges, 3), added to; of backward
  Sum* grad_h;                     ///< (n_nodes, dim_in), added to; null: not wanted; of backward
  const long long* begin;          ///< (n_local + 1): edges of each receiver
  const long long* receiver;       ///< (n_edges), sorted
  const long long* sender;         ///< (n_edges)
  const long long* types;          ///< (n_nodes)
  const long long* table_of_pair;  ///< (n_types, n_types)
  long long n_local, n_nodes, n_edges, n_types;
  long long dim_in, dim_out;
  long long n_rows, row;  ///< knots of a table, the doubled one counted twice; numbers of a knot
  long long doubled;      ///< the knot in two rows; beyond all without one
  T first, inverse_spacing;
};

}  // namespace e3md::gpu

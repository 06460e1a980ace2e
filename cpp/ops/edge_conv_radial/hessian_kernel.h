#pragma once
#include "common/copies.h"
#include "edge_conv_radial/kernel.h"

// The loops that Hessians add to those of edge_conv_radial: second derivatives to the edge vectors,
// and first ones for many cotangents. Compiled once per instruction set.

namespace e3md::kernels {

/// Rows of n copies of the problem's graph lie one after the other.
struct Copies {
  int64_t n, n_nodes, n_edges;  ///< of one: n_nodes and n_edges
};

/// What is differentiated: S = d/ds sum(g * out) where in + s in_dot and edge_vec + s edge_dot are
/// put in, for tangents of each copy; and where its derivatives go. Flags, not pointers, say what
/// is there.
template <class T>
struct RadialHessian {
  Copies copies;
  bool has_in_dot;          ///< else in_dot is zero
  bool need_in;             ///< whether to_in is wanted, which needs dim_in > 0
  const T* g;               ///< (n_nodes, dim_out), of every copy
  const T* in_dot;          ///< (copies, n_nodes, dim_in)
  const uint8_t* rows_dot;  ///< (copies, n_nodes) which rows of in_dot are not zero
  const T* edge_dot;        ///< (copies, n_edges, 3)
  T* to_g;                  ///< (copies, n_nodes, dim_out), written
  T* to_in;                 ///< (copies, n_nodes, dim_in), added to
  T* to_vec;                ///< (copies, n_edges, 3), written
};

/// sum(g * out) of each copy, and where its derivatives go.
template <class T>
struct RadialCotangents {
  Copies copies;
  bool need_in;  ///< whether to_in is wanted, which needs dim_in > 0
  const T* g;    ///< (copies, n_nodes, dim_out)
  T* to_in;      ///< (copies, n_nodes, dim_in), added to
  T* to_vec;     ///< (copies, n_edges, 3), written
};

/// Elements of scratch memory that a call of either loop needs.
inline int64_t hessian_scratch_size(int64_t dim_sh, int64_t max_pairs, int64_t dim_in) {
  return radial_scratch_size(dim_sh, max_pairs, 2) + 4 * tangent_size(dim_sh, max_pairs) +
         kBlock * (kSplineTerms + 2 * dim_sh + 1 + 3 * dim_in) +
         kMaxCopies * kBlock * 3 * (kMaxLanes + 1);
}

template <class T>
struct RadialHessianLoops {
  /// Derivatives of S over the edges of receivers [begin, end).
  void (*bend)(const RadialProblem<T>&, const RadialHessian<T>&, int64_t begin, int64_t end,
               T* scratch);
  /// First derivatives over the edges of receivers [begin, end).
  void (*differentiate)(const RadialProblem<T>&, const RadialCotangents<T>&, int64_t begin,
                        int64_t end, T* scratch);
};

#define E3MD_DECLARE(isa)                                \
  namespace isa {                                        \
  RadialHessianLoops<float> radial_hessian_loops_f32();  \
  RadialHessianLoops<double> radial_hessian_loops_f64(); \
  }
E3MD_DECLARE(baseline)
E3MD_DECLARE(avx2)
E3MD_DECLARE(avx512)
#undef E3MD_DECLARE

}  // namespace e3md::kernels

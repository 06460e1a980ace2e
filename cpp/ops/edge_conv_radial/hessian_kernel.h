#pragma once
#include "edge_conv_radial/kernel.h"

// The loop that Hessians add to those of edge_conv_radial: second derivatives to the edge vectors.
// Compiled once per instruction set.

namespace e3md::kernels {

/// What is differentiated: S = d/ds sum(g * out) where in + s in_dot and edge_vec + s edge_dot are
/// put in; and where its derivatives go. Flags, not pointers, say what is there.
template <class T>
struct RadialHessian {
  bool has_in_dot;    ///< else in_dot is zero
  bool need_in;       ///< whether to_in is wanted, which needs dim_in > 0
  const T* g;         ///< (n_local, dim_out)
  const T* in_dot;    ///< (n_nodes, dim_in)
  const T* edge_dot;  ///< (n_edges, 3)
  T* to_g;            ///< (n_local, dim_out), written
  T* to_in;           ///< (n_nodes, dim_in), added to
  T* to_vec;          ///< (n_edges, 3), written
};

/// Elements of scratch memory that a call needs.
inline int64_t hessian_scratch_size(int64_t dim_sh, int64_t max_pairs) {
  return radial_scratch_size(dim_sh, max_pairs, 2) + tangent_size(dim_sh, max_pairs) +
         kBlock * (kSplineTerms + 2 * dim_sh + 1);
}

/// Derivatives of S over the edges of receivers [begin, end).
template <class T>
using RadialHessianLoop = void (*)(const RadialProblem<T>&, const RadialHessian<T>&, int64_t begin,
                                   int64_t end, T* scratch);

#define E3MD_DECLARE(isa)                              \
  namespace isa {                                      \
  RadialHessianLoop<float> radial_hessian_loop_f32();  \
  RadialHessianLoop<double> radial_hessian_loop_f64(); \
  }
E3MD_DECLARE(baseline)
E3MD_DECLARE(avx2)
E3MD_DECLARE(avx512)
#undef E3MD_DECLARE

}  // namespace e3md::kernels

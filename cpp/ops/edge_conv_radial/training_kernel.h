#pragma once
#include "edge_conv_radial/kernel.h"

// The loops that training adds to those of edge_conv_radial: derivatives to the tables, and second
// derivatives. Compiled once per instruction set.

namespace e3md::kernels {

/// What is differentiated: S = sum(g * out), or with tangents S = d/ds sum(g * out) where
/// in + s in_dot and edge_vec + s edge_dot are put in; and where its derivatives go. Flags, not
/// pointers, say what is there: the memory of an empty tensor is null as well.
template <class T>
struct RadialTraining {
  bool has_tangents;  ///< else edge_dot, in_dot and to_g are not looked at
  bool has_in_dot;    ///< else in_dot is zero
  const T* g;         ///< (n_local, dim_out)
  const T* in_dot;    ///< (n_nodes, dim_in)
  const T* edge_dot;  ///< (n_edges, 3)
  T* to_g;            ///< (n_local, dim_out), written
  T* to_in;           ///< (n_nodes, dim_in), added to
  T* to_values;       ///< as the table's values, added to
};

/// Elements of scratch memory that a call needs.
inline int64_t training_scratch_size(int64_t dim_sh, int64_t max_pairs) {
  return radial_scratch_size(dim_sh, max_pairs, 1) + tangent_size(dim_sh, max_pairs);
}

/// Derivatives of S over the edges of receivers [begin, end).
template <class T>
using RadialTrainingLoop = void (*)(const RadialProblem<T>&, const RadialTraining<T>&,
                                    int64_t begin, int64_t end, T* scratch);

#define E3MD_DECLARE(isa)                                \
  namespace isa {                                        \
  RadialTrainingLoop<float> radial_training_loop_f32();  \
  RadialTrainingLoop<double> radial_training_loop_f64(); \
  }
E3MD_DECLARE(baseline)
E3MD_DECLARE(avx2)
E3MD_DECLARE(avx512)
#undef E3MD_DECLARE

}  // namespace e3md::kernels

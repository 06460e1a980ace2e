#pragma once
#include <cstdint>

#include "edge_conv/kernel.h"
#include "edge_conv_radial/edge_math.h"

// The loops of edge_conv_radial, compiled once per instruction set as those of edge_conv. Harmonics
// and radial weights are made inside, 16 edges at a time; nothing of the size of the edges is kept.

namespace e3md::kernels {

/// One term of the recursion of harmonics: sh[out] += value * sh[lower] * direction[component].
template <class T>
struct HarmonicTerm {
  int32_t out, lower, component;
  T value;
};

/// No knot of a table is stored twice.
inline constexpr int64_t kNoKnot = INT64_MAX;

/// Radial weights between knots at first + k * spacing; beyond them the outermost polynomials go
/// on. Where the second derivative jumps, knot `doubled` is stored twice, in rows `doubled` and
/// `doubled + 1`: with derivatives from the left and from the right.
template <class T>
struct SplineTable {
  const T* values;                     ///< (n_tables, n_knots, n_groups, kTableValues, kTableGroup)
  const int64_t* table_of_pair;        ///< (n_types, n_types) table of receiver and neighbor
  int64_t n_types, n_knots, n_groups;  ///< n_knots: of rows, the doubled one counted twice
  T first, inverse_spacing;
  int64_t doubled = kNoKnot;
};

template <class T>
struct RadialProblem {
  const T* in;  ///< (n_nodes, dim_in); dim_in = 0: ones
  const T* edge_vec;
  const int64_t *owner_begin, *neighbor, *types;
  int64_t dim_in, dim_out, dim_sh;
  SplineTable<T> table;
  const HarmonicTerm<T>* harmonics;
  int64_t n_harmonics;
  bool solid;         ///< harmonics of the edge vector, not of its direction
  const Path* paths;  ///< those with the same terms follow one another
  const Term<T>* terms;
  int64_t n_paths, max_pairs;
  int64_t n_gradients, n_edges;  ///< path k counts for gradient k % n_gradients
  bool add_vec;                  ///< gradients of edge vectors are added to what is there
};

/// Elements of scratch memory, aligned to 64 bytes, that a call of either loop needs.
inline int64_t radial_scratch_size(int64_t dim_sh, int64_t max_pairs, int64_t n_gradients) {
  return kBlock * (2 * dim_sh + 16 + 2 * kSplineTerms + max_pairs +
                   (n_gradients * kMaxLanes + 1) * (dim_sh + 1));
}

/// And that tangents add to it, in loops over second derivatives.
inline int64_t tangent_size(int64_t dim_sh, int64_t max_pairs) {
  return kBlock * (4 + dim_sh + max_pairs);
}

template <class T>
struct RadialLoops {
  /// out (n_local, dim_out): sums over the edges of receivers [begin, end).
  void (*convolve)(const RadialProblem<T>&, T* out, int64_t begin, int64_t end, T* scratch);
  /// For g (n_local, dim_out): derivatives of sum(g * out) over the edges of receivers
  /// [begin, end): to grad_vec (n_gradients, n_edges, 3), and with need_in, which needs
  /// dim_in > 0, added to grad_in (n_nodes, dim_in).
  void (*differentiate)(const RadialProblem<T>&, const T* g, T* grad_vec, bool need_in, T* grad_in,
                        int64_t begin, int64_t end, T* scratch);
};

#define E3MD_DECLARE(isa)                 \
  namespace isa {                         \
  RadialLoops<float> radial_loops_f32();  \
  RadialLoops<double> radial_loops_f64(); \
  }
E3MD_DECLARE(baseline)
E3MD_DECLARE(avx2)
E3MD_DECLARE(avx512)
#undef E3MD_DECLARE

}  // namespace e3md::kernels

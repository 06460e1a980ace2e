#pragma once
#include <cstdint>

// The loops of symmetric_contraction, compiled once per instruction set as those of edge_conv.
// A polynomial of the components of A, channel by channel, is evaluated by nesting:
//   out[row] = sum_i A_i (p_i + sum_j A_j (p_ij + sum_k A_k p_ijk)).

namespace e3md::kernels {

/// Atoms of one species handled together: each coefficient is read once for all of them.
inline constexpr int kAtoms = 4;

/// `term` numbers the coefficient, -1: none; the inner nodes are [begin, end) of the next level.
struct OuterNode {
  int32_t component, term, begin, end;
};
struct InnerNode {
  int32_t component, term;
};

struct ProductProgram {
  const int32_t* rows;  ///< (n_rows + 1) first nodes of each output row among `first`
  int64_t n_rows;
  const OuterNode *first, *second;
  const InnerNode* third;
};

/// Atoms of one species; coefficients (n_tiles, n_terms, lanes of a vector), zero beyond the
/// channels.
template <class T>
struct ProductProblem {
  ProductProgram program;
  const T* a;  ///< (n_atoms, n_components, n_channels)
  const T* coefficients;
  const int64_t* atoms;  ///< which rows
  int64_t n_atoms, n_components, n_channels, n_terms;
};

/// What training differentiates: S = sum(g * out), or with a_dot the derivative of it along a_dot;
/// and where its derivatives go. Flags, not pointers, say which: the memory of an empty tensor is
/// null as well.
template <class T>
struct ProductTraining {
  bool has_dot;       ///< else a_dot and to_g are not looked at
  bool need_weights;  ///< else coefficients are not looked at: only with a_dot
  const T* g;         ///< (n_atoms, n_rows, n_channels)
  const T* a_dot;     ///< as a
  T* to_g;            ///< as g
  T* to_a;            ///< as a
  T* coefficients;    ///< as the problem's, added to
};

inline constexpr int kMaxProductLanes = 16;

template <class T>
inline int64_t product_scratch_size(int64_t n_components, int64_t n_rows) {
  return kAtoms * kMaxProductLanes * (3 * n_components + 2 * n_rows);
}

template <class T>
struct ProductLoops {
  int lanes;  ///< of a vector
  /// out (n_atoms, n_rows, n_channels) for atoms [begin, end).
  void (*evaluate)(const ProductProblem<T>&, T* out, int64_t begin, int64_t end, T* scratch);
  /// grad_a (as a) from g (as out) for atoms [begin, end).
  void (*differentiate)(const ProductProblem<T>&, const T* g, T* grad_a, int64_t begin, int64_t end,
                        T* scratch);
  /// Derivatives of S for atoms [begin, end).
  void (*train)(const ProductProblem<T>&, const ProductTraining<T>&, int64_t begin, int64_t end,
                T* scratch);
};

#define E3MD_DECLARE(isa)                   \
  namespace isa {                           \
  ProductLoops<float> product_loops_f32();  \
  ProductLoops<double> product_loops_f64(); \
  }
E3MD_DECLARE(baseline)
E3MD_DECLARE(avx2)
E3MD_DECLARE(avx512)
#undef E3MD_DECLARE

}  // namespace e3md::kernels

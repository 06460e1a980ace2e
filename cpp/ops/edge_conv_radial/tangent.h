#pragma once
#include "edge_conv_radial/splines.h"

// How geometry and harmonics of a block of edges change when the edges do, for second derivatives.
// Included once per instruction set, as simd.h.

namespace e3md::kernels::E3MD_ISA {
namespace {

/// Rows of kBlock numbers: how geometry changes along edge_dot.
template <class T>
struct Tangent {
  T *direction, *r, *sh, *coefficient;  ///< (3), (1), (dim_sh), (max_pairs)

  Tangent(T* memory, int64_t dim_sh) : direction(memory) {
    r = direction + 3 * kBlock;
    sh = r + kBlock;
    coefficient = sh + dim_sh * kBlock;
  }
};

/// From edge_dot of n edges, from the block's first on.
template <class T>
void measure_tangent(const RadialProblem<T>& p, const T* edge_dot, int n, const Scratch<T>& s,
                     const Tangent<T>& tangent) {
  for (int b = 0; b < kBlock; ++b) {
    const T* v = edge_dot + 3 * (b < n ? b : 0);
    T along = 0;
    for (int a = 0; a < 3; ++a) along += s.direction[a * kBlock + b] * v[a];
    tangent.r[b] = p.solid ? along * s.inverse_r[b] : along;
    for (int a = 0; a < 3; ++a)
      tangent.direction[a * kBlock + b] =
          p.solid ? v[a] : (v[a] - s.direction[a * kBlock + b] * along) * s.inverse_r[b];
  }
  for (int64_t k = 0; k < p.dim_sh * kBlock; ++k) tangent.sh[k] = 0;
  for (int64_t n_term = 0; n_term < p.n_harmonics; ++n_term) {
    const HarmonicTerm<T> term = p.harmonics[n_term];
    for (int k = 0; k < kVectorsOfBlock<T>; ++k)
      vectors(tangent.sh, term.out)[k] +=
          term.value *
          (vectors(tangent.sh, term.lower)[k] * vectors(s.direction, term.component)[k] +
           vectors(s.sh, term.lower)[k] * vectors(tangent.direction, term.component)[k]);
  }
}

/// Tangents along x, y and z: those of any motion are sums of these.
template <class T>
struct UnitTangents {
  Tangent<T> along[3];

  UnitTangents(T* memory, int64_t dim_sh, int64_t max_pairs)
      : along{{memory, dim_sh},
              {memory + tangent_size(dim_sh, max_pairs), dim_sh},
              {memory + 2 * tangent_size(dim_sh, max_pairs), dim_sh}} {}

  void measure(const RadialProblem<T>& p, int n, const Scratch<T>& s) const {
    for (int a = 0; a < 3; ++a) {
      T unit[3 * kBlock] = {};
      for (int b = 0; b < kBlock; ++b) unit[3 * b + a] = 1;
      measure_tangent(p, unit, n, s, along[a]);
    }
  }

  void contract(const RadialProblem<T>& p, const Path& path) const {
    for (const Tangent<T>& one : along) contract_sh(p.terms, path, one.sh, one.coefficient);
  }
};

}  // namespace
}  // namespace e3md::kernels::E3MD_ISA

#pragma once
#include "common/path_simd.h"
#include "common/simd.h"
#include "edge_conv_radial/kernel.h"

// What the loops of edge_conv_radial share: geometry, harmonics and radial weights of up to kBlock
// edges of one receiver. Included once per instruction set, as simd.h.

namespace e3md::kernels::E3MD_ISA {
namespace {

/// Rows of kBlock numbers, one per edge of a block.
template <class T>
struct Scratch {
  T *direction, *r, *inverse_r;  ///< (3), (1), (1)
  T* t;                          ///< (1): where in [0, 1] between two knots
  T *sh, *grad_sh;               ///< (dim_sh) each
  T *basis, *slope;              ///< (kSplineTerms) each: of the weights and of their derivative
  T* coefficient;                ///< (max_pairs)
  T* sums;                       ///< (kBlock, dim_sh + 1): of each edge to sh and r
  T* lanes;                      ///< (n_gradients, kBlock, dim_sh + 1, kMaxLanes)

  Scratch(T* memory, int64_t dim_sh, int64_t max_pairs, int64_t n_gradients) {
    const auto take = [&](int64_t rows) {
      T* taken = memory;
      memory += rows * kBlock;
      return taken;
    };
    direction = take(3), r = take(1), inverse_r = take(1), t = take(1);
    sh = take(dim_sh), grad_sh = take(dim_sh);
    basis = take(kSplineTerms), slope = take(kSplineTerms);
    coefficient = take(max_pairs);
    sums = take(dim_sh + 1);
    lanes = take(n_gradients * kMaxLanes * (dim_sh + 1));
  }
};

/// Up to kBlock edges of one receiver.
template <class T>
struct RadialBlock {
  int n;
  const T* in[kBlock];    ///< not to be read with dim_in = 0
  const T* knot[kBlock];  ///< the two knots around r follow one another from here
  T* grad_in[kBlock];
  int64_t row;  ///< from one knot to the next
};

template <class T>
E3MD_INLINE T square_root(T x) {
  if constexpr (sizeof(T) == 4) return __builtin_sqrtf(x);
  return __builtin_sqrt(x);
}

/// Row `row` of rows of kBlock numbers, as vectors.
template <class T>
E3MD_INLINE Vec<T>* vectors(T* rows, int64_t row) {
  return reinterpret_cast<Vec<T>*>(rows + row * kBlock);
}

template <class T>
inline constexpr int kVectorsOfBlock = kBlock / Simd<T>::kWidth;

/// Basis and slope of the block's edges at t.
template <class T>
void make_basis(T inverse_spacing, const Scratch<T>& s) {
  for (int k = 0; k < kVectorsOfBlock<T>; ++k) {
    Vec<T> value[kSplineTerms], slope[kSplineTerms];
    hermite(vectors(s.t, 0)[k], inverse_spacing, value, slope);
    for (int q = 0; q < kSplineTerms; ++q) {
      vectors(s.basis, q)[k] = value[q];
      vectors(s.slope, q)[k] = slope[q];
    }
  }
}

template <class T>
void locate(const RadialProblem<T>& p, int64_t receiver, int64_t begin, RadialBlock<T>& block,
            const Scratch<T>& s) {
  const SplineTable<T>& table = p.table;
  const int64_t* table_of_pair = table.table_of_pair + p.types[receiver] * table.n_types;
  block.row = table.n_groups * kTableValues * kTableGroup;
  const int64_t last = table.n_knots - 2 - (table.doubled != kNoKnot);
  for (int b = 0; b < kBlock; ++b) {
    const int64_t j = p.neighbor[begin + (b < block.n ? b : 0)];
    const T u = (s.r[b] - table.first) * table.inverse_spacing;
    const int64_t k = interval(u, last);
    block.in[b] = p.in + j * p.dim_in;
    const int64_t row = k + (k >= table.doubled);
    block.knot[b] = table.values + (table_of_pair[p.types[j]] * table.n_knots + row) * block.row;
    s.t[b] = u - static_cast<T>(k);
  }
  make_basis(table.inverse_spacing, s);
}

/// Distances, directions and harmonics of the block, by the recursion over degrees.
template <class T>
void measure(const RadialProblem<T>& p, int64_t begin, int n, const Scratch<T>& s) {
  T *x = s.direction, *y = x + kBlock, *z = y + kBlock;
  for (int b = 0; b < kBlock; ++b) {
    const T* v = p.edge_vec + 3 * (begin + (b < n ? b : 0));
    x[b] = v[0], y[b] = v[1], z[b] = v[2];
  }
#pragma GCC ivdep
  for (int b = 0; b < kBlock; ++b) {
    s.r[b] = square_root(x[b] * x[b] + y[b] * y[b] + z[b] * z[b]);
    s.inverse_r[b] = 1 / s.r[b];
    const T scale = p.solid ? T(1) : s.inverse_r[b];
    x[b] *= scale, y[b] *= scale, z[b] *= scale;
    s.sh[b] = 1;
  }
  for (int64_t k = kBlock; k < p.dim_sh * kBlock; ++k) s.sh[k] = 0;
  for (int64_t n_term = 0; n_term < p.n_harmonics; ++n_term) {
    const HarmonicTerm<T> term = p.harmonics[n_term];
    for (int k = 0; k < kVectorsOfBlock<T>; ++k)
      vectors(s.sh, term.out)[k] +=
          term.value * vectors(s.sh, term.lower)[k] * vectors(s.direction, term.component)[k];
  }
}

template <class T>
RadialBlock<T> make_block(const RadialProblem<T>& p, int64_t receiver, int64_t begin, int64_t end,
                          const Scratch<T>& s) {
  RadialBlock<T> block;
  block.n = static_cast<int>(end - begin < kBlock ? end - begin : kBlock);
  measure(p, begin, block.n, s);
  locate(p, receiver, begin, block, s);
  return block;
}

/// Paths from `first` on that have the same terms.
template <class T>
int64_t same_terms(const RadialProblem<T>& p, int64_t first) {
  int64_t n = 1;
  while (first + n < p.n_paths && p.paths[first + n].term_begin == p.paths[first].term_begin) ++n;
  return n;
}

/// Basis and slope of edge b in all lanes, for tile after tile.
template <class T>
struct EdgeBasis {
  Vec<T> value[kSplineTerms], slope[kSplineTerms];

  E3MD_INLINE EdgeBasis(const Scratch<T>& s, int b) {
    for (int q = 0; q < kSplineTerms; ++q) {
      value[q] = s.basis[q * kBlock + b] - Vec<T>{};
      slope[q] = s.slope[q * kBlock + b] - Vec<T>{};
    }
  }
};

/// Weights of one edge in one tile of channels: sum of basis times what the two knots hold.
template <class T, int N>
struct Knots {
  Vec<T> v[kSplineTerms][N];

  E3MD_INLINE Knots(const T* knot, int64_t row, int64_t column) {
    constexpr int kWidth = Simd<T>::kWidth;
    for (int n = 0; n < N; ++n) {
      const int64_t c = column + n * kWidth;
      const T* at = knot + c / kTableGroup * (kTableValues * kTableGroup) + c % kTableGroup;
      for (int q = 0; q < kTableValues; ++q) {
        v[q][n] = *reinterpret_cast<const Vec<T>*>(at + q * kTableGroup);
        v[q + kTableValues][n] = *reinterpret_cast<const Vec<T>*>(at + row + q * kTableGroup);
      }
    }
  }

  template <bool FULL>
  E3MD_INLINE Tile<T, N, FULL> combine(const T* basis) const {
    Tile<T, N, FULL> w;
    for (int n = 0; n < N; ++n) {
      w.v[n] = basis[0] * v[0][n];
      for (int q = 1; q < kSplineTerms; ++q) w.v[n] += basis[q * kBlock] * v[q][n];
    }
    return w;
  }

  template <bool FULL>
  E3MD_INLINE Tile<T, N, FULL> combine(const Vec<T> (&basis)[kSplineTerms]) const {
    Tile<T, N, FULL> w;
    for (int n = 0; n < N; ++n) {
      w.v[n] = basis[0] * v[0][n];
      for (int q = 1; q < kSplineTerms; ++q) w.v[n] += basis[q] * v[q][n];
    }
    return w;
  }
};

}  // namespace
}  // namespace e3md::kernels::E3MD_ISA

#pragma once
#include "common/simd.h"
#include "edge_conv/kernel.h"

// What the loops over paths share. Included once per instruction set, as simd.h.

namespace e3md::kernels::E3MD_ISA {
namespace {

/// Components of one side of a path: N, or known only at run time (N = 0).
template <int N>
constexpr int capacity() {
  return N > 0 ? N : kMaxComponents;
}

/// coefficient[pair][edge of the block] = sum of value * sh over the terms of the pair; sh is
/// (dim_sh, kBlock).
template <class T>
void contract_sh(const Term<T>* terms, const Path& path, const T* sh, T* coefficient) {
  const int n_pairs = path.n_in * path.n_out;
  for (int k = 0; k < n_pairs * kBlock; ++k) coefficient[k] = 0;
  for (int t = path.term_begin; t < path.term_end; ++t) {
    const Term<T> term = terms[t];
    auto* c = reinterpret_cast<Vec<T>*>(coefficient + term.pair * kBlock);
    const auto* y = reinterpret_cast<const Vec<T>*>(sh + term.column * kBlock);
    for (int k = 0; k < kBlock / Simd<T>::kWidth; ++k) c[k] += term.value * y[k];
  }
}

/// All channels of a path: wide tiles, then two vectors, one vector, and what is left.
template <class T, class Operation, class Block, class... Arguments>
void for_channels(const Path& path, const Block& block, const T* coefficient,
                  Arguments... arguments) {
  constexpr int kWidth = Simd<T>::kWidth;
  constexpr int kVectors = Operation::kVectors;
  int64_t c = 0;
  for (; c + kVectors * kWidth <= path.mul; c += kVectors * kWidth)
    Operation::template tile<kVectors, true>(path, block, coefficient, arguments..., c, 0);
  for (; c + 2 * kWidth <= path.mul; c += 2 * kWidth)
    Operation::template tile<2, true>(path, block, coefficient, arguments..., c, 0);
  for (; c + kWidth <= path.mul; c += kWidth)
    Operation::template tile<1, true>(path, block, coefficient, arguments..., c, 0);
  if (c < path.mul)
    Operation::template tile<1, false>(path, block, coefficient, arguments..., c,
                                       static_cast<int>(path.mul - c));
}

/// Picks the loop compiled for the number of components l ≤ 3 has; else the one for any.
template <class T, template <class, int, int> class Operation, class Block, class... Arguments>
void for_components(const Path& path, const Block& block, const T* coefficient,
                    Arguments... arguments) {
#define E3MD_CASE(n_in, n_out) \
  case n_in * 8 + n_out:       \
    return Operation<T, n_in, n_out>::run(path, block, coefficient, arguments...);
#define E3MD_CASES(n_in) E3MD_CASE(n_in, 1) E3MD_CASE(n_in, 3) E3MD_CASE(n_in, 5) E3MD_CASE(n_in, 7)
  const bool small = path.n_in < 8 && path.n_out < 8;
  switch (small ? path.n_in * 8 + path.n_out : 0) {
    E3MD_CASES(1)
    E3MD_CASES(3)
    E3MD_CASES(5)
    E3MD_CASES(7)
    default:
      return Operation<T, 0, 0>::run(path, block, coefficient, arguments...);
  }
#undef E3MD_CASES
#undef E3MD_CASE
}

}  // namespace
}  // namespace e3md::kernels::E3MD_ISA

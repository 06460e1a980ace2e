#pragma once
#include <cstdint>
#include <utility>  // integer_sequence: types only, no code

#include "edge_conv/kernel.h"

// Vectors of channels for the kernels. Included once per instruction set: everything here is local
// to the file that includes it.

#if defined(__AVX512F__)
#define E3MD_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define E3MD_VECTOR_BYTES 32
#else
#define E3MD_VECTOR_BYTES 16
#endif

// Vectors live in registers only where the functions that hand them around are inlined.
#define E3MD_INLINE [[gnu::always_inline]] inline

namespace e3md::kernels::E3MD_ISA {
namespace {

template <class T>
struct Simd {
  typedef T V __attribute__((vector_size(E3MD_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
  static constexpr int kWidth = E3MD_VECTOR_BYTES / sizeof(T);
};
template <class T>
using Vec = typename Simd<T>::V;

/// N neighboring vectors of channels. FULL: all lanes; else only the first `lanes` exist in memory
/// and the others read as zero.
template <class T, int N, bool FULL>
struct Tile {
  static constexpr int kChannels = N * Simd<T>::kWidth;
  Vec<T> v[N];

  E3MD_INLINE static Tile load(const T* p, int lanes) {
    Tile t{};
    if constexpr (FULL) {
      for (int n = 0; n < N; ++n) t.v[n] = reinterpret_cast<const Vec<T>*>(p)[n];
    } else {
      for (int l = 0; l < lanes; ++l) t.v[0][l] = p[l];
    }
    return t;
  }
  E3MD_INLINE void store(T* p, int lanes) const {
    if constexpr (FULL) {
      for (int n = 0; n < N; ++n) reinterpret_cast<Vec<T>*>(p)[n] = v[n];
    } else {
      for (int l = 0; l < lanes; ++l) p[l] = v[0][l];
    }
  }
  E3MD_INLINE void add(const Tile& a, const Tile& b) {
    for (int n = 0; n < N; ++n) v[n] += a.v[n] * b.v[n];
  }
  E3MD_INLINE void add(T a, const Tile& b) {
    for (int n = 0; n < N; ++n) v[n] += a * b.v[n];
  }
  E3MD_INLINE void multiply(const Tile& a) {
    for (int n = 0; n < N; ++n) v[n] *= a.v[n];
  }
  E3MD_INLINE Vec<T> sum() const {
    Vec<T> s = v[0];
    for (int n = 1; n < N; ++n) s += v[n];
    return s;
  }
};

/// Lanes l of the result: a[l] + a[l ^ HALF] where bit HALF of l is clear, else the same of b.
template <int HALF, class V, int... LANE>
V fold(V a, V b, std::integer_sequence<int, LANE...>) {
  constexpr int kWidth = sizeof...(LANE);
  return __builtin_shufflevector(a, b, (LANE & HALF ? kWidth + LANE : LANE)...) +
         __builtin_shufflevector(a, b, (LANE & HALF ? kWidth + (LANE ^ HALF) : (LANE ^ HALF))...);
}

/// Sums of the lanes of kWidth rows, one lane each: log2(kWidth) rounds of folding rows together.
template <class T, int HALF>
void fold_rows(Vec<T>* rows) {
  for (int r = 0; r < HALF; ++r)
    rows[r] =
        fold<HALF>(rows[r], rows[r + HALF], std::make_integer_sequence<int, Simd<T>::kWidth>());
  if constexpr (HALF > 1) fold_rows<T, HALF / 2>(rows);
}

/// Adds up the lanes of (n_rows, kWidth), overwriting them. kBlock rows divide into whole groups,
/// so the last group may read rows beyond n_rows but never beyond the scratch memory.
template <class T>
void sum_lanes(T* lanes, int64_t n_rows, T* sums) {
  constexpr int kWidth = Simd<T>::kWidth;
  for (int64_t at = 0; at < n_rows; at += kWidth) {
    auto* rows = reinterpret_cast<Vec<T>*>(lanes) + at;
    fold_rows<T, kWidth / 2>(rows);
    for (int l = 0; l < kWidth && at + l < n_rows; ++l) sums[at + l] = rows[0][l];
  }
}

}  // namespace
}  // namespace e3md::kernels::E3MD_ISA

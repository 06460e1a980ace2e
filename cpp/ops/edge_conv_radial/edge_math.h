#pragma once

// The formulas of one edge that kernels of the CPU and of the GPU share. T is a number; V one too,
// or a vector of them. The text of GPU kernels holds this file: it includes nothing.

#ifdef __CUDACC__
#define E3MD_ANYWHERE __device__ __forceinline__
#else
#define E3MD_ANYWHERE [[gnu::always_inline]] static inline
#endif

namespace e3md::kernels {

/// Basis functions of the quintic between two knots: of f, h f', h² f'' at either.
constexpr int kSplineTerms = 6;
/// Columns of a table that lie together, and numbers per column and knot: f, h f', h² f''.
constexpr int kTableGroup = 16;
constexpr int kTableValues = 3;

/// Quintic Hermite basis at t in [0, 1], and its derivatives by distance.
template <class V, class T>
E3MD_ANYWHERE void hermite(V t, T inverse_spacing, V* value, V* slope) {
  const T s = inverse_spacing, h = T(0.5);
  const V t2 = t * t, t3 = t2 * t;
  const V last = t3 * (T(10) + t * (T(6) * t - T(15)));
  value[0] = T(1) - last;
  value[1] = t + t3 * (T(-6) + t * (T(8) - T(3) * t));
  value[2] = h * t2 * (T(1) + t * (T(-3) + t * (T(3) - t)));
  value[3] = last;
  value[4] = t3 * (T(-4) + t * (T(7) - T(3) * t));
  value[5] = h * t3 * (T(1) + t * (t - T(2)));
  const V rise = s * t2 * (T(30) + t * (T(30) * t - T(60)));
  slope[0] = -rise;
  slope[1] = s * (T(1) + t2 * (T(-18) + t * (T(32) - T(15) * t)));
  slope[2] = s * h * t * (T(2) + t * (T(-9) + t * (T(12) - T(5) * t)));
  slope[3] = rise;
  slope[4] = s * t2 * (T(-12) + t * (T(28) - T(15) * t));
  slope[5] = s * h * t2 * (T(3) + t * (T(5) * t - T(8)));
}

/// The interval that u, in knots from the first one on, lies in: 0 to last, whatever u is.
template <class Integer, class T>
E3MD_ANYWHERE Integer interval(T u, Integer last) {
  // compared before the cast, which u may be too large for
  return !(u > 0) ? 0 : u < static_cast<T>(last) ? static_cast<Integer>(u) : last;
}

/// One component of a derivative to an edge vector, from those to r and to what harmonics are made
/// of: the edge vector if solid, else its direction, whose component is d. along: sum of to_d * d.
template <class T>
E3MD_ANYWHERE T to_component(bool solid, T d, T inverse_r, T along, T to_d, T to_r) {
  return solid ? to_d + d * inverse_r * to_r : (to_d - d * along) * inverse_r + d * to_r;
}

}  // namespace e3md::kernels

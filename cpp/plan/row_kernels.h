#pragma once
#include <cstdint>

// Loops over rows of features, compiled once per instruction set as those of the ops: what a plan
// does between convolutions, products and linear maps.

namespace e3md::kernels {

/// A matrix whose row i begins at data + i * stride.
template <class T>
struct Rows {
  T* data;
  int64_t stride;
};

enum class Function : int32_t { identity, silu, tanh, softplus, sigmoid, inverse };

/// y = gain f(x + bias): f = x, x σ(x), tanh x, ln(1 + eˣ) - ln 2, σ(x), 1/(1 + x).
template <class T>
struct Activation {
  Function function;
  T gain;
  const T* bias;  ///< (width); null: none
  int64_t width;
};

/// One coupling: out[row, c] += value * a[first, c] * b[second, c].
template <class T>
struct ProductTriple {
  int32_t row, first, second;
  T value;
};

/// Where a result goes: added to what is there, or written.
template <class T>
struct Target {
  Rows<T> rows;
  bool add;
};

template <class T>
struct RowLoops {
  void (*activate)(const Activation<T>&, Rows<const T> x, Target<T> y, int64_t n);
  /// to_x from g, the gradient of y.
  void (*activate_reverse)(const Activation<T>&, Rows<const T> x, Rows<const T> g, Target<T> to_x,
                           int64_t n);
  /// y[m, c] = x[m, c] factor[c] for m < n_m, c < channels.
  void (*multiply)(int64_t n_m, int64_t channels, Rows<const T> x, Rows<const T> factor,
                   Target<T> y, int64_t n);
  /// to_factor[c] from sum over m of g[m, c] x[m, c]
  void (*contract)(int64_t n_m, int64_t channels, Rows<const T> x, Rows<const T> g,
                   Target<T> to_factor, int64_t n);
  /// y = x w / sqrt(sum share x² + epsilon); w and share (width)
  void (*normalize)(int64_t width, const T* w, const T* share, T epsilon, Rows<const T> x,
                    Target<T> y, int64_t n);
  void (*normalize_reverse)(int64_t width, const T* w, const T* share, T epsilon, Rows<const T> x,
                            Rows<const T> g, Target<T> to_x, int64_t n);
  /// Added to out: the products of all triples, channel by channel.
  void (*couple)(const ProductTriple<T>*, int64_t n_triples, int64_t channels, Rows<const T> a,
                 Rows<const T> b, Rows<T> out, int64_t n);
  /// y = factor x
  void (*scale)(int64_t width, T factor, const T* x, T* y, bool add);
};

#define E3MD_DECLARE(isa)           \
  namespace isa {                   \
  RowLoops<float> row_loops_f32();  \
  RowLoops<double> row_loops_f64(); \
  }
E3MD_DECLARE(baseline)
E3MD_DECLARE(avx2)
E3MD_DECLARE(avx512)
#undef E3MD_DECLARE

}  // namespace e3md::kernels

#include "plan/row_kernels.h"

#include "common/simd.h"
#include "plan/functions_simd.h"

namespace e3md::kernels::E3MD_ISA {
namespace {

template <class T>
E3MD_INLINE Vec<T> load(const T* p, int lanes) {
  return lanes == Simd<T>::kWidth ? Tile<T, 1, true>::load(p, 0).v[0]
                                  : Tile<T, 1, false>::load(p, lanes).v[0];
}

template <class T>
E3MD_INLINE void store(Vec<T> v, T* p, int lanes, bool add) {
  if (add) v += load(p, lanes);
  if (lanes == Simd<T>::kWidth)
    Tile<T, 1, true>{{v}}.store(p, 0);
  else
    Tile<T, 1, false>{{v}}.store(p, lanes);
}

/// Runs `body(column, lanes)` over the columns of a row, a vector at a time.
template <class T, class Body>
E3MD_INLINE void for_lanes(int64_t width, Body body) {
  constexpr int kWidth = Simd<T>::kWidth;
  int64_t c = 0;
  for (; c + kWidth <= width; c += kWidth) body(c, kWidth);
  if (c < width) body(c, static_cast<int>(width - c));
}

template <class T, Function F>
void activate_as(const Activation<T>& a, Rows<const T> x, Target<T> y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T* from = x.data + i * x.stride;
    T* to = y.rows.data + i * y.rows.stride;
    for_lanes<T>(a.width, [&](int64_t c, int lanes) {
      Vec<T> v = load(from + c, lanes);
      if (a.bias) v += load(a.bias + c, lanes);
      store(Vec<T>(a.gain * value<T, F>(v)), to + c, lanes, y.add);
    });
  }
}

template <class T, Function F>
void activate_reverse_as(const Activation<T>& a, Rows<const T> x, Rows<const T> g, Target<T> to_x,
                         int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T *from = x.data + i * x.stride, *cotangent = g.data + i * g.stride;
    T* to = to_x.rows.data + i * to_x.rows.stride;
    for_lanes<T>(a.width, [&](int64_t c, int lanes) {
      Vec<T> v = load(from + c, lanes);
      if (a.bias) v += load(a.bias + c, lanes);
      store(Vec<T>(a.gain * slope<T, F>(v) * load(cotangent + c, lanes)), to + c, lanes, to_x.add);
    });
  }
}

#define E3MD_FUNCTIONS(loop, ...)                      \
  switch (a.function) {                                \
    case Function::silu:                               \
      return loop<T, Function::silu>(__VA_ARGS__);     \
    case Function::tanh:                               \
      return loop<T, Function::tanh>(__VA_ARGS__);     \
    case Function::softplus:                           \
      return loop<T, Function::softplus>(__VA_ARGS__); \
    case Function::sigmoid:                            \
      return loop<T, Function::sigmoid>(__VA_ARGS__);  \
    case Function::inverse:                            \
      return loop<T, Function::inverse>(__VA_ARGS__);  \
    case Function::identity:                           \
      return loop<T, Function::identity>(__VA_ARGS__); \
  }

template <class T>
void activate(const Activation<T>& a, Rows<const T> x, Target<T> y, int64_t n) {
  E3MD_FUNCTIONS(activate_as, a, x, y, n)
}

template <class T>
void activate_reverse(const Activation<T>& a, Rows<const T> x, Rows<const T> g, Target<T> to_x,
                      int64_t n) {
  E3MD_FUNCTIONS(activate_reverse_as, a, x, g, to_x, n)
}

#undef E3MD_FUNCTIONS

template <class T>
void scale(int64_t width, T factor, const T* x, T* y, bool add) {
  for_lanes<T>(width, [&](int64_t c, int lanes) {
    store(Vec<T>(factor * load(x + c, lanes)), y + c, lanes, add);
  });
}

template <class T>
void multiply(int64_t n_m, int64_t channels, Rows<const T> x, Rows<const T> factor, Target<T> y,
              int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T *from = x.data + i * x.stride, *by = factor.data + i * factor.stride;
    T* to = y.rows.data + i * y.rows.stride;
    if (channels == 1) {
      scale(n_m, by[0], from, to, y.add);
      continue;
    }
    for (int64_t m = 0; m < n_m; ++m)
      for_lanes<T>(channels, [&](int64_t c, int lanes) {
        store(Vec<T>(load(from + m * channels + c, lanes) * load(by + c, lanes)),
              to + m * channels + c, lanes, y.add);
      });
  }
}

template <class T>
T dot(int64_t width, const T* a, const T* b) {
  Vec<T> lanes_sum{};
  for_lanes<T>(width,
               [&](int64_t c, int lanes) { lanes_sum += load(a + c, lanes) * load(b + c, lanes); });
  T sum = 0;
  for (int l = 0; l < Simd<T>::kWidth; ++l) sum += lanes_sum[l];
  return sum;
}

template <class T>
void contract(int64_t n_m, int64_t channels, Rows<const T> x, Rows<const T> g, Target<T> to_factor,
              int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T *from = x.data + i * x.stride, *cotangent = g.data + i * g.stride;
    T* to = to_factor.rows.data + i * to_factor.rows.stride;
    if (channels == 1) {
      const T sum = dot(n_m, from, cotangent);
      *to = to_factor.add ? *to + sum : sum;
      continue;
    }
    for_lanes<T>(channels, [&](int64_t c, int lanes) {
      Vec<T> sum{};
      for (int64_t m = 0; m < n_m; ++m)
        sum += load(from + m * channels + c, lanes) * load(cotangent + m * channels + c, lanes);
      store(sum, to + c, lanes, to_factor.add);
    });
  }
}

template <class T>
T inverse_root(int64_t width, const T* share, T epsilon, const T* x) {
  Vec<T> sums{};
  for_lanes<T>(width, [&](int64_t c, int lanes) {
    const Vec<T> v = load(x + c, lanes);
    sums += v * v * load(share + c, lanes);
  });
  T sum = epsilon;
  for (int l = 0; l < Simd<T>::kWidth; ++l) sum += sums[l];
  if constexpr (sizeof(T) == 4) return 1 / __builtin_sqrtf(sum);
  return 1 / __builtin_sqrt(sum);
}

template <class T>
void normalize(int64_t width, const T* w, const T* share, T epsilon, Rows<const T> x, Target<T> y,
               int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T* from = x.data + i * x.stride;
    T* to = y.rows.data + i * y.rows.stride;
    const T s = inverse_root(width, share, epsilon, from);
    for_lanes<T>(width, [&](int64_t c, int lanes) {
      store(Vec<T>(s * load(from + c, lanes) * load(w + c, lanes)), to + c, lanes, y.add);
    });
  }
}

template <class T>
void normalize_reverse(int64_t width, const T* w, const T* share, T epsilon, Rows<const T> x,
                       Rows<const T> g, Target<T> to_x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T *from = x.data + i * x.stride, *cotangent = g.data + i * g.stride;
    T* to = to_x.rows.data + i * to_x.rows.stride;
    const T s = inverse_root(width, share, epsilon, from);
    Vec<T> sums{};
    for_lanes<T>(width, [&](int64_t c, int lanes) {
      sums += load(from + c, lanes) * load(w + c, lanes) * load(cotangent + c, lanes);
    });
    T sum = 0;
    for (int l = 0; l < Simd<T>::kWidth; ++l) sum += sums[l];
    for_lanes<T>(width, [&](int64_t c, int lanes) {
      const Vec<T> direct = load(w + c, lanes) * load(cotangent + c, lanes);
      const Vec<T> through = load(share + c, lanes) * load(from + c, lanes);
      store(Vec<T>(s * direct - (s * s * s * sum) * through), to + c, lanes, to_x.add);
    });
  }
}

template <class T>
void couple(const ProductTriple<T>* triples, int64_t n_triples, int64_t channels, Rows<const T> a,
            Rows<const T> b, Rows<T> out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T *first = a.data + i * a.stride, *second = b.data + i * b.stride;
    T* to = out.data + i * out.stride;
    for (int64_t k = 0; k < n_triples; ++k) {
      const ProductTriple<T>& t = triples[k];
      for_lanes<T>(channels, [&](int64_t c, int lanes) {
        const Vec<T> product = load(first + t.first * channels + c, lanes) *
                               load(second + t.second * channels + c, lanes);
        store(Vec<T>(t.value * product), to + t.row * channels + c, lanes, true);
      });
    }
  }
}

template <class T>
RowLoops<T> row_loops() {
  return {activate<T>,  activate_reverse<T>,  multiply<T>, contract<T>,
          normalize<T>, normalize_reverse<T>, couple<T>,   scale<T>};
}

}  // namespace

RowLoops<float> row_loops_f32() { return row_loops<float>(); }
RowLoops<double> row_loops_f64() { return row_loops<double>(); }

}  // namespace e3md::kernels::E3MD_ISA

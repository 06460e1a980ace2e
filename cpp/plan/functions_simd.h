#pragma once
#include "common/simd.h"
#include "plan/row_kernels.h"

// Elementary functions of vectors, to a few units in the last place of their largest values.
// Included once per instruction set, as simd.h.

namespace e3md::kernels::E3MD_ISA {
namespace {

template <class T>
struct Exponent;

template <>
struct Exponent<float> {
  typedef int32_t V __attribute__((vector_size(E3MD_VECTOR_BYTES)));
  static constexpr int kBias = 127, kMantissa = 23, kOrder = 7, kLogTerms = 8;
  static constexpr float kRound = 12582912.0f;  // 1.5 · 2²³: adding it leaves an integer
  static constexpr float kLeast = -87.0f, kMost = 88.0f;
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
};

template <>
struct Exponent<double> {
  typedef int64_t V __attribute__((vector_size(E3MD_VECTOR_BYTES)));
  static constexpr int kBias = 1023, kMantissa = 52, kOrder = 13, kLogTerms = 17;
  static constexpr double kRound = 6755399441055744.0;  // 1.5 · 2⁵²
  static constexpr double kLeast = -708.0, kMost = 709.0;
  static constexpr double kLn2High = 0.693147180369123816490, kLn2Low = 1.90821492927058770002e-10;
};

/// eˣ = 2ᵏ eʳ with |r| ≤ ln 2 / 2, eʳ by its series; x within the exponents of T.
template <class T>
E3MD_INLINE Vec<T> exponential(Vec<T> x) {
  using E = Exponent<T>;
  using Integers = typename E::V;
  x = x < E::kLeast ? Vec<T>{} + E::kLeast : x;
  x = x > E::kMost ? Vec<T>{} + E::kMost : x;
  const Vec<T> shifted = x * T(1.4426950408889634) + E::kRound;
  const Vec<T> k = shifted - E::kRound;
  const Vec<T> r = (x - k * E::kLn2High) - k * E::kLn2Low;
  Vec<T> series = Vec<T>{} + T(1);
  for (int n = E::kOrder; n > 0; --n) series = T(1) + series * r * (T(1) / T(n));
  const Integers power = (__builtin_convertvector(k, Integers) + E::kBias) << E::kMantissa;
  return series * reinterpret_cast<const Vec<T>&>(power);
}

/// ln(1 + e) for 0 ≤ e ≤ 1: 2 artanh(e / (2 + e)) by its series.
template <class T>
E3MD_INLINE Vec<T> log_of_one_plus(Vec<T> e) {
  const Vec<T> s = e / (T(2) + e), s2 = s * s;
  Vec<T> series{};
  for (int n = Exponent<T>::kLogTerms; n >= 0; --n) series = T(1) / T(2 * n + 1) + s2 * series;
  return T(2) * s * series;
}

template <class T>
E3MD_INLINE Vec<T> magnitude(Vec<T> x) {
  return x < T(0) ? -x : x;
}

template <class T>
E3MD_INLINE Vec<T> sigmoid(Vec<T> x) {
  return T(1) / (T(1) + exponential<T>(-x));
}

template <class T>
E3MD_INLINE Vec<T> hyperbolic_tangent(Vec<T> x) {
  const Vec<T> e = exponential<T>(T(-2) * magnitude<T>(x));
  const Vec<T> size = (T(1) - e) / (T(1) + e);
  return x < T(0) ? -size : size;
}

/// f(x).
template <class T, Function F>
E3MD_INLINE Vec<T> value(Vec<T> x) {
  if constexpr (F == Function::silu) return x * sigmoid<T>(x);
  if constexpr (F == Function::tanh) return hyperbolic_tangent<T>(x);
  if constexpr (F == Function::sigmoid) return sigmoid<T>(x);
  if constexpr (F == Function::inverse) return T(1) / (T(1) + x);
  if constexpr (F == Function::softplus) {
    const Vec<T> above = x > T(0) ? x : Vec<T>{};
    return above + log_of_one_plus<T>(exponential<T>(-magnitude<T>(x))) - T(0.69314718055994531);
  }
  return x;
}

/// f'(x).
template <class T, Function F>
E3MD_INLINE Vec<T> slope(Vec<T> x) {
  if constexpr (F == Function::silu) {
    const Vec<T> s = sigmoid<T>(x);
    return s * (T(1) + x * (T(1) - s));
  }
  if constexpr (F == Function::tanh) {
    const Vec<T> t = hyperbolic_tangent<T>(x);
    return T(1) - t * t;
  }
  if constexpr (F == Function::sigmoid) {
    const Vec<T> s = sigmoid<T>(x);
    return s * (T(1) - s);
  }
  if constexpr (F == Function::inverse) {
    const Vec<T> y = T(1) / (T(1) + x);
    return -y * y;
  }
  if constexpr (F == Function::softplus) return sigmoid<T>(x);
  return Vec<T>{} + T(1);
}

}  // namespace
}  // namespace e3md::kernels::E3MD_ISA

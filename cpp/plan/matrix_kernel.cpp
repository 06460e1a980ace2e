#include "plan/matrix_kernel.h"

#include "common/simd.h"

namespace e3md::kernels::E3MD_ISA {
namespace {

constexpr int kRows = 6;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kVectors = 4;  // with kRows sums each: 24 of 32 registers
#else
constexpr int kVectors = 2;  // 12 of 16
#endif

/// R rows of y, N vectors of columns from `weight` on.
template <class T, int R, int N, bool FULL>
void tile(const T* weight, const Matrix<T>& w, T scale, T keep, Rows<const T> x, Rows<T> y,
          int lanes) {
  using Columns = Tile<T, N, FULL>;
  Columns sum[R]{};
  for (int64_t k = 0; k < w.n_in; ++k) {
    const Columns row = Columns::load(weight + k * w.n_out, lanes);
    for (int r = 0; r < R; ++r) sum[r].add(x.data[r * x.stride + k], row);
  }
  for (int r = 0; r < R; ++r) {
    T* to = y.data + r * y.stride;
    Columns result{};
    if (keep != T(0)) {
      result.add(keep, Columns::load(to, lanes));
    }
    result.add(scale, sum[r]);
    result.store(to, lanes);
  }
}

template <class T, int N, bool FULL>
void columns(int64_t first, const Matrix<T>& w, T scale, T keep, Rows<const T> x, Rows<T> y,
             int64_t n, int lanes) {
  const T* weight = w.values + first;
  y.data += first;
  for (; n >= kRows; n -= kRows, x.data += kRows * x.stride, y.data += kRows * y.stride)
    tile<T, kRows, N, FULL>(weight, w, scale, keep, x, y, lanes);
  for (; n > 0; --n, x.data += x.stride, y.data += y.stride)
    tile<T, 1, N, FULL>(weight, w, scale, keep, x, y, lanes);
}

template <class T>
void multiply(const Matrix<T>& w, T scale, T keep, Rows<const T> x, Rows<T> y, int64_t n) {
  constexpr int kWidth = Simd<T>::kWidth;
  int64_t c = 0;
  for (; c + kVectors * kWidth <= w.n_out; c += kVectors * kWidth)
    columns<T, kVectors, true>(c, w, scale, keep, x, y, n, 0);
  for (; c + kWidth <= w.n_out; c += kWidth) columns<T, 1, true>(c, w, scale, keep, x, y, n, 0);
  if (c < w.n_out) columns<T, 1, false>(c, w, scale, keep, x, y, n, static_cast<int>(w.n_out - c));
}

}  // namespace

MatrixLoops<float> matrix_loops_f32() { return {multiply<float>}; }
MatrixLoops<double> matrix_loops_f64() { return {multiply<double>}; }

}  // namespace e3md::kernels::E3MD_ISA

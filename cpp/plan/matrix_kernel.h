#pragma once
#include <cstdint>

#include "plan/row_kernels.h"

// Products of a few rows with a matrix that stays, compiled once per instruction set. BLAS takes as
// long again for its preparations where rows are few, and leaves half of AVX-512 unused on some
// CPUs.

namespace e3md::kernels {

template <class T>
struct Matrix {
  const T* values;  ///< (n_in, n_out)
  int64_t n_in, n_out;
};

template <class T>
struct MatrixLoops {
  /// y = keep y + scale x W, for n rows.
  void (*multiply)(const Matrix<T>& w, T scale, T keep, Rows<const T> x, Rows<T> y, int64_t n);
};

#define E3MD_DECLARE(isa)                 \
  namespace isa {                         \
  MatrixLoops<float> matrix_loops_f32();  \
  MatrixLoops<double> matrix_loops_f64(); \
  }
E3MD_DECLARE(baseline)
E3MD_DECLARE(avx2)
E3MD_DECLARE(avx512)
#undef E3MD_DECLARE

}  // namespace e3md::kernels

#pragma once
#include <cstdint>
#include <vector>

#include "irreps_linear/map.h"

// The BLAS inside libtorch.
extern "C" {
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*,
            const float*, const int*, const float*, const int*, const float*, float*, const int*);
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*,
            const double*, const int*, const double*, const int*, const double*, double*,
            const int*);
}

namespace e3md {

inline void gemm(const char* a_form, const char* b_form, int m, int n, int k, float scale,
                 const float* a, int lda, const float* b, int ldb, float keep, float* c, int ldc) {
  sgemm_(a_form, b_form, &m, &n, &k, &scale, a, &lda, b, &ldb, &keep, c, &ldc);
}

inline void gemm(const char* a_form, const char* b_form, int m, int n, int k, double scale,
                 const double* a, int lda, const double* b, int ldb, double keep, double* c,
                 int ldc) {
  dgemm_(a_form, b_form, &m, &n, &k, &scale, a, &lda, b, &ldb, &keep, c, &ldc);
}

/// All blocks for n rows of one species: out = keep * out + scale * x W. Called by one of several
/// threads, never by one on behalf of all: BLAS would then share every small product among them, at
/// many times its cost.
template <class T>
void multiply(const std::vector<IrrepsBlock>& blocks, bool transposed, int64_t species, int64_t n,
              const T* x, int64_t x_stride, T* out, int64_t out_stride, T keep = T(0)) {
  for (const IrrepsBlock& b : blocks)
    for (int64_t m = 0; m < b.n_m && b.weight.numel() > 0; ++m) {
      const int c_in = static_cast<int>(b.c_in), c_out = static_cast<int>(b.c_out);
      const int64_t at_in = b.in_offset + m * c_in, at_out = b.out_offset + m * c_out;
      gemm(transposed ? "T" : "N", "N", transposed ? c_in : c_out, static_cast<int>(n),
           transposed ? c_out : c_in, static_cast<T>(b.scale),
           b.weight.const_data_ptr<T>() + species * b.c_in * b.c_out, c_out,
           x + (transposed ? at_out : at_in), static_cast<int>(x_stride), keep,
           out + (transposed ? at_in : at_out), static_cast<int>(out_stride));
    }
}

}  // namespace e3md

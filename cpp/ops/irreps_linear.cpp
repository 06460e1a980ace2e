// irreps_linear on the CPU: one matrix product for each component of each irrep, straight between
// the rows of features, without copies. The schema is in register_inference.cpp.
#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "edges.h"

// The BLAS inside libtorch.
extern "C" {
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*,
            const float*, const int*, const float*, const int*, const float*, float*, const int*);
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*,
            const double*, const int*, const double*, const int*, const double*, double*,
            const int*);
}

namespace e3md {

using at::Tensor;

namespace {

/// One irrep: between rows of x [in_offset, n_m * c_in) and rows of the result
/// [out_offset, n_m * c_out), both (n_m, channels), by scale * weight (c_in, c_out).
struct Block {
  int64_t in_offset, n_m, out_offset, c_in, c_out;
  double scale;
  Tensor weight;
};

std::vector<Block> read_blocks(at::TensorList weights, at::ArrayRef<double> scales,
                               at::IntArrayRef numbers) {
  TORCH_CHECK(numbers.size() == 3 * weights.size() && scales.size() == weights.size(),
              "irreps_linear: expected a scale and three numbers for each weight");
  std::vector<Block> blocks;
  for (size_t k = 0; k < weights.size(); ++k) {
    TORCH_CHECK(weights[k].dim() == 2, "irreps_linear: weights must be matrices");
    blocks.push_back({numbers[3 * k], numbers[3 * k + 1], numbers[3 * k + 2], weights[k].size(0),
                      weights[k].size(1), scales[k], weights[k].contiguous()});
  }
  return blocks;
}

void gemm(bool transposed, int m, int n, int k, float scale, const float* a, int lda,
          const float* b, int ldb, float* c, int ldc) {
  const float zero = 0;
  sgemm_(transposed ? "T" : "N", "N", &m, &n, &k, &scale, a, &lda, b, &ldb, &zero, c, &ldc);
}

void gemm(bool transposed, int m, int n, int k, double scale, const double* a, int lda,
          const double* b, int ldb, double* c, int ldc) {
  const double zero = 0;
  dgemm_(transposed ? "T" : "N", "N", &m, &n, &k, &scale, a, &lda, b, &ldb, &zero, c, &ldc);
}

/// Bytes of rows handled together: all components of an atom while they are in the cache.
constexpr int64_t kChunkBytes = 1 << 20;

/// All blocks for n rows.
template <class T>
void multiply(const std::vector<Block>& blocks, bool transposed, int64_t n, const T* x,
              int64_t dim_in, T* out, int64_t dim_out) {
  for (const Block& b : blocks)
    for (int64_t m = 0; m < b.n_m; ++m) {
      const int c_in = static_cast<int>(b.c_in), c_out = static_cast<int>(b.c_out);
      const int64_t at_in = b.in_offset + m * c_in, at_out = b.out_offset + m * c_out;
      gemm(transposed, transposed ? c_in : c_out, static_cast<int>(n), transposed ? c_out : c_in,
           static_cast<T>(b.scale), b.weight.const_data_ptr<T>(), c_out,
           x + (transposed ? at_out : at_in), static_cast<int>(dim_in),
           out + (transposed ? at_in : at_out), static_cast<int>(dim_out));
    }
}

template <class T>
void multiply_all(const std::vector<Block>& blocks, bool transposed, int64_t n, const T* x,
                  int64_t dim_in, T* out, int64_t dim_out) {
  const int64_t bytes = sizeof(T) * (dim_in + dim_out);
  const int64_t chunk = std::max<int64_t>(64, kChunkBytes / bytes);
  const int n_threads = loop_threads();
#pragma omp parallel for schedule(dynamic) num_threads(n_threads) if (n_threads > 1 && n > chunk)
  for (int64_t row = 0; row < n; row += chunk)
    multiply(blocks, transposed, std::min(chunk, n - row), x + row * dim_in, dim_in,
             out + row * dim_out, dim_out);
}

Tensor irreps_linear(const Tensor& x_, at::TensorList weights, at::ArrayRef<double> scales,
                     at::IntArrayRef numbers, int64_t dim_out, bool transposed) {
  const Tensor x = x_.contiguous();
  TORCH_CHECK(x.dim() == 2, "irreps_linear: x must be (n, dim_in), not ", x.sizes());
  const auto blocks = read_blocks(weights, scales, numbers);
  int64_t covered = 0;
  for (const Block& b : blocks) {
    covered += b.n_m * (transposed ? b.c_in : b.c_out);
    TORCH_CHECK(b.in_offset >= 0 && b.out_offset >= 0 &&
                    b.in_offset + b.n_m * b.c_in <= (transposed ? dim_out : x.size(1)) &&
                    b.out_offset + b.n_m * b.c_out <= (transposed ? x.size(1) : dim_out),
                "irreps_linear: a block lies outside of the rows");
    TORCH_CHECK(b.weight.scalar_type() == x.scalar_type(),
                "irreps_linear: x and weights must have one dtype");
  }
  Tensor out = covered == dim_out ? at::empty({x.size(0), dim_out}, x.options())
                                  : at::zeros({x.size(0), dim_out}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "irreps_linear", [&] {
    multiply_all(blocks, transposed, x.size(0), x.const_data_ptr<scalar_t>(), x.size(1),
                 out.mutable_data_ptr<scalar_t>(), dim_out);
  });
  return out;
}

Tensor irreps_linear_meta(const Tensor& x, at::TensorList, at::ArrayRef<double>, at::IntArrayRef,
                          int64_t dim_out, bool) {
  return x.new_empty({x.size(0), dim_out});
}

}  // namespace

TORCH_LIBRARY_IMPL(e3md, CPU, m) { m.impl("irreps_linear", irreps_linear); }
TORCH_LIBRARY_IMPL(e3md, Meta, m) { m.impl("irreps_linear", irreps_linear_meta); }

}  // namespace e3md

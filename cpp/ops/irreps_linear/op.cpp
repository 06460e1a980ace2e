// irreps_linear on the CPU: one matrix product for each component of each irrep, straight between
// the rows of features, without copies. The schemas are in register_linear.cpp.
#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "common/edges.h"
#include "common/table.h"
#include "irreps_linear/map.h"
#include "irreps_linear/multiply.h"

namespace e3md {

using at::Tensor;

namespace {

using Blocks = std::vector<IrrepsBlock>;

/// Rows sorted by species: `begin` of each in `order`. Without types all rows are of one species.
struct Rows {
  std::vector<int64_t> begin;
  Tensor order;

  Rows(const std::optional<Tensor>& types, int64_t n_species, int64_t n) {
    if (!types) {
      begin = {0, n};
      return;
    }
    const Tensor contiguous = types->contiguous();
    check_types("irreps_linear", contiguous, n_species);
    const int64_t* type = contiguous.const_data_ptr<int64_t>();
    begin.assign(n_species + 1, 0);
    for (int64_t i = 0; i < n; ++i) ++begin[type[i] + 1];
    for (int64_t s = 0; s < n_species; ++s) begin[s + 1] += begin[s];
    order = at::empty({n}, types->options());
    std::vector<int64_t> next(begin.begin(), begin.end() - 1);
    for (int64_t i = 0; i < n; ++i) order.mutable_data_ptr<int64_t>()[next[type[i]]++] = i;
  }

  int64_t n_species() const { return static_cast<int64_t>(begin.size()) - 1; }
  Tensor sort(const Tensor& x) const { return order.defined() ? x.index_select(0, order) : x; }
};

/// Bytes of rows handled together: all components of an atom while they are in the cache.
constexpr int64_t kChunkBytes = 1 << 20;

template <class T>
void multiply_all(const Blocks& blocks, bool transposed, const Rows& rows, const T* x,
                  int64_t dim_in, T* out, int64_t dim_out) {
  const int64_t most =
      kChunkBytes / (static_cast<int64_t>(sizeof(T)) * std::max<int64_t>(1, dim_in + dim_out));
  const int n_threads = loop_threads();
  for (int64_t s = 0; s < rows.n_species(); ++s) {
    const int64_t begin = rows.begin[s], end = rows.begin[s + 1];
    const int64_t share = n_threads > 1 ? (end - begin) / n_threads + 1 : most;
    const int64_t chunk = std::max<int64_t>(64, std::min(most, share));
#pragma omp parallel for schedule(dynamic) num_threads(n_threads) if (n_threads > 1)
    for (int64_t row = begin; row < end; row += chunk)
      multiply(blocks, transposed, s, std::min(chunk, end - row), x + row * dim_in, dim_in,
               out + row * dim_out, dim_out);
  }
}

Tensor irreps_linear(const Tensor& x_, at::TensorList weights, at::ArrayRef<double> scales,
                     at::IntArrayRef numbers, int64_t dim_out, bool transposed,
                     const std::optional<Tensor>& types) {
  check_rows_and_types(x_, types);
  const int64_t dim_in = x_.size(1);
  const IrrepsMap map(weights, scales, numbers, types.has_value(), x_.scalar_type(),
                      transposed ? dim_out : dim_in, transposed ? dim_in : dim_out);
  const Rows rows(types, map.n_species, x_.size(0));
  const Tensor x = rows.sort(x_).contiguous();
  Tensor out = written_once(map.blocks, transposed, dim_out)
                   ? at::empty({x.size(0), dim_out}, x.options())
                   : at::zeros({x.size(0), dim_out}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "irreps_linear", [&] {
    multiply_all(map.blocks, transposed, rows, x.const_data_ptr<scalar_t>(), dim_in,
                 out.mutable_data_ptr<scalar_t>(), dim_out);
  });
  return rows.order.defined() ? at::empty_like(out).index_copy_(0, rows.order, out) : out;
}

/// Adds x^T g of one block and one species to `to`, (c_in, c_out).
template <class T>
void outer(const IrrepsBlock& b, int64_t n, const T* x, int64_t dim_in, const T* g, int64_t dim_out,
           T* to) {
  const int c_in = static_cast<int>(b.c_in), c_out = static_cast<int>(b.c_out);
  for (int64_t m = 0; m < b.n_m && n > 0 && b.weight.numel() > 0; ++m)
    gemm("N", "T", c_out, c_in, static_cast<int>(n), static_cast<T>(b.scale),
         g + b.out_offset + m * c_out, static_cast<int>(dim_out), x + b.in_offset + m * c_in,
         static_cast<int>(dim_in), T(1), to, c_out);
}

template <class T>
void outer_all(const Blocks& blocks, const Rows& rows, const Tensor& x, const Tensor& g,
               const std::vector<Tensor>& found) {
  const int64_t n_species = rows.n_species();
  const int64_t n_tasks = n_species * static_cast<int64_t>(blocks.size());
  const int n_threads = loop_threads();
#pragma omp parallel for schedule(dynamic) num_threads(n_threads) if (n_threads > 1)
  for (int64_t task = 0; task < n_tasks; ++task) {
    const int64_t s = task % n_species, k = task / n_species, begin = rows.begin[s];
    const IrrepsBlock& b = blocks[k];
    outer(b, rows.begin[s + 1] - begin, x.const_data_ptr<T>() + begin * x.size(1), x.size(1),
          g.const_data_ptr<T>() + begin * g.size(1), g.size(1),
          found[k].mutable_data_ptr<T>() + s * b.c_in * b.c_out);
  }
}

/// Derivatives of sum(g * irreps_linear(x)) to the weights.
std::vector<Tensor> irreps_linear_weights(const Tensor& x_, const Tensor& g_,
                                          at::TensorList weights, at::ArrayRef<double> scales,
                                          at::IntArrayRef numbers,
                                          const std::optional<Tensor>& types) {
  check_rows_and_types(x_, types);
  TORCH_CHECK(g_.dim() == 2 && x_.size(0) == g_.size(0),
              "irreps_linear_weights: x and g must be (n, dim_in) and (n, dim_out)");
  TORCH_CHECK(g_.scalar_type() == x_.scalar_type(),
              "irreps_linear_weights: x and g must have one dtype");
  const IrrepsMap map(weights, scales, numbers, types.has_value(), x_.scalar_type(), x_.size(1),
                      g_.size(1));
  const Rows rows(types, map.n_species, x_.size(0));
  const Tensor x = rows.sort(x_).contiguous(), g = rows.sort(g_).contiguous();
  std::vector<Tensor> found;
  for (const IrrepsBlock& b : map.blocks) found.push_back(at::zeros(b.weight.sizes(), x.options()));
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "irreps_linear_weights",
                             [&] { outer_all<scalar_t>(map.blocks, rows, x, g, found); });
  return found;
}

Tensor irreps_linear_meta(const Tensor& x, at::TensorList, at::ArrayRef<double>, at::IntArrayRef,
                          int64_t dim_out, bool, const std::optional<Tensor>&) {
  return x.new_empty({x.size(0), dim_out});
}

std::vector<Tensor> irreps_linear_weights_meta(const Tensor& x, const Tensor&,
                                               at::TensorList weights, at::ArrayRef<double>,
                                               at::IntArrayRef, const std::optional<Tensor>&) {
  std::vector<Tensor> found;
  for (const Tensor& w : weights) found.push_back(x.new_empty(w.sizes()));
  return found;
}

}  // namespace

TORCH_LIBRARY_IMPL(e3md, CPU, m) {
  m.impl("irreps_linear", irreps_linear);
  m.impl("irreps_linear_weights", irreps_linear_weights);
}

TORCH_LIBRARY_IMPL(e3md, Meta, m) {
  m.impl("irreps_linear", irreps_linear_meta);
  m.impl("irreps_linear_weights", irreps_linear_weights_meta);
}

}  // namespace e3md

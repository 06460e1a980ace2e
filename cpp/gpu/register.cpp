// Kernels of a GPU as ops, and what tests without one and benchmarks ask of them.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "gpu/edge_conv_radial.h"
#include "gpu/specialise.h"
#include "gpu/specialise_product.h"
#include "gpu/symmetric_contraction.h"

namespace e3md::gpu {
namespace {

std::tuple<std::string, at::Tensor, bool> edge_conv_radial_text(at::TensorList tables, bool solid,
                                                                int64_t dim_in, int64_t dim_out,
                                                                int64_t n_gradients, bool float64) {
  const Specialised made =
      specialise(RadialTables(tables), solid, dim_in, dim_out, n_gradients, float64);
  constexpr int64_t kFields = sizeof(Launch) / sizeof(int64_t);
  const auto n = static_cast<int64_t>(made.launches.size());
  at::Tensor launches = at::empty({n, kFields}, at::kLong);
  const auto* first = reinterpret_cast<const int64_t*>(made.launches.data());
  std::copy(first, first + n * kFields, launches.mutable_data_ptr<int64_t>());
  return {made.text, launches, made.fills};
}

std::string symmetric_contraction_text(const at::Tensor& a, at::TensorList weights,
                                       at::TensorList tables, int64_t n_rows) {
  const ProductTables checked(tables, ProductSizes(a, weights, n_rows));
  return specialise_product(checked, a.size(1), a.size(2), n_rows, a.scalar_type() == at::kDouble)
      .text;
}

}  // namespace

TORCH_LIBRARY(e3md_gpu, m) {
  // Text of the kernels of edge_conv_radial for one convolution; calls of them, rows of Launch; and
  // whether these write every column of the results.
  m.def(
      "edge_conv_radial_text(Tensor[] tables, bool solid, int dim_in, int dim_out, "
      "int n_gradients, bool float64) -> (str, Tensor, bool)",
      edge_conv_radial_text);
  // Text of the kernels of symmetric_contraction for such arguments.
  m.def(
      "symmetric_contraction_text(Tensor a, Tensor[] weights, Tensor[] tables, int n_rows) -> str",
      symmetric_contraction_text);
  // The ops of e3md of these names by the driver that is found, wherever it has its memory: an
  // emulated one has it on the host.
  m.def(
      "edge_conv_radial(Tensor h, Tensor edge_vec, Tensor types, Tensor edge_index, "
      "Tensor[] tables, bool solid, int n_local, int dim_out) -> Tensor",
      edge_conv_radial);
  m.def(
      "edge_conv_radial_grad(Tensor g, Tensor h, Tensor edge_vec, Tensor types, "
      "Tensor edge_index, Tensor[] tables, bool solid, bool need_h) -> (Tensor, Tensor)",
      edge_conv_radial_grad);
  m.def(
      "symmetric_contraction(Tensor a, Tensor types, Tensor[] weights, Tensor[] tables, "
      "int n_rows) -> Tensor",
      symmetric_contraction);
  m.def(
      "symmetric_contraction_grad(Tensor g, Tensor a, Tensor types, Tensor[] weights, "
      "Tensor[] tables) -> Tensor",
      symmetric_contraction_grad);
}

TORCH_LIBRARY_IMPL(e3md, CUDA, m) {
  m.impl("edge_conv_radial", edge_conv_radial);
  m.impl("edge_conv_radial_grad", edge_conv_radial_grad);
  m.impl("symmetric_contraction", symmetric_contraction);
  m.impl("symmetric_contraction_grad", symmetric_contraction_grad);
}

}  // namespace e3md::gpu

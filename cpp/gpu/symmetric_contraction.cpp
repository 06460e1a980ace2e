#include "gpu/symmetric_contraction.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "common/reference.h"
#include "gpu/product_problem.h"
#include "gpu/runtime.h"
#include "gpu/specialise.h"
#include "gpu/specialise_product.h"

namespace e3md::gpu {
namespace {

using at::Tensor;

/// A product basis on one GPU.
struct ProductKernels {
  int64_t n_together;
  std::shared_ptr<const Module> module;
  Tensor coefficients;  ///< (n_species, n_terms, n_channels)
};

std::shared_ptr<const ProductKernels> make_product(const Tensor& a, at::TensorList weights,
                                                   at::TensorList list, int64_t n_rows) {
  const std::vector<Tensor> host = on_host(list);
  const ProductTables tables(host, ProductSizes(a, weights, n_rows));
  const auto made =
      specialise_product(tables, a.size(1), a.size(2), n_rows, a.scalar_type() == at::kDouble);
  return std::make_shared<ProductKernels>(
      ProductKernels{made.n_together, module_of(made.text, index_of(a)),
                     product_coefficients(at::cat(weights, 1).detach(), tables)});
}

std::shared_ptr<const ProductKernels> kernels_of(const Tensor& a, at::TensorList weights,
                                                 at::TensorList tables, int64_t n_rows) {
  static Kept<ProductKernels> kept;
  std::vector<Tensor> of(tables.begin(), tables.end());
  of.insert(of.end(), weights.begin(), weights.end());
  const Key key(of, {a.size(1), a.size(2), n_rows, index_of(a)});
  return kept.get(key, [&] { return make_product(a, weights, tables, n_rows); });
}

template <class T, class Set>
void run(const char* kernel, const Tensor& a, const Tensor& types, const ProductKernels& kernels,
         Set set) {
  if (a.size(0) == 0 || a.size(2) == 0) return;
  const Tensor order = at::argsort(types);
  ProductProblem<T> p{};
  p.a = a.const_data_ptr<T>();
  p.coefficients = kernels.coefficients.const_data_ptr<T>();
  p.types = integers(types);
  p.order = integers(order);
  p.n_atoms = a.size(0);
  p.n_species = kernels.coefficients.size(0);
  p.n_terms = kernels.coefficients.size(1);
  set(p);
  const int64_t of_block = kWarps * kernels.n_together;
  kernels.module->launch(kernel, static_cast<unsigned>((p.n_atoms + of_block - 1) / of_block),
                         static_cast<unsigned>((a.size(2) + 31) / 32), 32 * kWarps, &p,
                         current_stream(a));
}

}  // namespace

Tensor symmetric_contraction(const Tensor& a_, const Tensor& types_, at::TensorList weights,
                             at::TensorList tables, int64_t n_rows) {
  const Tensor a = a_.contiguous(), types = types_.contiguous();
  check_shapes(a, types, weights);
  const auto kernels = kernels_of(a, weights, tables, n_rows);
  Tensor out = at::empty({a.size(0), n_rows, a.size(2)}, a.options());
  AT_DISPATCH_FLOATING_TYPES(a.scalar_type(), "symmetric_contraction", [&] {
    run<scalar_t>("forward", a, types, *kernels,
                  [&](ProductProblem<scalar_t>& p) { p.out = out.mutable_data_ptr<scalar_t>(); });
  });
  return out;
}

Tensor symmetric_contraction_grad(const Tensor& g_, const Tensor& a_, const Tensor& types_,
                                  at::TensorList weights, at::TensorList tables) {
  const Tensor g = g_.contiguous(), a = a_.contiguous(), types = types_.contiguous();
  check_shapes(a, types, weights);
  TORCH_CHECK(g.dim() == 3 && g.size(0) == a.size(0) && g.size(2) == a.size(2) &&
                  g.scalar_type() == a.scalar_type(),
              "symmetric_contraction_grad: g must be (n_atoms, n_rows, n_channels), as a");
  const auto kernels = kernels_of(a, weights, tables, g.size(1));
  Tensor grad = at::empty(a.sizes(), a.options());
  AT_DISPATCH_FLOATING_TYPES(a.scalar_type(), "symmetric_contraction_grad", [&] {
    run<scalar_t>("backward", a, types, *kernels, [&](ProductProblem<scalar_t>& p) {
      p.g = g.const_data_ptr<scalar_t>();
      p.grad_a = grad.mutable_data_ptr<scalar_t>();
    });
  });
  return grad;
}

}  // namespace e3md::gpu

// symmetric_contraction on the CPU: the program of products, coefficients per species, and
// the loop over atoms. The schemas are in register_contraction.cpp.
#include "symmetric_contraction/op.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <omp.h>
#include <torch/library.h>

#include <optional>
#include <tuple>
#include <vector>

#include "common/edges.h"
#include "symmetric_contraction/program.h"

namespace e3md {

using at::Tensor;

namespace {

using kernels::ProductLoops;
using kernels::ProductProblem;
using kernels::ProductTraining;

/// Atoms of each species.
std::vector<std::vector<int64_t>> by_species(const Tensor& types, int64_t n_species) {
  std::vector<std::vector<int64_t>> atoms(n_species);
  const int64_t* type = types.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < types.size(0); ++i) atoms[type[i]].push_back(i);
  return atoms;
}

/// The other way: derivatives to coefficients, as above, to derivatives to the weights, added.
template <class T>
void to_weights(const ProductArguments& arguments, int64_t species, int64_t lanes,
                const std::vector<T>& from, const std::vector<Tensor>& weights) {
  const int64_t n_channels = arguments.a.size(2), n_terms = arguments.tables.terms.size();
  const Table<ProductEntry>& entries = arguments.tables.entries;
  const double* value = arguments.tables.values.const_data_ptr<double>();
  for (int64_t k = 0; k < entries.size(); ++k) {
    const auto& [which, row] = arguments.weight_at[entries[k].weight];
    T* to = weights[which].mutable_data_ptr<T>() +
            (species * weights[which].size(1) + row) * n_channels;
    for (int64_t c = 0; c < n_channels; ++c)
      to[c] += static_cast<T>(value[k]) *
               from[(c / lanes * n_terms + entries[k].term) * lanes + c % lanes];
  }
}

/// Runs `body(problem, begin, end, scratch)` over all atoms, one species after another.
template <class T, class Body>
void for_atoms(const ProductArguments& arguments, int64_t n_rows, Body body) {
  constexpr int64_t kChunk = 64;
  const int64_t n_components = arguments.a.size(1);
  const NestedProgram program(arguments.tables.terms, n_rows);
  const auto atoms = by_species(arguments.types, arguments.n_species());
  for (int64_t species = 0; species < arguments.n_species(); ++species) {
    const int64_t n_atoms = static_cast<int64_t>(atoms[species].size());
    if (n_atoms == 0) continue;
    const auto p = coefficients<T>(arguments, species, product_loops<T>().lanes);
    const auto problem = problem_of(arguments, program, p, atoms[species].data(),
                                    static_cast<int64_t>(atoms[species].size()));
    const int n_threads = loop_threads();
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
      std::vector<T> scratch(kernels::product_scratch_size<T>(n_components, n_rows));
#pragma omp for schedule(dynamic)
      for (int64_t begin = 0; begin < n_atoms; begin += kChunk)
        body(problem, begin, std::min(n_atoms, begin + kChunk), scratch.data());
    }
  }
}

Tensor symmetric_contraction(const Tensor& a, const Tensor& types, at::TensorList weights,
                             at::TensorList tables, int64_t n_rows) {
  const ProductArguments arguments(a, types, weights, tables, n_rows);
  Tensor out = at::empty({a.size(0), n_rows, a.size(2)}, a.options());
  AT_DISPATCH_FLOATING_TYPES(a.scalar_type(), "symmetric_contraction", [&] {
    auto* result = out.mutable_data_ptr<scalar_t>();
    for_atoms<scalar_t>(arguments, n_rows,
                        [&](const auto& problem, int64_t begin, int64_t end, scalar_t* scratch) {
                          product_loops<scalar_t>().evaluate(problem, result, begin, end, scratch);
                        });
  });
  return out;
}

/// Gradient to a; `a` empty of atoms gives an empty one.
Tensor symmetric_contraction_grad(const Tensor& g_, const Tensor& a, const Tensor& types,
                                  at::TensorList weights, at::TensorList tables) {
  const Tensor g = g_.contiguous();
  TORCH_CHECK(g.dim() == 3, "symmetric_contraction: g must be (n_atoms, n_rows, n_channels)");
  const ProductArguments arguments(a, types, weights, tables, g.size(1));
  TORCH_CHECK(
      g.size(0) == a.size(0) && g.size(2) == a.size(2) && g.scalar_type() == a.scalar_type(),
      "symmetric_contraction_grad: g must be (n_atoms, n_rows, n_channels), as a");
  Tensor grad = at::empty(a.sizes(), a.options());
  AT_DISPATCH_FLOATING_TYPES(a.scalar_type(), "symmetric_contraction_grad", [&] {
    const auto* cotangent = g.const_data_ptr<scalar_t>();
    auto* result = grad.mutable_data_ptr<scalar_t>();
    for_atoms<scalar_t>(arguments, g.size(1),
                        [&](const auto& problem, int64_t begin, int64_t end, scalar_t* scratch) {
                          product_loops<scalar_t>().differentiate(problem, cotangent, result, begin,
                                                                  end, scratch);
                        });
  });
  return grad;
}

/// Chunks of atoms handed to threads in turn, each thread with coefficients of its own: the sums
/// depend on the number of threads alone.
template <class T>
void train_species(const ProductProblem<T>& problem, const ProductTraining<T>& shared,
                   std::vector<T>& coefficients) {
  constexpr int64_t kChunk = 16;
  const int n_threads = loop_threads();
  std::vector<std::vector<T>> own(n_threads, std::vector<T>(coefficients.size()));
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
  {
    std::vector<T> scratch(
        kernels::product_scratch_size<T>(problem.n_components, problem.program.n_rows));
    ProductTraining<T> training = shared;
    training.coefficients = own[omp_get_thread_num()].data();
#pragma omp for schedule(static, 1)
    for (int64_t begin = 0; begin < problem.n_atoms; begin += kChunk)
      product_loops<T>().train(problem, training, begin, std::min(problem.n_atoms, begin + kChunk),
                               scratch.data());
  }
  for (const std::vector<T>& part : own)
    for (size_t k = 0; k < part.size(); ++k) coefficients[k] += part[k];
}

/// weights: gradients, added to; none: not wanted.
template <class T>
void train_all(const ProductArguments& arguments, const Tensor& g,
               const std::optional<Tensor>& a_dot, const Tensor& to_g, const Tensor& to_a,
               const std::vector<Tensor>& weights) {
  const int64_t n_rows = g.size(1);
  const NestedProgram program(arguments.tables.terms, n_rows);
  const auto atoms = by_species(arguments.types, arguments.n_species());
  const ProductTraining<T> training{a_dot.has_value(),
                                    !weights.empty(),
                                    g.const_data_ptr<T>(),
                                    a_dot ? a_dot->const_data_ptr<T>() : nullptr,
                                    to_g.mutable_data_ptr<T>(),
                                    to_a.mutable_data_ptr<T>(),
                                    nullptr};
  const int64_t lanes = product_loops<T>().lanes;
  for (int64_t species = 0; species < arguments.n_species(); ++species) {
    if (atoms[species].empty()) continue;
    const auto p = coefficients<T>(arguments, species, lanes);
    std::vector<T> to_p(weights.empty() ? 0 : p.size());
    train_species(problem_of(arguments, program, p, atoms[species].data(),
                             static_cast<int64_t>(atoms[species].size())),
                  training, to_p);
    if (!weights.empty()) to_weights(arguments, species, lanes, to_p, weights);
  }
}

std::tuple<Tensor, Tensor, std::vector<Tensor>> symmetric_contraction_train(
    const Tensor& g_, const Tensor& a, const Tensor& types, at::TensorList weights,
    at::TensorList tables, const std::optional<Tensor>& a_dot_, bool need_weights) {
  const Tensor g = g_.contiguous();
  TORCH_CHECK(g.dim() == 3, "symmetric_contraction: g must be (n_atoms, n_rows, n_channels)");
  const ProductArguments arguments(a, types, weights, tables, g.size(1));
  std::optional<Tensor> a_dot;
  if (a_dot_) a_dot = a_dot_->contiguous();
  TORCH_CHECK(
      g.size(0) == a.size(0) && g.size(2) == a.size(2) && g.scalar_type() == a.scalar_type() &&
          (!a_dot || (a_dot->scalar_type() == a.scalar_type() && a_dot->sizes() == a.sizes())),
      "symmetric_contraction_train: g must be (n_atoms, n_rows, n_channels), a_dot as a");
  TORCH_CHECK(need_weights || a_dot,
              "symmetric_contraction_train: without a_dot or gradients to the weights, "
              "symmetric_contraction_grad is meant");
  Tensor to_a = at::empty(a.sizes(), a.options());
  Tensor to_g = at::empty(a_dot ? g.sizes() : at::IntArrayRef{0}, g.options());
  std::vector<Tensor> to_w;
  if (need_weights)
    for (const Tensor& w : arguments.weights) to_w.push_back(at::zeros(w.sizes(), w.options()));
  AT_DISPATCH_FLOATING_TYPES(a.scalar_type(), "symmetric_contraction_train",
                             [&] { train_all<scalar_t>(arguments, g, a_dot, to_g, to_a, to_w); });
  return {to_g, to_a, to_w};
}

Tensor symmetric_contraction_meta(const Tensor& a, const Tensor&, at::TensorList, at::TensorList,
                                  int64_t n_rows) {
  return a.new_empty({a.size(0), n_rows, a.size(2)});
}

Tensor symmetric_contraction_grad_meta(const Tensor&, const Tensor& a, const Tensor&,
                                       at::TensorList, at::TensorList) {
  return a.new_empty(a.sizes());
}

std::tuple<Tensor, Tensor, std::vector<Tensor>> symmetric_contraction_train_meta(
    const Tensor& g, const Tensor& a, const Tensor&, at::TensorList weights, at::TensorList,
    const std::optional<Tensor>& a_dot, bool need_weights) {
  std::vector<Tensor> to_w;
  if (need_weights)
    for (const Tensor& w : weights) to_w.push_back(w.new_empty(w.sizes()));
  return {g.new_empty(a_dot ? g.sizes() : at::IntArrayRef{0}), a.new_empty(a.sizes()), to_w};
}

}  // namespace

TORCH_LIBRARY_IMPL(e3md, CPU, m) {
  m.impl("symmetric_contraction", symmetric_contraction);
  m.impl("symmetric_contraction_grad", symmetric_contraction_grad);
  m.impl("symmetric_contraction_train", symmetric_contraction_train);
}

TORCH_LIBRARY_IMPL(e3md, Meta, m) {
  m.impl("symmetric_contraction", symmetric_contraction_meta);
  m.impl("symmetric_contraction_grad", symmetric_contraction_grad_meta);
  m.impl("symmetric_contraction_train", symmetric_contraction_train_meta);
}

}  // namespace e3md

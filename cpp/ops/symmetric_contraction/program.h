#pragma once
#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/isa.h"
#include "symmetric_contraction/kernel.h"
#include "symmetric_contraction/op.h"

// From what symmetric_contraction is told to what its loops want.

namespace e3md {

template <class T>
kernels::ProductLoops<T> product_loops() {
  if constexpr (std::is_same_v<T, float>)
    return E3MD_FOR_ISA(product_loops_f32);
  else
    return E3MD_FOR_ISA(product_loops_f64);
}

/// Terms nested by their components.
struct NestedProgram {
  std::vector<int32_t> rows;
  std::vector<kernels::OuterNode> first, second;
  std::vector<kernels::InnerNode> third;

  NestedProgram(const Table<ProductTerm>& terms, int64_t n_rows) {
    int64_t row = -1, last[2] = {-1, -1};
    for (int32_t n = 0; n < terms.size(); ++n) {
      const auto& [i, j, k] = terms[n].components;
      while (row < terms[n].row) ++row, rows.push_back(size(first)), last[0] = last[1] = -1;
      if (i != last[0]) {
        first.push_back({int32_t(i), -1, size(second), size(second)});
        last[0] = i, last[1] = -1;
      }
      if (j < 0) {
        first.back().term = n;
        continue;
      }
      if (j != last[1]) {
        second.push_back({int32_t(j), -1, size(third), size(third)});
        first.back().end = size(second);
        last[1] = j;
      }
      if (k < 0) {
        second.back().term = n;
        continue;
      }
      third.push_back({int32_t(k), n});
      second.back().end = size(third);
    }
    while (row < n_rows) ++row, rows.push_back(size(first));
  }

  template <class V>
  static int32_t size(const V& vector) {
    return static_cast<int32_t>(vector.size());
  }
};

/// Arguments of all ops, checked and contiguous.
struct ProductArguments {
  at::Tensor a, types;
  std::vector<at::Tensor> weights;
  std::vector<std::pair<size_t, int64_t>> weight_at;  ///< of every weight: which tensor, which row
  ProductTables tables;

  ProductArguments(const at::Tensor& a_, const at::Tensor& types_, at::TensorList weights_,
                   at::TensorList tables_, int64_t n_rows)
      : a(a_.contiguous()),
        types(types_.contiguous()),
        tables(tables_, ProductSizes(a, weights_, n_rows)) {
    check_atoms(a, types, weights_);
    for (const at::Tensor& w : weights_) {
      weights.push_back(w.contiguous());
      for (int64_t row = 0; row < w.size(1); ++row) weight_at.emplace_back(weights.size() - 1, row);
    }
  }

  int64_t n_species() const { return weights[0].size(0); }
};

/// Coefficients of one species, (n_tiles, n_terms, lanes): weights collapsed to terms.
template <class T>
std::vector<T> coefficients(const ProductArguments& arguments, int64_t species, int64_t lanes) {
  const int64_t n_channels = arguments.a.size(2), n_terms = arguments.tables.terms.size();
  std::vector<T> result((n_channels + lanes - 1) / lanes * n_terms * lanes, T(0));
  std::vector<const T*> rows;
  for (const auto& [which, row] : arguments.weight_at) {
    const at::Tensor& weight = arguments.weights[which];
    rows.push_back(weight.template const_data_ptr<T>() +
                   (species * weight.size(1) + row) * n_channels);
  }
  const Table<ProductEntry>& entries = arguments.tables.entries;
  const double* value = arguments.tables.values.const_data_ptr<double>();
  for (int64_t begin = 0; begin < n_channels; begin += lanes) {
    T* tile = result.data() + begin * n_terms;
    const int64_t n = std::min(lanes, n_channels - begin);
    for (int64_t k = 0; k < entries.size(); ++k) {
      T* to = tile + entries[k].term * lanes;
      const T* from = rows[entries[k].weight] + begin;
      const T factor = static_cast<T>(value[k]);
      for (int64_t c = 0; c < n; ++c) to[c] += factor * from[c];
    }
  }
  return result;
}

/// For those rows of a that are given.
template <class T>
kernels::ProductProblem<T> problem_of(const ProductArguments& arguments,
                                      const NestedProgram& program,
                                      const std::vector<T>& coefficients, const int64_t* atoms,
                                      int64_t n_atoms) {
  return {{program.rows.data(), static_cast<int64_t>(program.rows.size()) - 1, program.first.data(),
           program.second.data(), program.third.data()},
          arguments.a.const_data_ptr<T>(),
          coefficients.data(),
          atoms,
          n_atoms,
          arguments.a.size(1),
          arguments.a.size(2),
          arguments.tables.terms.size()};
}

}  // namespace e3md

#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "edge_conv_kernel.h"

// The tensors paths, cg_index and cg_value of edge_conv (see register.cpp) as the loops want them.

namespace e3md::conv {

using at::Tensor;
using kernels::Path;
using kernels::Term;

inline constexpr int kPathColumns = 9;

/// The products of an op, read from its tensors and checked.
template <class T>
struct Tables {
  std::vector<Path> paths;
  std::vector<Term<T>> terms;
  int64_t max_pairs = 1;
};

/// Sizes of the rows that paths point into.
struct Widths {
  int64_t in, sh, weights, out;
};

inline void check_range(const char* what, int64_t path, int64_t begin, int64_t end, int64_t width) {
  TORCH_CHECK(begin >= 0 && end <= width, "edge_conv: path ", path, " needs columns [", begin, ", ",
              end, ") of ", what, ", which has ", width);
}

/// split: paths that join each m only to itself become one path per m.
/// One row of `paths`; entry n of `index`/`value` is C[m1, m2, m3].
template <class T>
void append_path(Tables<T>& tables, int64_t number, const int64_t* row, const int64_t* index,
                 const double* value, const Widths& widths, bool split) {
  const int64_t mul = row[6], begin = row[7], end = row[8];
  if (mul == 0 || begin == end) return;
  int64_t n_in = 0, n_sh = 0, n_out = 0;
  bool diagonal = split;
  for (int64_t n = begin; n < end; ++n) {
    const int64_t* m = index + 3 * n;
    TORCH_CHECK(m[0] >= 0 && m[1] >= 0 && m[2] >= 0, "edge_conv: cg_index[", n, "] is negative");
    n_in = std::max(n_in, m[0] + 1);
    n_sh = std::max(n_sh, m[1] + 1);
    n_out = std::max(n_out, m[2] + 1);
    diagonal = diagonal && m[0] == m[2];
  }
  TORCH_CHECK(std::max(n_in, n_out) <= kernels::kMaxComponents, "edge_conv: path ", number,
              " has more than ", kernels::kMaxComponents, " components");
  TORCH_CHECK(mul > 0 && row[1] >= 0 && row[4] >= 0, "edge_conv: path ", number,
              " has a negative mul or stride");
  check_range("h", number, row[0], row[0] + (n_in - 1) * row[1] + mul, widths.in);
  check_range("sh", number, row[2], row[2] + n_sh, widths.sh);
  check_range("the output", number, row[3], row[3] + (n_out - 1) * row[4] + mul, widths.out);
  check_range("weights", number, row[5], row[5] + mul, widths.weights);
  // A product with Y_00 joins each m only to itself: one path per m skips the zeros, and reads the
  // weights once per m.
  const int64_t n_parts = diagonal ? n_out : 1;
  for (int64_t part = 0; part < n_parts; ++part) {
    Path path{row[0] + part * row[1],
              row[1],
              row[3] + part * row[4],
              row[4],
              row[5],
              mul,
              int32_t(diagonal ? 1 : n_in),
              int32_t(diagonal ? 1 : n_out),
              int32_t(tables.terms.size()),
              0};
    for (int64_t n = begin; n < end; ++n) {
      const int64_t* m = index + 3 * n;
      if (diagonal && m[0] != part) continue;
      const int64_t pair = diagonal ? 0 : m[0] * n_out + m[2];
      tables.terms.push_back({int32_t(pair), int32_t(row[2] + m[1]), T(value[n])});
    }
    path.term_end = int32_t(tables.terms.size());
    tables.max_pairs = std::max<int64_t>(tables.max_pairs, path.n_in * path.n_out);
    tables.paths.push_back(path);
  }
}

template <class T>
Tables<T> read_tables(const Tensor& paths, const Tensor& cg_index, const Tensor& cg_value,
                      const Widths& widths, bool split = true) {
  const Tensor rows = paths.contiguous(), index = cg_index.contiguous();
  const Tensor value = cg_value.contiguous();
  const int64_t n_paths = rows.numel() / kPathColumns, n_values = value.numel();
  TORCH_CHECK(rows.scalar_type() == at::kLong && rows.numel() == n_paths * kPathColumns &&
                  (n_paths == 0 || (rows.dim() == 2 && rows.size(1) == kPathColumns)),
              "edge_conv: paths must be int64 (n_paths, 9), not ", rows.scalar_type(), " ",
              rows.sizes());
  TORCH_CHECK(index.scalar_type() == at::kLong && index.numel() == 3 * n_values,
              "edge_conv: cg_index must be int64 (", n_values, ", 3), not ", index.scalar_type(),
              " ", index.sizes());
  TORCH_CHECK(value.scalar_type() == at::kDouble, "edge_conv: cg_value must be float64, not ",
              value.scalar_type());
  Tables<T> tables;
  for (int64_t n = 0; n < n_paths; ++n) {
    const int64_t* row = rows.const_data_ptr<int64_t>() + n * kPathColumns;
    TORCH_CHECK(row[7] >= 0 && row[7] <= row[8] && row[8] <= n_values, "edge_conv: path ", n,
                " needs cg entries [", row[7], ", ", row[8], ") of ", n_values);
    append_path(tables, n, row, index.const_data_ptr<int64_t>(), value.const_data_ptr<double>(),
                widths, split);
  }
  return tables;
}

/// The same products seen from the other side: in and out change places.
template <class T>
void transpose(Tables<T>& tables) {
  for (Path& path : tables.paths) {
    for (int32_t t = path.term_begin; t < path.term_end; ++t) {
      int32_t& pair = tables.terms[t].pair;
      pair = (pair % path.n_out) * path.n_in + pair / path.n_out;
    }
    std::swap(path.in_offset, path.out_offset);
    std::swap(path.in_stride, path.out_stride);
    std::swap(path.n_in, path.n_out);
  }
}

}  // namespace e3md::conv

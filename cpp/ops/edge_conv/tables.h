#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/path_table.h"
#include "edge_conv/kernel.h"

// A PathTable as the loops want it.

namespace e3md::conv {

using at::Tensor;
using kernels::Path;
using kernels::Term;

/// The products of an op.
template <class T>
struct Tables {
  std::vector<Path> paths;
  std::vector<Term<T>> terms;
  int64_t max_pairs = 1;
};

/// split: a path that joins each m only to itself becomes one path per m. A product with Y_00 is
/// such: this skips the zeros, and reads the weights once per m.
template <class T>
void append_path(Tables<T>& tables, const PathTable& table, int64_t number, bool split) {
  const PathRow& row = table.paths[number];
  const PathTable::Extent& extent = table.extents[number];
  if (row.mul == 0 || extent.n_in == 0) return;
  const double* value = table.values.const_data_ptr<double>();
  const bool diagonal = split && extent.diagonal;
  const int64_t n_parts = diagonal ? extent.n_out : 1;
  for (int64_t part = 0; part < n_parts; ++part) {
    Path path{row.in_offset + part * row.in_stride,
              row.in_stride,
              row.out_offset + part * row.out_stride,
              row.out_stride,
              row.weight_offset,
              row.mul,
              int32_t(diagonal ? 1 : extent.n_in),
              int32_t(diagonal ? 1 : extent.n_out),
              int32_t(tables.terms.size()),
              0};
    for (int64_t n = row.cg_begin; n < row.cg_end; ++n) {
      const CouplingRow& m = table.couplings[n];
      if (diagonal && m.m_in != part) continue;
      const int64_t pair = diagonal ? 0 : m.m_in * extent.n_out + m.m_out;
      tables.terms.push_back({int32_t(pair), int32_t(row.sh_offset + m.m_sh), T(value[n])});
    }
    path.term_end = int32_t(tables.terms.size());
    tables.max_pairs = std::max<int64_t>(tables.max_pairs, path.n_in * path.n_out);
    tables.paths.push_back(path);
  }
}

template <class T>
Tables<T> read_tables(const PathTable& table, bool split = true) {
  Tables<T> tables;
  for (int64_t n = 0; n < table.paths.size(); ++n) append_path(tables, table, n, split);
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

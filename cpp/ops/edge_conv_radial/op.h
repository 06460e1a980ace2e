#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "common/path_table.h"
#include "common/table.h"
#include "edge_conv_radial/kernel.h"

namespace e3md {

/// Harmonics up to l = 4.
inline constexpr int64_t kMaxHarmonics = 25;

/// One term of the recursion of harmonics: sh[out] += value * sh[lower] * direction[component].
struct HarmonicRow {
  int64_t out, lower, component;
};

/// What edge_conv_radial is told of a convolution; the order of its argument `tables`. Checked in
/// full but for the paths, whose columns the call gives.
struct RadialTables {
  at::Tensor values;  ///< (n_tables, n_knots, n_groups, 3, 16): f, h f', h² f'' of each weight
  at::Tensor table_of_pair;      ///< (n_types, n_types) int64: table of receiver and neighbor
  double first, spacing;         ///< Å: the first knot and h, of `grid` (2) or (3) float64
  int64_t doubled;               ///< third of `grid`: the knot in two rows; kNoKnot without it
  Table<HarmonicRow> harmonics;  ///< a row is complete before another is made of it
  at::Tensor harmonic_value;     ///< (n) float64
  at::Tensor paths, cg_index, cg_value;  ///< as edge_conv's; weight_offset counts table columns
  int64_t n_harmonics;

  explicit RadialTables(at::TensorList tables);

  int64_t n_tables() const { return values.size(0); }
  int64_t n_knots() const { return values.size(1); }
  int64_t n_columns() const { return values.size(2) * values.size(4); }
  int64_t n_types() const { return table_of_pair.size(0); }

  /// For features of dim_in columns, 0: ones, and results of dim_out.
  PathTable products(int64_t dim_in, int64_t dim_out) const;
};

}  // namespace e3md

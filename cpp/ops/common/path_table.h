#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "common/table.h"

namespace e3md {

/// One product in ⊗ sh -> out, in columns of the rows of features, harmonics, weights and results.
struct PathRow {
  int64_t in_offset, in_stride;
  int64_t sh_offset;
  int64_t out_offset, out_stride;
  int64_t weight_offset;
  int64_t mul;               ///< channels; 0: no product
  int64_t cg_begin, cg_end;  ///< its couplings
};

/// One Clebsch-Gordan coefficient's components.
struct CouplingRow {
  int64_t m_in, m_sh, m_out;
};

/// Columns of the rows that paths point into.
struct Widths {
  int64_t in, sh, weights, out;
};

/// What edge_conv and edge_conv_radial are told of their products: checked in full, so that no path
/// leads outside of the rows.
struct PathTable {
  /// Components of a path on each side.
  struct Extent {
    int64_t n_in = 0, n_sh = 0, n_out = 0;
    bool diagonal = true;  ///< each m of `in` is joined only to itself
  };

  Table<PathRow> paths;
  Table<CouplingRow> couplings;
  at::Tensor values;            ///< (n_couplings) float64
  std::vector<Extent> extents;  ///< of each path

  PathTable(const at::Tensor& paths, const at::Tensor& cg_index, const at::Tensor& cg_value,
            const Widths& widths);

  /// Largest number of channels of a path.
  int64_t widest() const;

 private:
  Extent extent(int64_t number) const;
  void check_columns(int64_t number, const Widths& widths) const;
};

}  // namespace e3md

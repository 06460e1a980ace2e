#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace e3md {

/// One irrep of irreps_linear: between rows of x [in_offset, n_m * c_in) and rows of the result
/// [out_offset, n_m * c_out), both (n_m, channels), by scale * weight (c_in, c_out), of each
/// species its own where there are species.
struct IrrepsBlock {
  int64_t in_offset, n_m, out_offset, c_in, c_out;
  double scale;
  at::Tensor weight;
};

/// x must be (n, dim_in), types int64 (n).
void check_rows_and_types(const at::Tensor& x, const std::optional<at::Tensor>& types);

/// What irreps_linear is told of its irreps, checked in full: no block leads outside of the rows.
struct IrrepsMap {
  std::vector<IrrepsBlock> blocks;
  int64_t n_species = 0;  ///< of the weights; 0 where there are no species or no weights

  /// numbers: in_offset, n_m, out_offset of each weight. x is dim_in wide, the result dim_out, for
  /// weights that are not transposed; both are of `dtype`.
  IrrepsMap(at::TensorList weights, at::ArrayRef<double> scales, at::IntArrayRef numbers,
            bool by_species, at::ScalarType dtype, int64_t dim_in, int64_t dim_out);
};

/// Whether the blocks write each of the `width` columns once, so that nothing need be there before.
bool written_once(const std::vector<IrrepsBlock>& blocks, bool transposed, int64_t width);

}  // namespace e3md

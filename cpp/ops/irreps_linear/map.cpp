#include "irreps_linear/map.h"

#include <algorithm>

#include "common/table.h"

namespace e3md {
namespace {

constexpr const char* kOp = "irreps_linear";

void check_weight(int64_t n, const at::Tensor& weight, bool by_species, at::ScalarType dtype,
                  int64_t n_species) {
  TORCH_CHECK(weight.dim() == (by_species ? 3 : 2), kOp,
              ": weights must be (c_in, c_out), with types (n_species, c_in, c_out), but number ",
              n, " is ", weight.sizes());
  TORCH_CHECK(!by_species || weight.size(0) == n_species, kOp,
              ": weights must be of one number of species, but number ", n, " has ", weight.size(0),
              " and the first ", n_species);
  TORCH_CHECK(weight.scalar_type() == dtype, kOp,
              ": x and weights must have one dtype, but these "
              "are ",
              dtype, " and ", weight.scalar_type());
}

void check_columns(int64_t n, const char* side, int64_t begin, int64_t n_m, int64_t channels,
                   int64_t width) {
  check_size(kOp, "number of channels of a weight", channels, 0, kMaxColumns);
  TORCH_CHECK(begin + n_m * channels <= width, kOp, ": block ", n, " needs columns [", begin, ", ",
              begin + n_m * channels, ") of ", side, ", which has ", width);
}

}  // namespace

void check_rows_and_types(const at::Tensor& x, const std::optional<at::Tensor>& types) {
  TORCH_CHECK(x.dim() == 2, "irreps_linear: x must be (n, dim_in), not ", x.sizes());
  TORCH_CHECK(!types || (types->dim() == 1 && types->size(0) == x.size(0) &&
                         types->scalar_type() == at::kLong),
              "irreps_linear: types must be int64 (n)");
}

IrrepsMap::IrrepsMap(at::TensorList weights, at::ArrayRef<double> scales, at::IntArrayRef numbers,
                     bool by_species, at::ScalarType dtype, int64_t dim_in, int64_t dim_out) {
  TORCH_CHECK(numbers.size() == 3 * weights.size() && scales.size() == weights.size(), kOp,
              ": expected a scale and three numbers for each weight");
  check_size(kOp, "number of columns of x", dim_in, 0, kMaxColumns);
  check_size(kOp, "number of columns of the result", dim_out, 0, kMaxColumns);
  const auto n_blocks = static_cast<int64_t>(weights.size());
  if (by_species && n_blocks > 0 && weights[0].dim() > 0) n_species = weights[0].size(0);
  check_size(kOp, "number of species", n_species, 0, kMaxRows);
  for (int64_t n = 0; n < n_blocks; ++n) {
    const at::Tensor& weight = weights[n];
    check_weight(n, weight, by_species, dtype, n_species);
    const int64_t in_offset = numbers[3 * n], n_m = numbers[3 * n + 1];
    const int64_t out_offset = numbers[3 * n + 2], c_in = weight.size(-2), c_out = weight.size(-1);
    check_entry(kOp, "blocks", n, "in_offset", in_offset, 0, dim_in);
    check_entry(kOp, "blocks", n, "n_m", n_m, 0, kMaxColumns);
    check_entry(kOp, "blocks", n, "out_offset", out_offset, 0, dim_out);
    check_columns(n, "x", in_offset, n_m, c_in, dim_in);
    check_columns(n, "the result", out_offset, n_m, c_out, dim_out);
    blocks.push_back({in_offset, n_m, out_offset, c_in, c_out, scales[n], weight.contiguous()});
  }
}

bool written_once(const std::vector<IrrepsBlock>& blocks, bool transposed, int64_t width) {
  std::vector<char> written(width, 0);
  for (const IrrepsBlock& b : blocks) {
    if (b.weight.numel() == 0) continue;
    const auto first = written.begin() + (transposed ? b.in_offset : b.out_offset);
    const auto last = first + b.n_m * (transposed ? b.c_in : b.c_out);
    if (std::find(first, last, 1) != last) return false;
    std::fill(first, last, 1);
  }
  return std::find(written.begin(), written.end(), 0) == written.end();
}

}  // namespace e3md

// irreps_linear block by block, in torch operations.
#include "common/reference.h"

#include <torch/torch.h>

#include "common/table.h"
#include "irreps_linear/map.h"

namespace e3md {

using at::Tensor;

Tensor reference_irreps_linear(const Tensor& x, at::TensorList weights, at::ArrayRef<double> scales,
                               at::IntArrayRef numbers, int64_t dim_out, bool transposed,
                               const std::optional<Tensor>& types) {
  check_rows_and_types(x, types);
  const int64_t n = x.size(0), dim_in = x.size(1);
  const IrrepsMap map(weights, scales, numbers, types.has_value(), x.scalar_type(),
                      transposed ? dim_out : dim_in, transposed ? dim_in : dim_out);
  if (types) check_types("irreps_linear", types->cpu().contiguous(), map.n_species);
  Tensor out = at::zeros({n, dim_out}, x.options());
  for (const IrrepsBlock& b : map.blocks) {
    const int64_t from = transposed ? b.out_offset : b.in_offset;
    const int64_t to = transposed ? b.in_offset : b.out_offset;
    const int64_t c_from = transposed ? b.c_out : b.c_in, c_to = transposed ? b.c_in : b.c_out;
    const Tensor own = types ? b.weight.index_select(0, *types) : b.weight;
    const Tensor rows = x.narrow(1, from, b.n_m * c_from).reshape({n, b.n_m, c_from});
    const Tensor found = at::matmul(rows, transposed ? own.transpose(-1, -2) : own) * b.scale;
    const int64_t after = dim_out - to - b.n_m * c_to;
    out = out + at::constant_pad_nd(found.reshape({n, b.n_m * c_to}), {to, after});
  }
  return out;
}

}  // namespace e3md

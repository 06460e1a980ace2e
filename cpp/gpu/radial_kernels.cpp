#include "gpu/radial_kernels.h"

#include "common/reference.h"
#include "gpu/runtime.h"

namespace e3md::gpu {
namespace {

std::shared_ptr<const RadialKernels> make_radial(at::TensorList list, bool solid, int64_t dim_in,
                                                 int64_t dim_out, int64_t n_gradients) {
  std::vector<at::Tensor> host = on_host(list.slice(1));
  host.insert(host.begin(), list[0]);
  const RadialTables tables(host);
  const bool float64 = list[0].scalar_type() == at::kDouble;
  Specialised made = specialise(tables, solid, dim_in, dim_out, n_gradients, float64);
  const auto module = module_of(made.text, index_of(list[0]));
  return std::make_shared<RadialKernels>(
      RadialKernels{std::move(made), module, tables.table_of_pair.to(list[0].device()),
                    tables.first, tables.spacing, tables.doubled});
}

}  // namespace

std::shared_ptr<const RadialKernels> RadialKernels::of(at::TensorList tables, bool solid,
                                                       int64_t dim_in, int64_t dim_out,
                                                       int64_t n_gradients) {
  static Kept<RadialKernels> kept;
  TORCH_CHECK(tables.size() == 8, "edge_conv_radial: expected 8 tables, not ", tables.size());
  const at::Tensor& values = tables[0];
  TORCH_CHECK(values.dim() == 5,
              "edge_conv_radial: the table must be (tables, knots, groups, 3, "
              "16), not ",
              values.sizes());
  const Key key({tables.begin() + 1, tables.end()},
                {solid, dim_in, dim_out, n_gradients, int64_t(values.scalar_type()),
                 index_of(values), values.size(0), values.size(1), values.size(2)});
  return kept.get(key, [&] { return make_radial(tables, solid, dim_in, dim_out, n_gradients); });
}

}  // namespace e3md::gpu

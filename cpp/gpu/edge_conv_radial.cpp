#include "gpu/edge_conv_radial.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/zeros.h>

#include "gpu/radial_kernels.h"
#include "gpu/radial_problem.h"
#include "gpu/runtime.h"

namespace e3md::gpu {
namespace {

using at::Tensor;

/// One call of either op: its arguments, contiguous and of the right shapes.
class Call {
 public:
  Call(const Tensor& h, const Tensor& edge_vec, const Tensor& types, const Tensor& edge_index,
       at::TensorList tables, bool solid, int64_t n_local, int64_t dim_out)
      : h_(h.contiguous()),
        edge_vec_((edge_vec.dim() == 3 ? edge_vec.select(0, 0) : edge_vec).contiguous()),
        types_(types.contiguous()),
        edges_(edge_index.contiguous()),
        dim_out_(dim_out) {
    check(tables, n_local);
    values_ = tables[0].contiguous();
    const int64_t n_gradients = edge_vec.dim() == 3 ? edge_vec.size(0) : 1;
    kernels_ = RadialKernels::of(tables, solid, h_.size(1), dim_out, n_gradients);
    begin_ = at::searchsorted(edges_.select(0, 0), at::arange(n_local + 1, edges_.options()));
  }

  bool fills() const { return kernels_->made.fills; }

  /// set: writes where its results go, given the first columns of a launch.
  template <class T, class Set>
  void run(const char* kernel, Set set) const {
    RadialProblem<T> p = problem<T>();
    if (p.n_local == 0) return;
    const auto blocks = static_cast<unsigned>((p.n_local + kWarps - 1) / kWarps);
    const T *h = p.h, *table = p.table;
    for (const Launch& launch : kernels_->made.launches) {
      p.h = h + launch.h;
      p.table = table + launch.table;
      set(p, launch);
      kernels_->module->launch(kernel + std::to_string(launch.kernel), blocks,
                               static_cast<unsigned>(launch.n_tiles), 32 * kWarps, &p,
                               current_stream(h_));
    }
  }

 private:
  Tensor h_, edge_vec_, types_, edges_, values_, begin_;
  int64_t dim_out_;
  std::shared_ptr<const RadialKernels> kernels_;

  void check(at::TensorList tables, int64_t n_local) const {
    TORCH_CHECK(edges_.scalar_type() == at::kLong && edges_.dim() == 2 && edges_.size(0) == 2 &&
                    edge_vec_.dim() == 2 && edge_vec_.size(1) == 3 &&
                    edge_vec_.size(0) == edges_.size(1),
                "edge_conv_radial: edge_index must be int64 (2, n_edges) and edge_vec (n_edges, 3) "
                "or (n_gradients, n_edges, 3)");
    TORCH_CHECK(types_.scalar_type() == at::kLong && types_.dim() == 1 && h_.dim() == 2 &&
                    types_.size(0) == h_.size(0),
                "edge_conv_radial: types must be int64 (n_nodes) and h (n_nodes, columns), not ",
                types_.sizes(), " and ", h_.sizes());
    TORCH_CHECK(!tables.empty(), "edge_conv_radial: no tables");
    for (const Tensor& t : {edge_vec_, tables[0]})
      TORCH_CHECK(t.scalar_type() == h_.scalar_type(),
                  "edge_conv_radial: h, edge_vec and the table must have one dtype");
    for (const Tensor& t : {edge_vec_, types_, edges_, tables[0]})
      TORCH_CHECK(t.device() == h_.device(), "edge_conv_radial: tensors on ", t.device(), " and ",
                  h_.device());
    check_size("edge_conv_radial", "n_local", n_local, 0, h_.size(0));
    check_size("edge_conv_radial", "n_nodes", h_.size(0), 0, kMaxNodes);
    check_size("edge_conv_radial", "number of columns of h", h_.size(1), 0, kMaxColumns);
    check_size("edge_conv_radial", "dim_out", dim_out_, 0, kMaxColumns);
  }

  template <class T>
  RadialProblem<T> problem() const {
    const RadialKernels& k = *kernels_;
    RadialProblem<T> p{};
    p.h = h_.const_data_ptr<T>();
    p.edge_vec = edge_vec_.const_data_ptr<T>();
    p.table = values_.const_data_ptr<T>();
    p.begin = integers(begin_);
    p.receiver = integers(edges_);
    p.sender = p.receiver + edges_.size(1);
    p.types = integers(types_);
    p.table_of_pair = integers(k.table_of_pair);
    p.n_local = begin_.size(0) - 1;
    p.n_nodes = h_.size(0);
    p.n_edges = edges_.size(1);
    p.n_types = k.table_of_pair.size(0);
    p.dim_in = h_.size(1);
    p.dim_out = dim_out_;
    p.n_rows = values_.size(1);
    p.row = values_.size(2) * values_.size(3) * values_.size(4);
    p.doubled = k.doubled;
    p.first = T(k.first);
    p.inverse_spacing = T(1 / k.spacing);
    return p;
  }
};

}  // namespace

Tensor edge_conv_radial(const Tensor& h, const Tensor& edge_vec, const Tensor& types,
                        const Tensor& edge_index, at::TensorList tables, bool solid,
                        int64_t n_local, int64_t dim_out) {
  const Call call(h, edge_vec, types, edge_index, tables, solid, n_local, dim_out);
  Tensor out = call.fills() ? at::empty({n_local, dim_out}, h.options())
                            : at::zeros({n_local, dim_out}, h.options());
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "edge_conv_radial", [&] {
    auto* first = out.mutable_data_ptr<scalar_t>();
    call.run<scalar_t>("forward_", [&](RadialProblem<scalar_t>& p, const Launch& launch) {
      p.out = first + launch.out;
    });
  });
  return out;
}

std::tuple<Tensor, Tensor> edge_conv_radial_grad(const Tensor& g_, const Tensor& h,
                                                 const Tensor& edge_vec, const Tensor& types,
                                                 const Tensor& edge_index, at::TensorList tables,
                                                 bool solid, bool need_h) {
  const Tensor g = g_.contiguous();
  TORCH_CHECK(
      g.dim() == 2 && g.scalar_type() == h.scalar_type() && g.device() == h.device(),
      "edge_conv_radial_grad: g must be (n_local, dim_out), of the dtype of h and beside it");
  const Call call(h, edge_vec, types, edge_index, tables, solid, g.size(0), g.size(1));
  Tensor grad_vec = at::zeros(edge_vec.sizes(), edge_vec.options());
  Tensor grad_h = need_h ? at::zeros(h.sizes(), h.options()) : at::empty({0}, h.options());
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "edge_conv_radial_grad", [&] {
    const auto* cotangent = g.const_data_ptr<scalar_t>();
    auto* to_vec = grad_vec.mutable_data_ptr<scalar_t>();
    auto* to_h = grad_h.mutable_data_ptr<scalar_t>();
    call.run<scalar_t>("backward_", [&](RadialProblem<scalar_t>& p, const Launch& launch) {
      p.g = cotangent + launch.out;
      p.grad_vec = to_vec + launch.gradient * 3 * p.n_edges;
      p.grad_h = need_h && h.numel() > 0 ? to_h + launch.h : nullptr;
    });
  });
  return {grad_h, grad_vec};
}

}  // namespace e3md::gpu

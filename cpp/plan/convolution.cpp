// Edge convolutions with radial weights from tables: the loops of edge_conv_radial.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "common/isa.h"
#include "edge_conv_radial/arguments.h"
#include "plan/reader.h"

namespace e3md::plan {
namespace {

template <class T>
class Convolution final : public Step<T> {
 public:
  explicit Convolution(const Reader& r)
      : arguments_(arguments(r)),
        prepared_(arguments_, 0, r.place("y").width),
        loops_(radial_loops<T>()),
        n_members_(r.context.n_members) {
    if (r.has("x")) this->reads = {{r.place("x")}};
    this->writes = {{r.place("y")}};
    r.require(r.is_whole(this->writes[0].place), "y is a part of a register");
    for (const Operand& read : this->reads)
      r.require(r.is_whole(read.place) && r.register_of(read.place).kind == Kind::nodes,
                "x is no register of nodes");
    r.require(r.register_of(this->writes[0].place).kind == Kind::local, "y is not of local atoms");
    r.require(prepared_.problem.n_paths % n_members_ == 0, "paths of another number of members");
    r.require(arguments_.tables.n_types() == r.context.n_species,
              "tables of another number of species");
  }

  void forward(const Run<T>& run, const Slice<T>& rows) const override {
    T* out = this->output(run, 0).rows.data;
    loops_.convolve(problem(run), out, rows.begin, rows.end, rows.scratch);
  }

  void reverse(const Run<T>& run, const Slice<T>& rows) const override {
    const bool needed = !this->reads.empty() && this->reads[0].active;
    T* to_in = nullptr;
    if (needed)
      to_in = rows.thread == 0 ? run.gradients[this->reads[0].place.number]
                               : run.copies[rows.thread - 1];
    loops_.differentiate(problem(run), this->cotangent(run, 0).data, run.grad_vec, needed, to_in,
                         rows.begin, rows.end, rows.scratch);
  }

  bool overwrites() const override { return true; }

  int64_t scratch_size(int64_t) const override {
    const auto& p = prepared_.problem;
    return kernels::radial_scratch_size(p.dim_sh, p.max_pairs, n_members_);
  }

  bool reads_edges() const override { return true; }

 private:
  RadialArguments arguments_;
  PreparedRadial<T> prepared_;
  kernels::RadialLoops<T> loops_;
  int64_t n_members_;

  /// Of a graph without nodes: the tables are checked, what belongs to a run comes later.
  static RadialArguments arguments(const Reader& r) {
    const auto floating = at::TensorOptions(sizeof(T) == 4 ? at::kFloat : at::kDouble);
    const int64_t dim_in = r.has("x") ? r.place("x").width : 0;
    return {
        at::empty({0, dim_in}, floating), at::empty({0, 3}, floating), at::empty({0}, at::kLong),
        at::zeros({2, 0}, at::kLong),     r.tensors("tables"),         r.flag("solid")};
  }

  kernels::RadialProblem<T> problem(const Run<T>& run) const {
    kernels::RadialProblem<T> p = prepared_.problem;
    p.in = this->reads.empty() ? nullptr : run.value(this->reads[0].place, 0).data;
    p.edge_vec = run.edge_vec;
    p.owner_begin = run.owner_begin;
    p.neighbor = run.neighbor;
    p.types = run.types;
    p.n_gradients = run.n_gradients;
    p.n_edges = run.n_edges;
    p.add_vec = true;
    return p;
  }
};

}  // namespace

template <class T>
std::unique_ptr<Step<T>> make_convolution(const Reader& reader) {
  return std::make_unique<Convolution<T>>(reader);
}
template std::unique_ptr<Step<float>> make_convolution(const Reader&);
template std::unique_ptr<Step<double>> make_convolution(const Reader&);

}  // namespace e3md::plan

// MACE's product basis: the loops of symmetric_contraction, weights collapsed once on loading.
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

#include "plan/reader.h"
#include "symmetric_contraction/program.h"

namespace e3md::plan {
namespace {

template <class T>
class Product final : public Step<T> {
 public:
  explicit Product(const Reader& r)
      : n_members_(r.integer("members", 1, kMaxRows)),
        channels_(r.integer("channels", 1, kMaxColumns)),
        n_rows_(r.place("y").width / n_members_ / channels_),
        arguments_(arguments(r)),
        program_(arguments_.tables.terms, n_rows_),
        loops_(product_loops<T>()) {
    this->reads = {{r.place("x")}};
    this->writes = {{r.place("y")}};
    for (const Place& place : {this->reads[0].place, this->writes[0].place})
      r.require(r.is_whole(place) && r.register_of(place).kind == Kind::local &&
                    place.width % (n_members_ * channels_) == 0,
                "x and y must be whole registers of local atoms, of all members' channels");
    r.require(arguments_.n_species() == r.context.n_species * n_members_,
              "weights of another number of species");
    coefficients_.resize(arguments_.n_species());
    for (const int64_t species : r.context.in_use)
      for (int64_t k = 0; k < n_members_; ++k)
        coefficients_[species * n_members_ + k] =
            coefficients<T>(arguments_, species * n_members_ + k, loops_.lanes);
  }

  void forward(const Run<T>& run, const Slice<T>& rows) const override {
    T* out = this->output(run, 0).rows.data;
    for_kinds(run, rows, [&](const auto& problem, T* scratch) {
      loops_.evaluate(problem, out, 0, problem.n_atoms, scratch);
    });
  }

  void reverse(const Run<T>& run, const Slice<T>& rows) const override {
    const T* g = this->cotangent(run, 0).data;
    T* to_a = this->to_input(run, 0, 0).rows.data;
    for_kinds(run, rows, [&](const auto& problem, T* scratch) {
      loops_.differentiate(problem, g, to_a, 0, problem.n_atoms, scratch);
    });
  }

  bool overwrites() const override { return true; }

  int64_t scratch_size(int64_t n) const override {
    return kernels::product_scratch_size<T>(arguments_.a.size(1), n_rows_) +
           n * static_cast<int64_t>(sizeof(int64_t) / sizeof(T)) + 16;
  }

 private:
  int64_t n_members_, channels_, n_rows_;
  ProductArguments arguments_;
  NestedProgram program_;
  kernels::ProductLoops<T> loops_;
  std::vector<std::vector<T>> coefficients_;  ///< of each pair of a species and a member

  ProductArguments arguments(const Reader& r) const {
    std::vector<at::Tensor> weights;
    for (const auto& order : r.list("weights")) {
      std::vector<at::Tensor> members;
      r.require(order.is_array() && static_cast<int64_t>(order.size()) == n_members_,
                "weights of another number of members");
      for (const auto& name : order) members.push_back(r.named(name, "weights"));
      weights.push_back(at::stack(members, 1).flatten(0, 1));
    }
    const int64_t n_components = r.place("x").width / n_members_ / channels_;
    r.require(!weights.empty(), "no weights");
    return {at::empty({0, n_components, channels_}, weights[0].options()),
            at::empty({0}, at::kLong), weights, r.tensors("tables"), n_rows_};
  }

  template <class Body>
  void for_kinds(const Run<T>& run, const Slice<T>& rows, Body body) const {
    auto* atoms = reinterpret_cast<int64_t*>(rows.scratch);
    T* scratch = rows.scratch + rows.size() * (sizeof(int64_t) / sizeof(T));
    for (int64_t g = 0; g < rows.n_groups; ++g) {
      const Group& group = rows.groups[g];
      const int64_t n = group.end - group.begin;
      for (int64_t k = 0; k < n_members_; ++k) {
        for (int64_t i = 0; i < n; ++i) atoms[i] = rows.order[group.begin + i] * n_members_ + k;
        auto problem = problem_of(arguments_, program_,
                                  coefficients_[group.species * n_members_ + k], atoms, n);
        problem.a = run.value(this->reads[0].place, 0).data;
        body(problem, scratch);
      }
    }
  }
};

}  // namespace

template <class T>
std::unique_ptr<Step<T>> make_product(const Reader& reader) {
  return std::make_unique<Product<T>>(reader);
}
template std::unique_ptr<Step<float>> make_product(const Reader&);
template std::unique_ptr<Step<double>> make_product(const Reader&);

}  // namespace e3md::plan

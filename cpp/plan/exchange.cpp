// Features of ghosts from their owners, and gradients back.
#include <cstring>

#include "plan/reader.h"

namespace e3md::plan {
namespace {

template <class T>
class Exchange final : public Step<T> {
 public:
  explicit Exchange(const Reader& r) {
    this->reads = {{r.place("x")}};
    this->writes = {{r.place("y")}};
    r.require(r.place("x").width == r.place("y").width && r.is_whole(r.place("x")) &&
                  r.is_whole(r.place("y")) && r.register_of(r.place("x")).kind == Kind::local &&
                  r.register_of(r.place("y")).kind == Kind::nodes,
              "x must be a whole register of local atoms, y one of nodes as wide");
  }

  void forward(const Run<T>& run, const Slice<T>&) const override {
    const int64_t width = this->reads[0].place.width;
    T* rows = this->output(run, 0).rows.data;
    std::memcpy(rows, this->input(run, 0, 0).data, run.n_local * width * sizeof(T));
    if (!run.exchanger) return;
    std::memset(rows + run.n_local * width, 0, (run.n_nodes - run.n_local) * width * sizeof(T));
    run.exchanger->forward(rows, width);
  }

  void reverse(const Run<T>& run, const Slice<T>&) const override {
    const int64_t width = this->reads[0].place.width;
    T* rows = run.gradient(this->writes[0].place, 0).data;
    if (run.exchanger) run.exchanger->reverse(rows, width);
    const kernels::Target<T> to_x = this->to_input(run, 0, 0);
    if (!to_x.add) std::memcpy(to_x.rows.data, rows, run.n_local * width * sizeof(T));
    for (int64_t k = 0; to_x.add && k < run.n_local * width; ++k) to_x.rows.data[k] += rows[k];
  }

  bool is_whole() const override { return true; }
};

}  // namespace

template <class T>
std::unique_ptr<Step<T>> make_exchange(const Reader& reader) {
  return std::make_unique<Exchange<T>>(reader);
}
template std::unique_ptr<Step<float>> make_exchange(const Reader&);
template std::unique_ptr<Step<double>> make_exchange(const Reader&);

}  // namespace e3md::plan

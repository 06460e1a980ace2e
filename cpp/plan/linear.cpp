// Linear maps between irreps, of one kind of weights or of each species its own.
#include <cstring>

#include "common/isa.h"
#include "irreps_linear/map.h"
#include "plan/matrix_kernel.h"
#include "plan/reader.h"

namespace e3md::plan {
namespace {

template <class T>
void clear(kernels::Rows<T> rows, int64_t n, int64_t width) {
  for (int64_t i = 0; i < n; ++i) std::memset(rows.data + i * rows.stride, 0, width * sizeof(T));
}

template <class T>
kernels::MatrixLoops<T> matrix_loops() {
  if constexpr (sizeof(T) == 4)
    return E3MD_FOR_ISA(matrix_loops_f32);
  else
    return E3MD_FOR_ISA(matrix_loops_f64);
}

/// Of each block and species, (species, c_out, c_in).
std::vector<at::Tensor> transposes(const std::vector<IrrepsBlock>& blocks) {
  std::vector<at::Tensor> found;
  for (const IrrepsBlock& b : blocks) found.push_back(b.weight.transpose(-2, -1).contiguous());
  return found;
}

template <class T>
class Linear final : public Step<T> {
 public:
  explicit Linear(const Reader& r)
      : by_species_(r.flag("by_species")),
        map_(r.tensors("weights"), r.numbers("scales"), r.integers("places", 0, kMaxColumns),
             by_species_, sizeof(T) == 4 ? at::kFloat : at::kDouble, r.place("x").width,
             r.place("y").width),
        transposed_(transposes(map_.blocks)),
        loops_(matrix_loops<T>()) {
    this->reads = {{r.place("x")}};
    this->writes = {{r.place("y")}};
    r.require(!by_species_ || map_.blocks.empty() || map_.n_species == r.context.n_species,
              "weights of another number of species");
    r.require(r.register_of(this->reads[0].place).kind == r.register_of(this->writes[0].place).kind,
              "x and y have other rows");
    for (const bool transposed : {false, true})
      written_once_[transposed] =
          written_once(map_.blocks, transposed, (transposed ? r.place("x") : r.place("y")).width);
  }

  void forward(const Run<T>& run, const Slice<T>& rows) const override {
    apply(rows, false, this->input(run, 0, 0), this->output(run, 0));
  }

  void reverse(const Run<T>& run, const Slice<T>& rows) const override {
    apply(rows, true, this->cotangent(run, 0), this->to_input(run, 0, 0));
  }

  int64_t scratch_size(int64_t n) const override {
    return by_species_ ? n * (this->reads[0].place.width + this->writes[0].place.width) : 0;
  }

 private:
  bool by_species_;
  IrrepsMap map_;
  std::vector<at::Tensor> transposed_;  ///< of each block: weights from out to in
  kernels::MatrixLoops<T> loops_;
  bool written_once_[2];

  void apply(const Slice<T>& rows, bool transposed, kernels::Rows<const T> x,
             kernels::Target<T> y) const {
    const int64_t width_in = (transposed ? this->writes : this->reads)[0].place.width;
    const int64_t width = (transposed ? this->reads : this->writes)[0].place.width;
    const T* from = x.data + rows.begin * x.stride;
    const kernels::Rows<T> to{y.rows.data + rows.begin * y.rows.stride, y.rows.stride};
    if (!by_species_ || rows.n_groups == 1) {
      const int64_t species = by_species_ ? rows.groups[0].species : 0;
      const bool writes = !y.add && written_once_[transposed];
      if (!y.add && !writes) clear(to, rows.size(), width);
      return multiply(transposed, species, rows.size(), {from, x.stride}, to, T(writes ? 0 : 1));
    }
    for (int64_t g = 0; g < rows.n_groups; ++g)
      one_species(rows, rows.groups[g], transposed, x, width_in, y, width);
  }

  /// All blocks for n rows of one species.
  void multiply(bool transposed, int64_t species, int64_t n, kernels::Rows<const T> x,
                kernels::Rows<T> y, T keep) const {
    for (size_t k = 0; k < map_.blocks.size(); ++k) {
      const IrrepsBlock& b = map_.blocks[k];
      const at::Tensor& weight = transposed ? transposed_[k] : b.weight;
      const int64_t c_in = transposed ? b.c_out : b.c_in, c_out = transposed ? b.c_in : b.c_out;
      const int64_t in = transposed ? b.out_offset : b.in_offset;
      const int64_t out = transposed ? b.in_offset : b.out_offset;
      const kernels::Matrix<T> w{weight.const_data_ptr<T>() + species * c_in * c_out, c_in, c_out};
      for (int64_t m = 0; m < b.n_m && weight.numel() > 0; ++m)
        loops_.multiply(w, static_cast<T>(b.scale), keep, {x.data + in + m * c_in, x.stride},
                        {y.data + out + m * c_out, y.stride}, n);
    }
  }

  /// Rows of one species side by side in scratch memory, through the map, and back.
  void one_species(const Slice<T>& rows, const Group& group, bool transposed,
                   kernels::Rows<const T> x, int64_t width_in, kernels::Target<T> y,
                   int64_t width) const {
    const int64_t n = group.end - group.begin;
    const int64_t* order = rows.order + group.begin;
    T *from = rows.scratch, *to = from + n * width_in;
    for (int64_t k = 0; k < n; ++k)
      std::memcpy(from + k * width_in, x.data + order[k] * x.stride, width_in * sizeof(T));
    if (!written_once_[transposed]) clear(kernels::Rows<T>{to, width}, n, width);
    multiply(transposed, group.species, n, {from, width_in}, {to, width},
             T(written_once_[transposed] ? 0 : 1));
    for (int64_t k = 0; k < n; ++k) {
      T* row = y.rows.data + order[k] * y.rows.stride;
      for (int64_t c = 0; c < width; ++c) row[c] = (y.add ? row[c] : T(0)) + to[k * width + c];
    }
  }
};

}  // namespace

template <class T>
std::unique_ptr<Step<T>> make_linear(const Reader& reader) {
  return std::make_unique<Linear<T>>(reader);
}
template std::unique_ptr<Step<float>> make_linear(const Reader&);
template std::unique_ptr<Step<double>> make_linear(const Reader&);

}  // namespace e3md::plan

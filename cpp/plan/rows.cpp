// Steps that handle one row after the other.
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "common/isa.h"
#include "plan/reader.h"

namespace e3md::plan {
namespace {

using kernels::Rows;
using kernels::Target;

template <class T>
const kernels::RowLoops<T>& loops() {
  static const kernels::RowLoops<T> chosen = [] {
    if constexpr (std::is_same_v<T, float>)
      return E3MD_FOR_ISA(row_loops_f32);
    else
      return E3MD_FOR_ISA(row_loops_f64);
  }();
  return chosen;
}

template <class T>
Target<T> from_row(Target<T> target, int64_t row) {
  return {{target.rows.data + row * target.rows.stride, target.rows.stride}, target.add};
}

/// Both of the same rows, whatever these are.
template <class T>
void require_same_rows(const Reader& r, const Step<T>& step) {
  for (const Operand& read : step.reads)
    r.require(r.register_of(read.place).kind == r.register_of(step.writes[0].place).kind,
              "what it reads and writes has other rows");
}

/// y = factor · factors[type] · x; x may be rows of species, taken by the type of each row of y.
template <class T>
class Add final : public Step<T> {
 public:
  explicit Add(const Reader& r) : factor_(static_cast<T>(r.number("factor"))) {
    this->reads = {{r.place("x")}};
    this->writes = {{r.place("y")}};
    const Place &x = this->reads[0].place, &y = this->writes[0].place;
    const Kind from = r.register_of(x).kind, to = r.register_of(y).kind;
    by_species_ = from == Kind::species && to != Kind::species;
    whole_ = to == Kind::nodes;
    r.require(x.width == y.width, "x and y have other widths");
    r.require(by_species_ || from == to, "x and y have other rows");
    if (r.has("factors")) factors_ = r.values<T>("factors", r.context.n_species);
  }

  void forward(const Run<T>& run, const Slice<T>& rows) const override {
    const Target<T> y = this->output(run, 0);
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      const T* x = this->input(run, 0, by_species_ ? run.types[i] : i).data;
      loops<T>().scale(this->writes[0].place.width, factor(run, i), x,
                       y.rows.data + i * y.rows.stride, y.add);
    }
  }

  void reverse(const Run<T>& run, const Slice<T>& rows) const override {
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      const Target<T> to_x = this->to_input(run, 0, i);
      loops<T>().scale(this->writes[0].place.width, factor(run, i), this->cotangent(run, i).data,
                       to_x.rows.data, to_x.add);
    }
  }

  bool is_whole() const override { return whole_; }

 private:
  T factor_;
  bool by_species_, whole_;
  std::vector<T> factors_;

  T factor(const Run<T>& run, int64_t i) const {
    return factors_.empty() ? factor_ : factor_ * factors_[run.types[i]];
  }
};

kernels::Function function_of(const Reader& r) {
  static constexpr std::pair<const char*, kernels::Function> kNames[] = {
      {"identity", kernels::Function::identity}, {"silu", kernels::Function::silu},
      {"tanh", kernels::Function::tanh},         {"softplus", kernels::Function::softplus},
      {"sigmoid", kernels::Function::sigmoid},   {"inverse", kernels::Function::inverse}};
  for (const auto& [name, function] : kNames)
    if (r.text("function") == name) return function;
  r.fail("unknown function");
}

template <class T>
class Activate final : public Step<T> {
 public:
  explicit Activate(const Reader& r)
      : function_(function_of(r)), gain_(static_cast<T>(r.number("gain"))) {
    this->reads = {{r.place("x")}};
    this->writes = {{r.place("y")}};
    r.require(r.place("x").width == r.place("y").width, "x and y have other widths");
    require_same_rows(r, *this);
    if (r.has("bias")) bias_ = r.values<T>("bias", r.place("x").width);
  }

  void forward(const Run<T>& run, const Slice<T>& rows) const override {
    loops<T>().activate(activation(), this->input(run, 0, rows.begin),
                        this->output(run, rows.begin), rows.size());
  }

  void reverse(const Run<T>& run, const Slice<T>& rows) const override {
    loops<T>().activate_reverse(activation(), this->input(run, 0, rows.begin),
                                this->cotangent(run, rows.begin),
                                this->to_input(run, 0, rows.begin), rows.size());
  }

 private:
  kernels::Function function_;
  T gain_;
  std::vector<T> bias_;

  kernels::Activation<T> activation() const {
    return {function_, gain_, bias_.empty() ? nullptr : bias_.data(), this->reads[0].place.width};
  }
};

/// y[m, c] = x[m, c] factor[c].
template <class T>
class Multiply final : public Step<T> {
 public:
  explicit Multiply(const Reader& r) {
    this->reads = {{r.place("x")}, {r.place("factor")}};
    this->writes = {{r.place("y")}};
    channels_ = r.place("factor").width;
    r.require(channels_ > 0 && r.place("x").width % channels_ == 0 &&
                  r.place("x").width == r.place("y").width,
              "widths of x, y and factor do not belong together");
    n_m_ = r.place("x").width / channels_;
    require_same_rows(r, *this);
  }

  void forward(const Run<T>& run, const Slice<T>& rows) const override {
    loops<T>().multiply(n_m_, channels_, this->input(run, 0, rows.begin),
                        this->input(run, 1, rows.begin), this->output(run, rows.begin),
                        rows.size());
  }

  void reverse(const Run<T>& run, const Slice<T>& rows) const override {
    const int64_t n = rows.size(), i = rows.begin;
    const auto g = this->cotangent(run, i);
    if (this->reads[0].active)
      loops<T>().multiply(n_m_, channels_, g, this->input(run, 1, i), this->to_input(run, 0, i), n);
    if (this->reads[1].active)
      loops<T>().contract(n_m_, channels_, this->input(run, 0, i), g, this->to_input(run, 1, i), n);
  }

 private:
  int64_t n_m_, channels_;
};

/// RMSNorm.
template <class T>
class Normalize final : public Step<T> {
 public:
  explicit Normalize(const Reader& r) : epsilon_(static_cast<T>(r.number("epsilon"))) {
    this->reads = {{r.place("x")}};
    this->writes = {{r.place("y")}};
    const int64_t width = r.place("x").width;
    r.require(width == r.place("y").width, "x and y have other widths");
    require_same_rows(r, *this);
    share_ = r.values<T>("share", width);
    const at::Tensor channel = r.tensor("channel"), weight = r.tensor("weight");
    r.require(channel.scalar_type() == at::kLong && channel.numel() == width,
              "channel is not that of each column");
    const std::vector<T> of_channel = r.values<T>(weight, "weight", weight.numel());
    for (int64_t c = 0; c < width; ++c) {
      const int64_t from = channel.const_data_ptr<int64_t>()[c];
      r.require(from >= 0 && from < weight.numel(), "channel is out of range");
      weight_.push_back(of_channel[from]);
    }
  }

  void forward(const Run<T>& run, const Slice<T>& rows) const override {
    loops<T>().normalize(width(), weight_.data(), share_.data(), epsilon_,
                         this->input(run, 0, rows.begin), this->output(run, rows.begin),
                         rows.size());
  }

  void reverse(const Run<T>& run, const Slice<T>& rows) const override {
    loops<T>().normalize_reverse(width(), weight_.data(), share_.data(), epsilon_,
                                 this->input(run, 0, rows.begin), this->cotangent(run, rows.begin),
                                 this->to_input(run, 0, rows.begin), rows.size());
  }

 private:
  T epsilon_;
  std::vector<T> share_, weight_;  // of each column
  int64_t width() const { return this->reads[0].place.width; }
};

/// SO3net's product of two features, channel by channel.
template <class T>
class Couple final : public Step<T> {
 public:
  explicit Couple(const Reader& r) : channels_(r.integer("channels", 1, kMaxColumns)) {
    this->reads = {{r.place("a")}, {r.place("b")}};
    this->writes = {{r.place("y")}};
    require_same_rows(r, *this);
    const at::Tensor factors = r.tensor("factors"), couplings = r.tensor("couplings");
    const int64_t n_rows = couplings.dim() == 2 ? couplings.size(0) : 0;
    r.require(factors.scalar_type() == at::kLong && factors.dim() == 2 && factors.size(0) == 2 &&
                  couplings.dim() == 2 && couplings.size(1) == factors.size(1) &&
                  r.place("y").width == n_rows * channels_,
              "factors, couplings and y do not belong together");
    const std::vector<double> value = r.values<double>(couplings, "couplings", couplings.numel());
    const int64_t n = factors.size(1);
    const int64_t* factor = factors.const_data_ptr<int64_t>();
    const int64_t n_a = r.place("a").width / channels_, n_b = r.place("b").width / channels_;
    for (int64_t row = 0; row < n_rows; ++row)
      for (int64_t k = 0; k < n; ++k) {
        r.require(factor[k] >= 0 && factor[k] < n_a && factor[n + k] >= 0 && factor[n + k] < n_b,
                  "factors are out of range");
        if (value[row * n + k] != 0)
          triples_[0].push_back({int32_t(row), int32_t(factor[k]), int32_t(factor[n + k]),
                                 static_cast<T>(value[row * n + k])});
      }
    for (const auto& t : triples_[0]) {
      triples_[1].push_back({t.first, t.row, t.second, t.value});
      triples_[2].push_back({t.second, t.row, t.first, t.value});
    }
  }

  void forward(const Run<T>& run, const Slice<T>& rows) const override {
    const int64_t i = rows.begin;
    couple(0, this->input(run, 0, i), this->input(run, 1, i), this->output(run, i),
           this->writes[0].place.width, rows.size());
  }

  void reverse(const Run<T>& run, const Slice<T>& rows) const override {
    const int64_t i = rows.begin;
    const auto g = this->cotangent(run, i);
    for (size_t k = 0; k < 2; ++k)
      if (this->reads[k].active)
        couple(1 + k, g, this->input(run, 1 - k, i), this->to_input(run, k, i),
               this->reads[k].place.width, rows.size());
  }

 private:
  int64_t channels_;
  std::vector<kernels::ProductTriple<T>> triples_[3];  // forward, to a, to b

  void couple(size_t which, Rows<const T> a, Rows<const T> b, Target<T> out, int64_t width,
              int64_t n) const {
    for (int64_t i = 0; i < n && !out.add; ++i)
      std::memset(out.rows.data + i * out.rows.stride, 0, width * sizeof(T));
    loops<T>().couple(triples_[which].data(), static_cast<int64_t>(triples_[which].size()),
                      channels_, a, b, out.rows, n);
  }
};

/// Energies of the atoms by each member, from what the network says: scale[type] x + offset[type].
template <class T>
class Energies final : public Step<T> {
 public:
  explicit Energies(const Reader& r) {
    this->reads = {{r.place("x")}};
    const auto scales = r.tensors("scale"), offsets = r.tensors("offset");
    const int64_t n = r.context.n_species;
    r.require(static_cast<int64_t>(scales.size()) == r.context.n_members &&
                  scales.size() == offsets.size() && r.place("x").width == r.context.n_members &&
                  r.register_of(r.place("x")).kind == Kind::local,
              "x, scales and offsets do not belong together");
    for (size_t k = 0; k < scales.size(); ++k) {
      scale_.push_back(r.values<double>(scales[k], "scale", n));
      offset_.push_back(r.values<double>(offsets[k], "offset", n));
    }
  }

  void forward(const Run<T>& run, const Slice<T>& rows) const override {
    const auto n = static_cast<int64_t>(scale_.size());
    for (int64_t i = rows.begin; i < rows.end; ++i)
      for (int64_t k = 0; k < n; ++k)
        run.energies[i * n + k] =
            this->input(run, 0, i).data[k] * scale_[k][run.types[i]] + offset_[k][run.types[i]];
  }

  void reverse(const Run<T>& run, const Slice<T>& rows) const override {
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      const Target<T> to_x = this->to_input(run, 0, i);
      for (size_t k = 0; k < scale_.size(); ++k) {
        const T seed = static_cast<T>(scale_[k][run.types[i]]);
        to_x.rows.data[k] = to_x.add ? to_x.rows.data[k] + seed : seed;
      }
    }
  }

 private:
  std::vector<std::vector<double>> scale_, offset_;  // of each member and species
};

}  // namespace

template <class T>
std::unique_ptr<Step<T>> make_row_step(const Reader& reader) {
  const std::string kind = reader.kind();
  if (kind == "add") return std::make_unique<Add<T>>(reader);
  if (kind == "activate") return std::make_unique<Activate<T>>(reader);
  if (kind == "multiply") return std::make_unique<Multiply<T>>(reader);
  if (kind == "normalize") return std::make_unique<Normalize<T>>(reader);
  if (kind == "couple") return std::make_unique<Couple<T>>(reader);
  if (kind == "energies") return std::make_unique<Energies<T>>(reader);
  return nullptr;
}
template std::unique_ptr<Step<float>> make_row_step(const Reader&);
template std::unique_ptr<Step<double>> make_row_step(const Reader&);

}  // namespace e3md::plan

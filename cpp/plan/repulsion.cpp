// Screened nuclear repulsion: the formula of python/e3md/model/zbl.py with its derivative.
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>

#include "plan/reader.h"

namespace e3md::plan {
namespace {

/// V(r) of one pair of species and its slope.
template <class T>
struct PairEnergy {
  T value, slope;
};

template <class T>
class Repulsion final : public Step<T> {
 public:
  explicit Repulsion(const Reader& r)
      : n_species_(r.context.n_species),
        n_members_(r.context.n_members),
        power_(static_cast<int>(r.integer("power", 2, 100))),
        coulomb_(r.values<T>("coulomb", 1)[0]),
        reach_(r.values<T>("reach", n_species_ * n_species_)),
        numbers_(r.values<T>("numbers", n_species_)) {
    const at::Tensor decays = r.tensor("decays");
    decays_ = r.values<T>(decays, "decays", decays.numel());
    amplitudes_ = r.values<T>("amplitudes", decays.numel());
    const T screening = r.values<T>("screening", 1)[0], exponent = r.values<T>("exponent", 1)[0];
    for (const T a : numbers_)
      for (const T b : numbers_)
        inverse_length_.push_back((std::pow(a, exponent) + std::pow(b, exponent)) / screening);
  }

  void forward(const Run<T>& run, const Slice<T>& rows) const override {
    for_pairs(run, rows, [&](int64_t i, int64_t, const T*, T, const PairEnergy<T>& pair) {
      for (int64_t k = 0; k < n_members_; ++k)
        run.energies[i * n_members_ + k] += T(0.5) * pair.value;
    });
  }

  /// The one gradient is of the sum over the members.
  void reverse(const Run<T>& run, const Slice<T>& rows) const override {
    const T each = run.n_gradients == 1 ? static_cast<T>(n_members_) : T(1);
    for_pairs(run, rows, [&](int64_t, int64_t e, const T* v, T r, const PairEnergy<T>& pair) {
      const T factor = T(0.5) * each * pair.slope / r;
      for (int64_t k = 0; k < run.n_gradients; ++k)
        for (int a = 0; a < 3; ++a) run.grad_vec[3 * (k * run.n_edges + e) + a] += factor * v[a];
    });
  }

  bool reads_edges() const override { return true; }

 private:
  int64_t n_species_, n_members_;
  int power_;
  T coulomb_;
  std::vector<T> reach_, numbers_, decays_, amplitudes_, inverse_length_;

  PairEnergy<T> energy(T r, int64_t i, int64_t j) const {
    const int64_t pair = i * n_species_ + j;
    T phi = 0, phi_slope = 0;
    for (size_t k = 0; k < decays_.size(); ++k) {
      const T rate = decays_[k] * inverse_length_[pair];
      const T part = amplitudes_[k] * std::exp(-rate * r);
      phi += part;
      phi_slope -= rate * part;
    }
    const T x = r / reach_[pair], p = static_cast<T>(power_), before = std::pow(x, p - 1);
    const T a = (p + 1) * (p + 2) / 2, b = p * (p + 2), c = p * (p + 1) / 2;
    const T u = 1 - before * x * (a - x * (b - c * x));
    const T u_slope = -a * p * before * (1 - x) * (1 - x) / reach_[pair];
    const T strength = coulomb_ * numbers_[i] * numbers_[j] / r;
    return {strength * phi * u, strength * (phi_slope * u + phi * u_slope - phi * u / r)};
  }

  /// Runs `body(i, edge, vector, r, energy)` over the edges of the rows that are within reach.
  template <class Body>
  void for_pairs(const Run<T>& run, const Slice<T>& rows, Body body) const {
    for (int64_t i = rows.begin; i < rows.end; ++i)
      for (int64_t e = run.owner_begin[i]; e < run.owner_begin[i + 1]; ++e) {
        const T* v = run.edge_vec + 3 * e;
        const T r = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        const int64_t t_i = run.types[i], t_j = run.types[run.neighbor[e]];
        if (r < reach_[t_i * n_species_ + t_j]) body(i, e, v, r, energy(r, t_i, t_j));
      }
  }
};

}  // namespace

template <class T>
std::unique_ptr<Step<T>> make_repulsion(const Reader& reader) {
  return std::make_unique<Repulsion<T>>(reader);
}
template std::unique_ptr<Step<float>> make_repulsion(const Reader&);
template std::unique_ptr<Step<double>> make_repulsion(const Reader&);

}  // namespace e3md::plan

// symmetric_contraction, forward and backward. A lane is one channel of up to n_together atoms of
// one species, which share each coefficient that is read. `Program` is written for one model: its
// terms are calls with literal arguments, so that components live in registers.
//
// Included after product_problem.h, warp.cuh and the model's text, which defines: real, n_warps,
// n_together, n_channels, n_components, n_rows, Program.

namespace e3md::gpu {

using Problem = ProductProblem<real>;

/// Of each atom handled together.
struct Lot {
  real v[n_together];
  DEVICE void set(real x) { UNROLL for (int n = 0; n < n_together; ++n) v[n] = x; }
  DEVICE void set(const Lot& x, const Lot& y) {
    UNROLL for (int n = 0; n < n_together; ++n) v[n] = x.v[n] * y.v[n];
  }
  DEVICE void add(real c, const Lot& x) {
    UNROLL for (int n = 0; n < n_together; ++n) v[n] += c * x.v[n];
  }
  DEVICE void add(const Lot& x, const Lot& y) {
    UNROLL for (int n = 0; n < n_together; ++n) v[n] += x.v[n] * y.v[n];
  }
};

/// Atoms of one species and one channel: where their numbers lie.
struct Atoms {
  long long first[n_together];  ///< atom, of those that there are
  int count, channel;

  DEVICE Lot load(const real* from, int row, int n) const {
    Lot lot;
    UNROLL for (int k = 0; k < n_together; ++k) lot.v[k] =
        k < count ? read(from + (first[k] * n + row) * n_channels + channel) : real(0);
    return lot;
  }
  DEVICE void store(real* to, int row, int n, const Lot& lot) const {
    UNROLL for (int k = 0; k < n_together; ++k) if (k < count)
        to[(first[k] * n + row) * n_channels + channel] = lot.v[k];
  }
};

/// Visits the nested terms: out[row] = sum of x_i (p_i + sum of x_j (p_ij + sum of x_k p_ijk)).
struct Evaluate {
  const Problem& p;
  const Atoms& atoms;
  const real* coefficient;
  const Lot* x;
  Lot sum, outer, inner;

  DEVICE real of(int term) const {
    return term < 0 ? real(0) : read(coefficient + term * n_channels);
  }
  DEVICE void row(int) { sum.set(0); }
  DEVICE void first(int, int term) { outer.set(of(term)); }
  DEVICE void second(int, int term) { inner.set(of(term)); }
  DEVICE void third(int k, int term) { inner.add(of(term), x[k]); }
  DEVICE void end_second(int j) { outer.add(x[j], inner); }
  DEVICE void end_first(int i) { sum.add(x[i], outer); }
  DEVICE void end_row(int number) { atoms.store(p.out, number, n_rows, sum); }
};

/// Visits the same: derivatives of sum(g * out) to x.
struct DifferentiateProduct {
  const Problem& p;
  const Atoms& atoms;
  const real* coefficient;
  const Lot* x;
  Lot* to_x;
  Lot g, outer, inner, to_outer, to_inner;

  DEVICE real of(int term) const {
    return term < 0 ? real(0) : read(coefficient + term * n_channels);
  }
  DEVICE void row(int number) { g = atoms.load(p.g, number, n_rows); }
  DEVICE void first(int i, int term) {
    outer.set(of(term));
    to_outer.set(g, x[i]);
  }
  DEVICE void second(int j, int term) {
    inner.set(of(term));
    to_inner.set(to_outer, x[j]);
  }
  DEVICE void third(int k, int term) {
    const real c = of(term);
    inner.add(c, x[k]);
    to_x[k].add(c, to_inner);
  }
  DEVICE void end_second(int j) {
    to_x[j].add(to_outer, inner);
    outer.add(x[j], inner);
  }
  DEVICE void end_first(int i) { to_x[i].add(g, outer); }
  DEVICE void end_row(int) {}
};

/// Runs `body(atoms, coefficient, x)` for the warp's atoms, one species after the other.
template <class Body>
DEVICE void for_species(const Problem& p, Body body) {
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  Atoms atoms;
  atoms.channel = int(blockIdx.y) * kLanes + lane;
  if (atoms.channel >= n_channels) return;
  long long at = ((long long)(blockIdx.x) * n_warps + warp) * n_together;
  const long long end = at + n_together < p.n_atoms ? at + n_together : p.n_atoms;
  while (at < end) {
    const long long species = p.types[p.order[at]];
    check(species >= 0 && species < p.n_species);
    atoms.count = 0;
    UNROLL for (int k = 0; k < n_together; ++k) {
      atoms.first[k] = at + k < end ? p.order[at + k] : 0;
      if (atoms.count == k && at + k < end && p.types[atoms.first[k]] == species) ++atoms.count;
    }
    Lot x[n_components];
    UNROLL for (int m = 0; m < n_components; ++m) x[m] = atoms.load(p.a, m, n_components);
    body(atoms, p.coefficients + species * p.n_terms * n_channels + atoms.channel, x);
    at += atoms.count;
  }
}

DEVICE void evaluate(const Problem& p) {
  for_species(p, [&](const Atoms& atoms, const real* coefficient, const Lot* x) {
    Program::visit(Evaluate{p, atoms, coefficient, x, {}, {}, {}});
  });
}

DEVICE void differentiate_product(const Problem& p) {
  for_species(p, [&](const Atoms& atoms, const real* coefficient, const Lot* x) {
    Lot to_x[n_components] = {};
    Program::visit(DifferentiateProduct{p, atoms, coefficient, x, to_x, {}, {}, {}, {}, {}});
    UNROLL for (int m = 0; m < n_components; ++m) atoms.store(p.grad_a, m, n_components, to_x[m]);
  });
}

}  // namespace e3md::gpu

KERNEL void __launch_bounds__(128) forward(e3md::gpu::Problem p) { e3md::gpu::evaluate(p); }
KERNEL void __launch_bounds__(128) backward(e3md::gpu::Problem p) {
  e3md::gpu::differentiate_product(p);
}

#include "symmetric_contraction_kernel.h"

#include "simd.h"

namespace e3md::kernels::E3MD_ISA {
namespace {

/// One vector of channels for each of the atoms handled together.
template <class T>
struct Lot {
  Vec<T> v[kAtoms];

  E3MD_INLINE void add(Vec<T> p, const Lot& x) {
    for (int n = 0; n < kAtoms; ++n) v[n] += p * x.v[n];
  }
  E3MD_INLINE void add(const Lot& x, const Lot& y) {
    for (int n = 0; n < kAtoms; ++n) v[n] += x.v[n] * y.v[n];
  }
  E3MD_INLINE static Lot all(Vec<T> p) {
    Lot lot;
    for (int n = 0; n < kAtoms; ++n) lot.v[n] = p;
    return lot;
  }
  E3MD_INLINE static Lot product(const Lot& x, const Lot& y) {
    Lot lot;
    for (int n = 0; n < kAtoms; ++n) lot.v[n] = x.v[n] * y.v[n];
    return lot;
  }
};

/// Rows of up to kAtoms atoms: one tile of channels at a time in and out of Lots.
template <class T>
struct Rows {
  int64_t offset[kAtoms];
  int n_atoms, lanes;
  int64_t stride;

  void load(const T* from, Lot<T>* to, int64_t n) const {
    for (int64_t m = 0; m < n; ++m)
      for (int k = 0; k < kAtoms; ++k) {
        const T* at = from + offset[k < n_atoms ? k : 0] * n * stride + m * stride;
        to[m].v[k] = Tile<T, 1, true>::load(at, 0).v[0];
      }
  }
  void load_part(const T* from, Lot<T>* to, int64_t n) const {
    for (int64_t m = 0; m < n; ++m)
      for (int k = 0; k < kAtoms; ++k) {
        const T* at = from + offset[k < n_atoms ? k : 0] * n * stride + m * stride;
        to[m].v[k] = Tile<T, 1, false>::load(at, lanes).v[0];
      }
  }
  void store(const Lot<T>* from, T* to, int64_t n) const {
    for (int64_t m = 0; m < n; ++m)
      for (int k = 0; k < n_atoms; ++k) {
        T* at = to + offset[k] * n * stride + m * stride;
        if (lanes == Simd<T>::kWidth)
          *reinterpret_cast<Vec<T>*>(at) = from[m].v[k];
        else
          Tile<T, 1, false>{{from[m].v[k]}}.store(at, lanes);
      }
  }
  void fetch(const T* from, Lot<T>* to, int64_t n) const {
    lanes == Simd<T>::kWidth ? load(from, to, n) : load_part(from, to, n);
  }
};

template <class T>
void evaluate_lot(const ProductProgram& program, const Vec<T>* p, const Lot<T>* x, Lot<T>* out) {
  for (int64_t row = 0; row < program.n_rows; ++row) {
    Lot<T> sum{};
    for (int32_t f = program.rows[row]; f < program.rows[row + 1]; ++f) {
      const OuterNode& first = program.first[f];
      Lot<T> s1 = Lot<T>::all(first.term < 0 ? Vec<T>{} : p[first.term]);
      for (int32_t s = first.begin; s < first.end; ++s) {
        const OuterNode& second = program.second[s];
        Lot<T> s2 = Lot<T>::all(second.term < 0 ? Vec<T>{} : p[second.term]);
        for (int32_t t = second.begin; t < second.end; ++t)
          s2.add(p[program.third[t].term], x[program.third[t].component]);
        s1.add(x[second.component], s2);
      }
      sum.add(x[first.component], s1);
    }
    out[row] = sum;
  }
}

template <class T>
void differentiate_lot(const ProductProgram& program, const Vec<T>* p, const Lot<T>* x,
                       const Lot<T>* g, Lot<T>* grad) {
  for (int64_t row = 0; row < program.n_rows; ++row) {
    const Lot<T> g_row = g[row];
    for (int32_t f = program.rows[row]; f < program.rows[row + 1]; ++f) {
      const OuterNode& first = program.first[f];
      Lot<T> s1 = Lot<T>::all(first.term < 0 ? Vec<T>{} : p[first.term]);
      const Lot<T> to_s1 = Lot<T>::product(g_row, x[first.component]);
      for (int32_t s = first.begin; s < first.end; ++s) {
        const OuterNode& second = program.second[s];
        Lot<T> s2 = Lot<T>::all(second.term < 0 ? Vec<T>{} : p[second.term]);
        const Lot<T> to_s2 = Lot<T>::product(to_s1, x[second.component]);
        for (int32_t t = second.begin; t < second.end; ++t) {
          const Vec<T> c = p[program.third[t].term];
          s2.add(c, x[program.third[t].component]);
          grad[program.third[t].component].add(c, to_s2);
        }
        grad[second.component].add(to_s1, s2);
        s1.add(x[second.component], s2);
      }
      grad[first.component].add(g_row, s1);
    }
  }
}

/// Runs `body(rows, p, channel)` over tiles of channels, and inside over lots of atoms, so that the
/// coefficients of a tile stay in the cache.
template <class T, class Body>
void for_lots(const ProductProblem<T>& problem, int64_t begin, int64_t end, Body body) {
  constexpr int kWidth = Simd<T>::kWidth;
  for (int64_t tile = 0; tile * kWidth < problem.n_channels; ++tile) {
    const int64_t channel = tile * kWidth, left = problem.n_channels - channel;
    const auto* p = reinterpret_cast<const Vec<T>*>(problem.coefficients) + tile * problem.n_terms;
    for (int64_t at = begin; at < end; at += kAtoms) {
      Rows<T> rows;
      rows.n_atoms = static_cast<int>(end - at < kAtoms ? end - at : kAtoms);
      rows.lanes = static_cast<int>(left < kWidth ? left : kWidth);
      rows.stride = problem.n_channels;
      for (int k = 0; k < rows.n_atoms; ++k) rows.offset[k] = problem.atoms[at + k];
      body(rows, p, channel);
    }
  }
}

template <class T>
void evaluate(const ProductProblem<T>& problem, T* out, int64_t begin, int64_t end, T* scratch) {
  auto* x = reinterpret_cast<Lot<T>*>(scratch);
  Lot<T>* result = x + problem.n_components;
  for_lots(problem, begin, end, [&](const Rows<T>& rows, const Vec<T>* p, int64_t channel) {
    rows.fetch(problem.a + channel, x, problem.n_components);
    evaluate_lot<T>(problem.program, p, x, result);
    rows.store(result, out + channel, problem.program.n_rows);
  });
}

template <class T>
void differentiate(const ProductProblem<T>& problem, const T* g, T* grad_a, int64_t begin,
                   int64_t end, T* scratch) {
  auto* x = reinterpret_cast<Lot<T>*>(scratch);
  Lot<T>*cotangent = x + problem.n_components, *grad = cotangent + problem.program.n_rows;
  for_lots(problem, begin, end, [&](const Rows<T>& rows, const Vec<T>* p, int64_t channel) {
    rows.fetch(problem.a + channel, x, problem.n_components);
    rows.fetch(g + channel, cotangent, problem.program.n_rows);
    for (int64_t m = 0; m < problem.n_components; ++m) grad[m] = Lot<T>{};
    differentiate_lot<T>(problem.program, p, x, cotangent, grad);
    rows.store(grad, grad_a + channel, problem.n_components);
  });
}

}  // namespace

ProductLoops<float> product_loops_f32() {
  return {Simd<float>::kWidth, evaluate<float>, differentiate<float>};
}
ProductLoops<double> product_loops_f64() {
  return {Simd<double>::kWidth, evaluate<double>, differentiate<double>};
}

}  // namespace e3md::kernels::E3MD_ISA

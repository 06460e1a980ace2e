#include "symmetric_contraction/kernel.h"

#include "common/simd.h"

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

/// to += the sum over atoms of x.
template <class T>
E3MD_INLINE void collect(Vec<T>& to, const Lot<T>& x) {
  Vec<T> sum = x.v[0];
  for (int n = 1; n < kAtoms; ++n) sum += x.v[n];
  to += sum;
}

/// Derivatives of g out, or with DOT of the derivative of it along x_dot, to x, with WEIGHTS the
/// coefficients and, with DOT, g. u are derivatives to a partial sum, v to its derivative along
/// x_dot.
template <class T, bool DOT, bool WEIGHTS>
void train_lot(const ProductProgram& program, const Vec<T>* p, Vec<T>* to_p, const Lot<T>* x,
               const Lot<T>* x_dot, const Lot<T>* g, Lot<T>* to_g, Lot<T>* to_x) {
  for (int64_t row = 0; row < program.n_rows; ++row) {
    const Lot<T> g_row = g[row];
    Lot<T> out_dot{};
    for (int32_t f = program.rows[row]; f < program.rows[row + 1]; ++f) {
      const OuterNode& first = program.first[f];
      const int32_t i = first.component;
      Lot<T> s1 = Lot<T>::all(first.term < 0 ? Vec<T>{} : p[first.term]), s1_dot{};
      const Lot<T> v1 = Lot<T>::product(g_row, x[i]);
      const Lot<T> u1 = DOT ? Lot<T>::product(g_row, x_dot[i]) : v1;
      if (WEIGHTS && first.term >= 0) collect(to_p[first.term], u1);
      for (int32_t s = first.begin; s < first.end; ++s) {
        const OuterNode& second = program.second[s];
        const int32_t j = second.component;
        Lot<T> s2 = Lot<T>::all(second.term < 0 ? Vec<T>{} : p[second.term]), s2_dot{};
        Lot<T> u2 = Lot<T>::product(u1, x[j]), v2{};
        if constexpr (DOT) {
          u2.add(v1, x_dot[j]);
          v2 = Lot<T>::product(v1, x[j]);
        }
        if (WEIGHTS && second.term >= 0) collect(to_p[second.term], u2);
        for (int32_t t = second.begin; t < second.end; ++t) {
          const InnerNode& third = program.third[t];
          const int32_t k = third.component;
          const Vec<T> c = p[third.term];
          s2.add(c, x[k]);
          to_x[k].add(c, u2);
          if constexpr (DOT) s2_dot.add(c, x_dot[k]);
          if constexpr (WEIGHTS) {
            Lot<T> to_c = Lot<T>::product(u2, x[k]);
            if constexpr (DOT) to_c.add(v2, x_dot[k]);
            collect(to_p[third.term], to_c);
          }
        }
        s1.add(x[j], s2);
        to_x[j].add(u1, s2);
        if constexpr (DOT) {
          s1_dot.add(x_dot[j], s2);
          s1_dot.add(x[j], s2_dot);
          to_x[j].add(v1, s2_dot);
        }
      }
      if constexpr (DOT) {
        to_x[i].add(g_row, s1_dot);
        out_dot.add(x_dot[i], s1);
        out_dot.add(x[i], s1_dot);
      } else {
        to_x[i].add(g_row, s1);
      }
    }
    if constexpr (DOT) to_g[row] = out_dot;
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

template <class T>
void train(const ProductProblem<T>& problem, const ProductTraining<T>& training, int64_t begin,
           int64_t end, T* scratch) {
  const int64_t n_in = problem.n_components, n_out = problem.program.n_rows;
  auto* x = reinterpret_cast<Lot<T>*>(scratch);
  Lot<T>*x_dot = x + n_in, *to_x = x_dot + n_in, *g = to_x + n_in, *to_g = g + n_out;
  const auto* all = reinterpret_cast<const Vec<T>*>(problem.coefficients);
  for_lots(problem, begin, end, [&](const Rows<T>& rows, const Vec<T>* p, int64_t channel) {
    rows.fetch(problem.a + channel, x, n_in);
    rows.fetch(training.g + channel, g, n_out);
    for (int k = rows.n_atoms; k < kAtoms; ++k)  // repeated atoms: nothing to the coefficients
      for (int64_t m = 0; m < n_out; ++m) g[m].v[k] = Vec<T>{};
    for (int64_t m = 0; m < n_in; ++m) to_x[m] = Lot<T>{};
    Vec<T>* to_p = training.need_weights
                       ? reinterpret_cast<Vec<T>*>(training.coefficients) + (p - all)
                       : nullptr;
    if (training.has_dot) rows.fetch(training.a_dot + channel, x_dot, n_in);
    const auto loop = !training.has_dot       ? train_lot<T, false, true>
                      : training.need_weights ? train_lot<T, true, true>
                                              : train_lot<T, true, false>;
    loop(problem.program, p, to_p, x, x_dot, g, to_g, to_x);
    if (training.has_dot) rows.store(to_g, training.to_g + channel, n_out);
    rows.store(to_x, training.to_a + channel, n_in);
  });
}

}  // namespace

ProductLoops<float> product_loops_f32() {
  return {Simd<float>::kWidth, evaluate<float>, differentiate<float>, train<float>};
}
ProductLoops<double> product_loops_f64() {
  return {Simd<double>::kWidth, evaluate<double>, differentiate<double>, train<double>};
}

}  // namespace e3md::kernels::E3MD_ISA

#include "edge_conv_radial/kernel.h"

#include "edge_conv_radial/splines.h"

namespace e3md::kernels::E3MD_ISA {
namespace {

template <class T, int M_IN, int M_OUT>
struct ConvolveRadial {
  static constexpr int kVectors = 2;

  template <int N, bool FULL>
  static void tile(const Path& path, const RadialBlock<T>& block, const T* coefficient, T* out,
                   const T* basis, bool has_in, int64_t channel, int lanes) {
    using Channels = Tile<T, N, FULL>;
    const int n_in = M_IN > 0 ? M_IN : path.n_in;
    const int n_out = M_OUT > 0 ? M_OUT : path.n_out;
    T* out_row = out + path.out_offset + channel;
    Channels sum[capacity<M_OUT>()];
    for (int k = 0; k < n_out; ++k) sum[k] = Channels::load(out_row + k * path.out_stride, lanes);
    for (int b = 0; b < block.n; ++b) {
      const Knots<T, N> knots(block.knot[b], block.row, path.weight_offset + channel);
      const Channels w = knots.template combine<FULL>(basis + b);
      const T* in_row = block.in[b] + path.in_offset + channel;
      for (int m = 0; m < n_in; ++m) {
        Channels x = w;
        if (has_in) x.multiply(Channels::load(in_row + m * path.in_stride, lanes));
        for (int k = 0; k < n_out; ++k) sum[k].add(coefficient[(m * n_out + k) * kBlock + b], x);
      }
    }
    for (int k = 0; k < n_out; ++k) sum[k].store(out_row + k * path.out_stride, lanes);
  }

  static void run(const Path& path, const RadialBlock<T>& block, const T* coefficient, T* out,
                  const T* basis, bool has_in) {
    for_channels<T, ConvolveRadial>(path, block, coefficient, out, basis, has_in);
  }
};

/// Which features there are, and whether their derivatives are wanted.
struct Features {
  bool given;   ///< else ones
  bool needed;  ///< only of given ones
};

/// Derivatives of one edge: sums over the channels of a path, tile after tile.
template <class T, int M_IN, int M_OUT>
struct DifferentiateRadial {
  static constexpr int kVectors = 2;

  struct Sums {
    Vec<T> pairs[capacity<M_IN>() * capacity<M_OUT>()];  ///< w in[m_in] g[m_out]
    Vec<T> radial;                                       ///< w' coefficient in g
  };

  template <int N, bool FULL>
  static void tile(const Path& path, const RadialBlock<T>& block, const T* coefficient, const T* g,
                   const EdgeBasis<T>* basis, Features features, int b, Sums* sums, int64_t channel,
                   int lanes) {
    using Channels = Tile<T, N, FULL>;
    const int n_in = M_IN > 0 ? M_IN : path.n_in;
    const int n_out = M_OUT > 0 ? M_OUT : path.n_out;
    const Knots<T, N> knots(block.knot[b], block.row, path.weight_offset + channel);
    const Channels w = knots.template combine<FULL>(basis->value);
    const Channels dw = knots.template combine<FULL>(basis->slope);
    Channels y[capacity<M_OUT>()];
    const T* g_row = g + path.out_offset + channel;
    for (int k = 0; k < n_out; ++k) y[k] = Channels::load(g_row + k * path.out_stride, lanes);
    const int64_t at = path.in_offset + channel, stride = path.in_stride;
    const T* in = features.given ? block.in[b] + at : nullptr;
    T* grad_in = features.needed ? block.grad_in[b] + at : nullptr;
    const T* c = coefficient + b;
    for (int m = 0; m < n_in; ++m) {
      Channels message{}, x = w, slope = dw;
      for (int k = 0; k < n_out; ++k) message.add(c[(m * n_out + k) * kBlock], y[k]);
      if (features.given) {
        const Channels feature = Channels::load(in + m * stride, lanes);
        x.multiply(feature);
        slope.multiply(feature);
      }
      if (features.needed) {
        Channels sum = Channels::load(grad_in + m * stride, lanes);
        sum.add(w, message);
        sum.store(grad_in + m * stride, lanes);
      }
      for (int n = 0; n < N; ++n) sums->radial += slope.v[n] * message.v[n];
      for (int k = 0; k < n_out; ++k)
        for (int n = 0; n < N; ++n) sums->pairs[m * n_out + k] += x.v[n] * y[k].v[n];
    }
  }

  /// n_paths paths with the same terms, from `path` on; lanes (kBlock, dim_sh + 1).
  static void run(const Path& path, const RadialBlock<T>& block, const T* coefficient, const T* g,
                  const Scratch<T>* s, Features features, const Term<T>* terms, int64_t dim_sh,
                  int64_t n_paths, T* lane_sums) {
    const int n_pairs = (M_IN > 0 ? M_IN : path.n_in) * (M_OUT > 0 ? M_OUT : path.n_out);
    for (int b = 0; b < block.n; ++b) {
      const EdgeBasis<T> basis(*s, b);
      Sums sums;
      for (int k = 0; k < n_pairs; ++k) sums.pairs[k] = Vec<T>{};
      sums.radial = Vec<T>{};
      for (int64_t n = 0; n < n_paths; ++n)
        for_channels<T, DifferentiateRadial>((&path)[n], block, coefficient, g, &basis, features, b,
                                             &sums);
      auto* lanes = reinterpret_cast<Vec<T>*>(lane_sums) + b * (dim_sh + 1);
      for (int t = path.term_begin; t < path.term_end; ++t)
        lanes[terms[t].column] += terms[t].value * sums.pairs[terms[t].pair];
      lanes[dim_sh] += sums.radial;
    }
  }
};

/// From derivatives to harmonics and r, (n, dim_sh + 1) in s.sums, to those to the edge vectors.
template <class T>
void chain_rule(const RadialProblem<T>& p, int n, const Scratch<T>& s, T* grad_vec) {
  for (int b = 0; b < n; ++b)
    for (int64_t m = 0; m < p.dim_sh; ++m)
      s.grad_sh[m * kBlock + b] = s.sums[b * (p.dim_sh + 1) + m];
  T grad_direction[3 * kBlock] = {};
  for (int64_t n_term = p.n_harmonics - 1; n_term >= 0; --n_term) {
    const HarmonicTerm<T> term = p.harmonics[n_term];
    for (int k = 0; k < kVectorsOfBlock<T>; ++k) {
      const Vec<T> g = term.value * vectors(s.grad_sh, term.out)[k];
      vectors(s.grad_sh, term.lower)[k] += g * vectors(s.direction, term.component)[k];
      vectors(grad_direction, term.component)[k] += g * vectors(s.sh, term.lower)[k];
    }
  }
  for (int b = 0; b < n; ++b) {
    const T grad_r = s.sums[b * (p.dim_sh + 1) + p.dim_sh];
    T along = 0;
    for (int a = 0; a < 3; ++a)
      along += grad_direction[a * kBlock + b] * s.direction[a * kBlock + b];
    for (int a = 0; a < 3; ++a) {
      const T found = to_component(p.solid, s.direction[a * kBlock + b], s.inverse_r[b], along,
                                   grad_direction[a * kBlock + b], grad_r);
      grad_vec[3 * b + a] = p.add_vec ? grad_vec[3 * b + a] + found : found;
    }
  }
}

template <class T>
void convolve(const RadialProblem<T>& p, T* out, int64_t begin, int64_t end, T* memory) {
  const Scratch<T> s(memory, p.dim_sh, p.max_pairs, p.n_gradients);
  for (int64_t i = begin; i < end; ++i) {
    T* row = out + i * p.dim_out;
    for (int64_t k = 0; k < p.dim_out; ++k) row[k] = 0;
    for (int64_t at = p.owner_begin[i]; at < p.owner_begin[i + 1]; at += kBlock) {
      const auto block = make_block(p, i, at, p.owner_begin[i + 1], s);
      for (int64_t k = 0, n; k < p.n_paths; k += n) {
        n = same_terms(p, k);
        contract_sh(p.terms, p.paths[k], s.sh, s.coefficient);
        for (int64_t same = k; same < k + n; ++same)
          for_components<T, ConvolveRadial>(p.paths[same], block, s.coefficient, row, s.basis,
                                            p.dim_in > 0);
      }
    }
  }
}

template <class T>
void differentiate(const RadialProblem<T>& p, const T* g, T* grad_vec, bool need_in, T* grad_in,
                   int64_t begin, int64_t end, T* memory) {
  const Scratch<T> s(memory, p.dim_sh, p.max_pairs, p.n_gradients);
  const Features features{p.dim_in > 0, need_in};
  const int64_t gradient_lanes = kBlock * (p.dim_sh + 1) * Simd<T>::kWidth;
  for (int64_t i = begin; i < end; ++i) {
    for (int64_t at = p.owner_begin[i]; at < p.owner_begin[i + 1]; at += kBlock) {
      auto block = make_block(p, i, at, p.owner_begin[i + 1], s);
      for (int b = 0; need_in && b < block.n; ++b)
        block.grad_in[b] = grad_in + p.neighbor[at + b] * p.dim_in;
      for (int64_t k = 0; k < p.n_gradients * gradient_lanes; ++k) s.lanes[k] = 0;
      for (int64_t k = 0, n; k < p.n_paths; k += n) {
        n = same_terms(p, k);
        contract_sh(p.terms, p.paths[k], s.sh, s.coefficient);
        const int64_t together = p.n_gradients > 1 ? 1 : n;
        for (int64_t same = k; same < k + n; same += together)
          for_components<T, DifferentiateRadial>(
              p.paths[same], block, s.coefficient, g + i * p.dim_out, &s, features, p.terms,
              p.dim_sh, together, s.lanes + same % p.n_gradients * gradient_lanes);
      }
      for (int64_t k = 0; k < p.n_gradients; ++k) {
        sum_lanes(s.lanes + k * gradient_lanes, block.n * (p.dim_sh + 1), s.sums);
        chain_rule(p, block.n, s, grad_vec + 3 * (k * p.n_edges + at));
      }
    }
  }
}

}  // namespace

RadialLoops<float> radial_loops_f32() { return {convolve<float>, differentiate<float>}; }
RadialLoops<double> radial_loops_f64() { return {convolve<double>, differentiate<double>}; }

}  // namespace e3md::kernels::E3MD_ISA

#pragma once
#include "edge_conv_radial/hessian_kernel.h"
#include "edge_conv_radial/splines.h"
#include "edge_conv_radial/tangent.h"

// Second derivatives of edges that move: all terms, one edge of one copy at a time. Included once
// per instruction set, as simd.h.

namespace e3md::kernels::E3MD_ISA {
namespace {

/// Rows of kBlock numbers that only second derivatives to the edges need.
template <class T>
struct Bends {
  T* curvature;    ///< (kSplineTerms): second derivatives of the basis
  T* grad_sh_dot;  ///< (dim_sh): of S to the tangents of harmonics
  T* sums_dot;     ///< (kBlock, dim_sh + 1): of each edge to the tangents of harmonics and r

  Bends(T* memory, int64_t dim_sh) : curvature(memory) {
    grad_sh_dot = curvature + kSplineTerms * kBlock;
    sums_dot = grad_sh_dot + dim_sh * kBlock;
  }
};

/// Second derivatives of the quintic Hermite basis, as hermite().
template <class T>
void hermite_curvature(T* t_row, T inverse_spacing, T* curvature) {
  const T s = inverse_spacing * inverse_spacing;
  for (int k = 0; k < kVectorsOfBlock<T>; ++k) {
    const Vec<T> t = vectors(t_row, 0)[k];
    const Vec<T> bend = s * t * (T(60) + t * (T(120) * t - T(180)));
    vectors(curvature, 0)[k] = -bend;
    vectors(curvature, 1)[k] = s * t * (T(-36) + t * (T(96) - T(60) * t));
    vectors(curvature, 2)[k] = s * (T(1) + t * (T(-9) + t * (T(18) - T(10) * t)));
    vectors(curvature, 3)[k] = bend;
    vectors(curvature, 4)[k] = s * t * (T(-24) + t * (T(84) - T(60) * t));
    vectors(curvature, 5)[k] = s * t * (T(3) + t * (T(10) * t - T(12)));
  }
}

/// The edge that a path is worked on for.
template <class T>
struct HessianEdge {
  int b;  ///< its place in the block
  const RadialBlock<T>* block;
  const T* in_dot;  ///< null: zero
  T *to_g, *to_in;  ///< to_in null: not wanted
  const Scratch<T>* s;
  const Tangent<T>* tangent;
  const Bends<T>* bends;
  bool has_in;  ///< else ones
};

/// Second derivatives of one edge: sums over the channels of a path, tile after tile. With w the
/// weights, C the coefficients, x = in, y = g, and a dot for what changes along the tangents:
/// S = sum of (C_dot w x + C (w' r_dot x + w x_dot)) y.
template <class T, int M_IN, int M_OUT>
struct BendRadial {
  static constexpr int kVectors = 1;

  struct Sums {
    Vec<T> pairs[capacity<M_IN>() * capacity<M_OUT>()];      ///< to C
    Vec<T> pairs_dot[capacity<M_IN>() * capacity<M_OUT>()];  ///< to C_dot
    Vec<T> r, r_dot;
  };

  template <int N, bool FULL>
  static void tile(const Path& path, const HessianEdge<T>& edge, const T* coefficient, const T* g,
                   Sums* sums, int64_t channel, int lanes) {
    using Channels = Tile<T, N, FULL>;
    const int n_in = M_IN > 0 ? M_IN : path.n_in;
    const int n_out = M_OUT > 0 ? M_OUT : path.n_out;
    const int b = edge.b;
    const Knots<T, N> knots(edge.block->knot[b], edge.block->row, path.weight_offset + channel);
    const Channels w = knots.template combine<FULL>(edge.s->basis + b);
    const Channels slope = knots.template combine<FULL>(edge.s->slope + b);
    Channels rise = slope, bend = knots.template combine<FULL>(edge.bends->curvature + b);
    const T r_dot = edge.tangent->r[b];
    for (int n = 0; n < N; ++n) rise.v[n] *= r_dot, bend.v[n] *= r_dot;
    const int64_t at = path.in_offset + channel, stride = path.in_stride;
    const T* g_row = g + path.out_offset + channel;
    T* to_g_row = edge.to_g + path.out_offset + channel;
    Channels y[capacity<M_OUT>()], to_y[capacity<M_OUT>()];
    for (int k = 0; k < n_out; ++k) {
      y[k] = Channels::load(g_row + k * path.out_stride, lanes);
      to_y[k] = Channels::load(to_g_row + k * path.out_stride, lanes);
    }
    for (int m = 0; m < n_in; ++m) {
      const T* c = coefficient + m * n_out * kBlock + b;
      const T* c_dot = edge.tangent->coefficient + m * n_out * kBlock + b;
      Channels message{}, message_dot{};
      for (int k = 0; k < n_out; ++k) {
        message.add(c[k * kBlock], y[k]);
        message_dot.add(c_dot[k * kBlock], y[k]);
      }
      if (edge.to_in) {
        T* to_row = edge.to_in + at + m * stride;
        Channels to_x = Channels::load(to_row, lanes);
        to_x.add(rise, message);
        to_x.add(w, message_dot);
        to_x.store(to_row, lanes);
      }
      Channels wx = w, wx_dot = rise, slope_x = slope, to_slope = message_dot, bend_x = bend;
      if (edge.has_in) {
        const Channels x = Channels::load(edge.block->in[b] + at + m * stride, lanes);
        wx.multiply(x), wx_dot.multiply(x), slope_x.multiply(x);
        to_slope.multiply(x), bend_x.multiply(x);
      }
      if (edge.in_dot) {
        const Channels x_dot = Channels::load(edge.in_dot + at + m * stride, lanes);
        wx_dot.add(w, x_dot);
        to_slope.add(message, x_dot);
      }
      for (int n = 0; n < N; ++n) {
        sums->r_dot += slope_x.v[n] * message.v[n];
        sums->r += slope.v[n] * to_slope.v[n] + bend_x.v[n] * message.v[n];
      }
      for (int k = 0; k < n_out; ++k) {
        to_y[k].add(c[k * kBlock], wx_dot);
        to_y[k].add(c_dot[k * kBlock], wx);
        for (int n = 0; n < N; ++n) {
          sums->pairs[m * n_out + k] += wx_dot.v[n] * y[k].v[n];
          sums->pairs_dot[m * n_out + k] += wx.v[n] * y[k].v[n];
        }
      }
    }
    for (int k = 0; k < n_out; ++k) to_y[k].store(to_g_row + k * path.out_stride, lanes);
  }

  /// n_paths paths with the same terms, from `path` on; lanes and lanes_dot (dim_sh + 1) vectors.
  static void run(const Path& path, const HessianEdge<T>& edge, const T* coefficient, const T* g,
                  const Term<T>* terms, int64_t dim_sh, int64_t n_paths, Vec<T>* lanes,
                  Vec<T>* lanes_dot) {
    const int n_pairs = (M_IN > 0 ? M_IN : path.n_in) * (M_OUT > 0 ? M_OUT : path.n_out);
    Sums sums;
    for (int k = 0; k < n_pairs; ++k) sums.pairs[k] = sums.pairs_dot[k] = Vec<T>{};
    sums.r = sums.r_dot = Vec<T>{};
    for (int64_t n = 0; n < n_paths; ++n)
      for_channels<T, BendRadial>((&path)[n], edge, coefficient, g, &sums);
    for (int t = path.term_begin; t < path.term_end; ++t) {
      lanes[terms[t].column] += terms[t].value * sums.pairs[terms[t].pair];
      lanes_dot[terms[t].column] += terms[t].value * sums.pairs_dot[terms[t].pair];
    }
    lanes[dim_sh] += sums.r;
    lanes_dot[dim_sh] += sums.r_dot;
  }
};

/// Derivatives to the direction and to its tangent, (3) each, from those to the harmonics and
/// theirs: the recursion backwards.
template <class T>
void unwind_harmonics(const RadialProblem<T>& p, const Scratch<T>& s, const Tangent<T>& tangent,
                      const Bends<T>& bends, T* to_direction, T* to_direction_dot) {
  for (int64_t n_term = p.n_harmonics - 1; n_term >= 0; --n_term) {
    const HarmonicTerm<T> term = p.harmonics[n_term];
    for (int k = 0; k < kVectorsOfBlock<T>; ++k) {
      const Vec<T> g = term.value * vectors(s.grad_sh, term.out)[k];
      const Vec<T> g_dot = term.value * vectors(bends.grad_sh_dot, term.out)[k];
      const Vec<T> d = vectors(s.direction, term.component)[k];
      const Vec<T> d_dot = vectors(tangent.direction, term.component)[k];
      const Vec<T> lower = vectors(s.sh, term.lower)[k];
      vectors(s.grad_sh, term.lower)[k] += g * d + g_dot * d_dot;
      vectors(bends.grad_sh_dot, term.lower)[k] += g_dot * d;
      vectors(to_direction, term.component)[k] +=
          g * lower + g_dot * vectors(tangent.sh, term.lower)[k];
      vectors(to_direction_dot, term.component)[k] += g_dot * lower;
    }
  }
}

/// From derivatives of edge b to its direction d, its length and their tangents to those to its
/// vector v, with r_dot = u v_dot and, but for solid harmonics, d = u and d_dot = (v_dot - u r_dot)
/// / r, where u = v / r.
template <class T>
void bend_edge(const RadialProblem<T>& p, int b, const Scratch<T>& s, const Tangent<T>& tangent,
               const T* to_direction, const T* to_direction_dot, const T* edge_dot, T to_r,
               T to_r_dot, T* to_vec) {
  const T inverse_r = s.inverse_r[b], r_dot = tangent.r[b];
  T u[3], u_dot[3], along = 0, along_dot = 0, turn = 0;
  for (int a = 0; a < 3; ++a) {
    u[a] = s.direction[a * kBlock + b] * (p.solid ? inverse_r : T(1));
    u_dot[a] = (edge_dot[a] - u[a] * r_dot) * inverse_r;
    along += u[a] * to_direction[a * kBlock + b];
    along_dot += u[a] * to_direction_dot[a * kBlock + b];
    turn += u_dot[a] * to_direction_dot[a * kBlock + b];
  }
  for (int a = 0; a < 3; ++a) {
    const T to_d = to_direction[a * kBlock + b], to_d_dot = to_direction_dot[a * kBlock + b];
    to_vec[a] = to_r * u[a] + to_r_dot * u_dot[a];
    to_vec[a] += p.solid ? to_d
                         : inverse_r * (to_d - u[a] * along - u[a] * turn -
                                        r_dot * inverse_r * (to_d_dot - u[a] * along_dot) -
                                        along_dot * u_dot[a]);
  }
}

/// to_vec of the edges of a block whose bits are set.
template <class T>
void bend_edges(const RadialProblem<T>& p, uint32_t edges, int n, const Scratch<T>& s,
                const Tangent<T>& tangent, const Bends<T>& bends, const T* edge_dot, T* to_vec) {
  const int64_t width = p.dim_sh + 1;
  for (int b = 0; b < n; ++b)
    for (int64_t m = 0; m < p.dim_sh; ++m) {
      s.grad_sh[m * kBlock + b] = s.sums[b * width + m];
      bends.grad_sh_dot[m * kBlock + b] = bends.sums_dot[b * width + m];
    }
  T to_direction[3 * kBlock] = {}, to_direction_dot[3 * kBlock] = {};
  unwind_harmonics(p, s, tangent, bends, to_direction, to_direction_dot);
  for (int b = 0; b < n; ++b)
    if (edges >> b & 1)
      bend_edge(p, b, s, tangent, to_direction, to_direction_dot, edge_dot + 3 * b,
                s.sums[b * width + p.dim_sh], bends.sums_dot[b * width + p.dim_sh], to_vec + 3 * b);
}

}  // namespace
}  // namespace e3md::kernels::E3MD_ISA

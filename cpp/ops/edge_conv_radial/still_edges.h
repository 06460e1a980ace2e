#pragma once
#include "edge_conv_radial/hessian_kernel.h"
#include "edge_conv_radial/splines.h"
#include "edge_conv_radial/tangent.h"

// What many copies of a graph share on edges that do not move: the convolution is linear in
// features and cotangents, and its coefficients, weights and their slopes along x, y and z are made
// once for all copies. Included once per instruction set, as simd.h.

namespace e3md::kernels::E3MD_ISA {
namespace {

/// A block of edges of one receiver in all copies.
template <class T>
struct StillBlock {
  const RadialBlock<T>* block;
  const Scratch<T>* s;
  const UnitTangents<T>* unit;
  const int64_t* neighbor;  ///< of the block's edges
  int64_t dim_in, in_copy;  ///< columns of a row; from one copy's rows to the next's
  int64_t out_copy;
  int64_t n_copies;
};

/// How features of each copy change what edges send: in_dot of still edges to to_g, and what their
/// motion along x, y and z would change in sum(g * out), by feature, to `turns`.
template <class T>
struct StillFeatures : StillBlock<T> {
  const uint32_t* still;  ///< (copies): bits of the edges
  uint32_t any;
  const T* in_dot;
  T* to_g;   ///< row of the receiver in the first copy
  T* turns;  ///< (kBlock, 3, dim_in), added to
};

template <class T, int M_IN, int M_OUT>
struct ConvolveStill {
  static constexpr int kVectors = 2;

  template <int N, bool FULL>
  static void tile(const Path& path, const StillFeatures<T>& f, const T* coefficient, const T* g,
                   int64_t channel, int lanes) {
    using Channels = Tile<T, N, FULL>;
    const int n_in = M_IN > 0 ? M_IN : path.n_in;
    const int n_out = M_OUT > 0 ? M_OUT : path.n_out;
    const int64_t in = path.in_offset + channel, out = path.out_offset + channel;
    Channels weight[kBlock], y[capacity<M_OUT>()], sum[capacity<M_OUT>()];
    for (int k = 0; k < n_out; ++k) y[k] = Channels::load(g + out + k * path.out_stride, lanes);
    for (int b = 0; b < f.block->n; ++b) {
      if (!(f.any >> b & 1)) continue;
      const Knots<T, N> knots(f.block->knot[b], f.block->row, path.weight_offset + channel);
      weight[b] = knots.template combine<FULL>(f.s->basis + b);
      const Channels slope = knots.template combine<FULL>(f.s->slope + b);
      for (int m = 0; m < n_in; ++m) {
        Channels message{};
        for (int k = 0; k < n_out; ++k)
          message.add(coefficient[(m * n_out + k) * kBlock + b], y[k]);
        message.multiply(slope);
        for (int a = 0; a < 3; ++a) {
          const Tangent<T>& unit = f.unit->along[a];
          T* row = f.turns + (3 * b + a) * f.dim_in + in + m * path.in_stride;
          Channels turned{}, turn = Channels::load(row, lanes);
          for (int k = 0; k < n_out; ++k)
            turned.add(unit.coefficient[(m * n_out + k) * kBlock + b], y[k]);
          turn.add(weight[b], turned);
          turn.add(unit.r[b], message);
          turn.store(row, lanes);
        }
      }
    }
    for (int64_t copy = 0; copy < f.n_copies; ++copy) {
      if (!f.still[copy]) continue;
      T* to_row = f.to_g + copy * f.out_copy + out;
      for (int k = 0; k < n_out; ++k) sum[k] = Channels::load(to_row + k * path.out_stride, lanes);
      for (int b = 0; b < f.block->n; ++b) {
        if (!(f.still[copy] >> b & 1)) continue;
        const T* in_row = f.in_dot + copy * f.in_copy + f.neighbor[b] * f.dim_in + in;
        for (int m = 0; m < n_in; ++m) {
          Channels x = Channels::load(in_row + m * path.in_stride, lanes);
          x.multiply(weight[b]);
          for (int k = 0; k < n_out; ++k) sum[k].add(coefficient[(m * n_out + k) * kBlock + b], x);
        }
      }
      for (int k = 0; k < n_out; ++k) sum[k].store(to_row + k * path.out_stride, lanes);
    }
  }

  static void run(const Path& path, const StillFeatures<T>& f, const T* coefficient, const T* g) {
    for_channels<T, ConvolveStill>(path, f, coefficient, g);
  }
};

/// Sum of x y over n columns.
template <class T>
T dot(const T* x, const T* y, int64_t n) {
  constexpr int kWidth = Simd<T>::kWidth;
  Vec<T> lanes{};
  int64_t k = 0;
  for (; k + kWidth <= n; k += kWidth)
    lanes += *reinterpret_cast<const Vec<T>*>(x + k) * *reinterpret_cast<const Vec<T>*>(y + k);
  T sum = 0;
  for (int l = 0; l < kWidth; ++l) sum += lanes[l];
  for (; k < n; ++k) sum += x[k] * y[k];
  return sum;
}

/// to_vec of the still edges of a block, (3) each, from the first copy's block on.
template <class T>
void turn_still(const StillFeatures<T>& f, int64_t n_edges, T* to_vec) {
  for (int64_t copy = 0; copy < f.n_copies; ++copy)
    for (int b = 0; b < f.block->n; ++b) {
      if (!(f.still[copy] >> b & 1)) continue;
      const T* in_row = f.in_dot + copy * f.in_copy + f.neighbor[b] * f.dim_in;
      for (int a = 0; a < 3; ++a)
        to_vec[3 * (copy * n_edges + b) + a] =
            dot(in_row, f.turns + (3 * b + a) * f.dim_in, f.dim_in);
    }
}

/// Cotangents of each copy, to edges and features.
template <class T>
struct StillCotangents : StillBlock<T> {
  bool has_in;  ///< else ones
  bool need_in;
  const T* g;     ///< row of the receiver in the first copy
  T* to_in;       ///< (copies, n_nodes, dim_in), added to
  Vec<T>* lanes;  ///< (copies, kBlock, 3): to the edge vectors, added to
};

template <class T, int M_IN, int M_OUT>
struct DifferentiateStill {
  static constexpr int kVectors = 2;

  template <int N, bool FULL>
  static void tile(const Path& path, const StillCotangents<T>& f, const T* coefficient,
                   int64_t channel, int lanes) {
    using Channels = Tile<T, N, FULL>;
    const int n_in = M_IN > 0 ? M_IN : path.n_in;
    const int n_out = M_OUT > 0 ? M_OUT : path.n_out;
    const int64_t in = path.in_offset + channel, out = path.out_offset + channel;
    Channels weight[kBlock], y[capacity<M_OUT>()], turns[kBlock * 3 * capacity<M_OUT>()];
    for (int b = 0; b < f.block->n; ++b) {
      const Knots<T, N> knots(f.block->knot[b], f.block->row, path.weight_offset + channel);
      weight[b] = knots.template combine<FULL>(f.s->basis + b);
      const Channels slope = knots.template combine<FULL>(f.s->slope + b);
      Channels* turn = turns + 3 * b * n_out;
      for (int k = 0; k < 3 * n_out; ++k) turn[k] = Channels{};
      for (int m = 0; m < n_in; ++m) {
        Channels wx = weight[b], rise = slope;
        if (f.has_in) {
          const Channels x = Channels::load(f.block->in[b] + in + m * path.in_stride, lanes);
          wx.multiply(x);
          rise.multiply(x);
        }
        for (int a = 0; a < 3; ++a)
          for (int k = 0; k < n_out; ++k) {
            const int64_t at = (m * n_out + k) * kBlock + b;
            turn[a * n_out + k].add(f.unit->along[a].coefficient[at], wx);
            turn[a * n_out + k].add(coefficient[at] * f.unit->along[a].r[b], rise);
          }
      }
    }
    for (int64_t copy = 0; copy < f.n_copies; ++copy) {
      const T* g_row = f.g + copy * f.out_copy + out;
      for (int k = 0; k < n_out; ++k) y[k] = Channels::load(g_row + k * path.out_stride, lanes);
      for (int b = 0; b < f.block->n; ++b) {
        T* to_row =
            f.need_in ? f.to_in + copy * f.in_copy + f.neighbor[b] * f.dim_in + in : nullptr;
        for (int m = 0; f.need_in && m < n_in; ++m) {
          Channels message{}, to_x = Channels::load(to_row + m * path.in_stride, lanes);
          for (int k = 0; k < n_out; ++k)
            message.add(coefficient[(m * n_out + k) * kBlock + b], y[k]);
          to_x.add(weight[b], message);
          to_x.store(to_row + m * path.in_stride, lanes);
        }
        const Channels* turn = turns + 3 * b * n_out;
        for (int a = 0; a < 3; ++a) {
          Channels sum{};
          for (int k = 0; k < n_out; ++k) sum.add(turn[a * n_out + k], y[k]);
          f.lanes[(copy * kBlock + b) * 3 + a] += sum.sum();
        }
      }
    }
  }

  static void run(const Path& path, const StillCotangents<T>& f, const T* coefficient) {
    for_channels<T, DifferentiateStill>(path, f, coefficient);
  }
};

}  // namespace
}  // namespace e3md::kernels::E3MD_ISA

#include "edge_conv_radial/training_kernel.h"

#include "edge_conv_radial/splines.h"
#include "edge_conv_radial/tangent.h"

namespace e3md::kernels::E3MD_ISA {
namespace {

template <class T>
struct TrainingBlock : RadialBlock<T> {
  bool has_in_dot;
  const T* in_dot[kBlock];  ///< only with has_in_dot
  T* grad_knot[kBlock];     ///< as knot
};

/// grad_knot += basis times `value` + slope times `slope_value`, in one vector of columns.
template <class T>
E3MD_INLINE void add_to_knots(T* grad_knot, int64_t row, int64_t column, const T* basis,
                              Vec<T> value, const T* slope, Vec<T> slope_value) {
  T* at = grad_knot + column / kTableGroup * (kTableValues * kTableGroup) + column % kTableGroup;
  for (int q = 0; q < kTableValues; ++q) {
    *reinterpret_cast<Vec<T>*>(at + q * kTableGroup) +=
        basis[q * kBlock] * value + slope[q * kBlock] * slope_value;
    *reinterpret_cast<Vec<T>*>(at + row + q * kTableGroup) +=
        basis[(q + kTableValues) * kBlock] * value +
        slope[(q + kTableValues) * kBlock] * slope_value;
  }
}

template <class T, int M_IN, int M_OUT, bool SECOND>
struct TrainRadial {
  static constexpr int kVectors = 2;

  template <int N, bool FULL>
  static void tile(const Path& path, const TrainingBlock<T>& block, const T* coefficient,
                   const T* g, T* to_g, const Scratch<T>* s, const Tangent<T>* tangent,
                   int64_t channel, int lanes) {
    using Channels = Tile<T, N, FULL>;
    const int n_in = M_IN > 0 ? M_IN : path.n_in;
    const int n_out = M_OUT > 0 ? M_OUT : path.n_out;
    const int64_t out = path.out_offset + channel;
    const int64_t at = path.in_offset + channel, stride = path.in_stride;
    const bool has_in_dot = block.has_in_dot;
    Channels y[capacity<M_OUT>()], sum[capacity<M_OUT>()];
    for (int k = 0; k < n_out; ++k) y[k] = Channels::load(g + out + k * path.out_stride, lanes);
    if constexpr (SECOND)
      for (int k = 0; k < n_out; ++k)
        sum[k] = Channels::load(to_g + out + k * path.out_stride, lanes);
    for (int b = 0; b < block.n; ++b) {
      const Knots<T, N> knots(block.knot[b], block.row, path.weight_offset + channel);
      const Channels w = knots.template combine<FULL>(s->basis + b);
      Channels dw{}, to_w{}, to_dw{};
      if constexpr (SECOND) {
        dw = knots.template combine<FULL>(s->slope + b);
        for (int n = 0; n < N; ++n) dw.v[n] *= tangent->r[b];
      }
      const T *in = block.in[b] + at, *in_dot = has_in_dot ? block.in_dot[b] + at : nullptr;
      T* grad_in = block.grad_in[b] + at;
      for (int m = 0; m < n_in; ++m) {
        const Channels x = Channels::load(in + m * stride, lanes);
        Channels message{}, to_x = Channels::load(grad_in + m * stride, lanes);
        const T* c = coefficient + m * n_out * kBlock + b;
        for (int k = 0; k < n_out; ++k) message.add(c[k * kBlock], y[k]);
        if constexpr (!SECOND) {
          to_x.add(w, message);
          to_w.add(message, x);
        } else {
          const T* c_dot = tangent->coefficient + m * n_out * kBlock + b;
          Channels message_dot{}, rise = dw, wx = w;
          for (int k = 0; k < n_out; ++k) message_dot.add(c_dot[k * kBlock], y[k]);
          rise.multiply(x);
          wx.multiply(x);
          if (has_in_dot) {
            const Channels x_dot = Channels::load(in_dot + m * stride, lanes);
            rise.add(w, x_dot);
            to_w.add(message, x_dot);
          }
          for (int k = 0; k < n_out; ++k) {
            sum[k].add(c[k * kBlock], rise);
            sum[k].add(c_dot[k * kBlock], wx);
          }
          to_x.add(dw, message);
          to_x.add(w, message_dot);
          to_w.add(message_dot, x);
          to_dw.add(message, x);
        }
        to_x.store(grad_in + m * stride, lanes);
      }
      for (int n = 0; n < N; ++n) {
        if constexpr (SECOND) to_dw.v[n] *= tangent->r[b];
        add_to_knots(block.grad_knot[b], block.row,
                     path.weight_offset + channel + n * Simd<T>::kWidth, s->basis + b, to_w.v[n],
                     s->slope + b, to_dw.v[n]);
      }
    }
    if constexpr (SECOND)
      for (int k = 0; k < n_out; ++k) sum[k].store(to_g + out + k * path.out_stride, lanes);
  }

  static void run(const Path& path, const TrainingBlock<T>& block, const T* coefficient, const T* g,
                  T* to_g, const Scratch<T>* s, const Tangent<T>* tangent) {
    for_channels<T, TrainRadial>(path, block, coefficient, g, to_g, s, tangent);
  }
};

template <class T, int M_IN, int M_OUT>
using TrainFirst = TrainRadial<T, M_IN, M_OUT, false>;
template <class T, int M_IN, int M_OUT>
using TrainSecond = TrainRadial<T, M_IN, M_OUT, true>;

template <class T>
void train(const RadialProblem<T>& p, const RadialTraining<T>& training, int64_t begin, int64_t end,
           T* memory) {
  const Scratch<T> s(memory, p.dim_sh, p.max_pairs, 1);
  const Tangent<T> tangent(memory + radial_scratch_size(p.dim_sh, p.max_pairs, 1), p.dim_sh);
  const bool second = training.has_tangents;
  for (int64_t i = begin; i < end; ++i) {
    T* to_g = second ? training.to_g + i * p.dim_out : nullptr;
    for (int64_t k = 0; second && k < p.dim_out; ++k) to_g[k] = 0;
    for (int64_t at = p.owner_begin[i]; at < p.owner_begin[i + 1]; at += kBlock) {
      TrainingBlock<T> block{
          make_block(p, i, at, p.owner_begin[i + 1], s), training.has_in_dot, {}, {}};
      for (int b = 0; b < block.n; ++b) {
        const int64_t j = p.neighbor[at + b];
        block.grad_in[b] = training.to_in + j * p.dim_in;
        if (block.has_in_dot) block.in_dot[b] = training.in_dot + j * p.dim_in;
        block.grad_knot[b] = training.to_values + (block.knot[b] - p.table.values);
      }
      if (second) measure_tangent(p, training.edge_dot + 3 * at, block.n, s, tangent);
      for (int64_t k = 0; k < p.n_paths; ++k) {
        const Path& path = p.paths[k];
        const T* g = training.g + i * p.dim_out;
        contract_sh(p.terms, path, s.sh, s.coefficient);
        if (second) {
          contract_sh(p.terms, path, tangent.sh, tangent.coefficient);
          for_components<T, TrainSecond>(path, block, s.coefficient, g, to_g, &s, &tangent);
        } else {
          for_components<T, TrainFirst>(path, block, s.coefficient, g, to_g, &s, &tangent);
        }
      }
    }
  }
}

}  // namespace

RadialTrainingLoop<float> radial_training_loop_f32() { return train<float>; }
RadialTrainingLoop<double> radial_training_loop_f64() { return train<double>; }

}  // namespace e3md::kernels::E3MD_ISA

#include "edge_conv/kernel.h"

#include "common/path_simd.h"
#include "common/simd.h"

namespace e3md::kernels::E3MD_ISA {
namespace {

/// Up to kBlock edges of one owner.
template <class T>
struct Block {
  int n;
  int64_t edge[kBlock];
  const T* in[kBlock];
  const T* weights[kBlock];
};

template <class T>
Block<T> make_block(const Problem<T>& p, int64_t begin, int64_t end) {
  Block<T> block;
  block.n = static_cast<int>(end - begin < kBlock ? end - begin : kBlock);
  for (int b = 0; b < block.n; ++b) {
    const int64_t e = p.in_order ? begin + b : p.edge_ids[begin + b];
    block.edge[b] = e;
    block.in[b] = p.in + p.in_node[e] * p.dim_in;
    block.weights[b] = p.weights + e * p.n_weights;
  }
  return block;
}

/// sh of the block, transposed to (dim_sh, kBlock) so that coefficients vectorize over edges.
template <class T>
void transpose_sh(const Problem<T>& p, const Block<T>& block, T* sh) {
  for (int64_t k = 0; k < p.dim_sh * kBlock; ++k) sh[k] = 0;
  for (int b = 0; b < block.n; ++b)
    for (int64_t m = 0; m < p.dim_sh; ++m) sh[m * kBlock + b] = p.sh[block.edge[b] * p.dim_sh + m];
}

/// out[m_out] += sum over edges of w * coefficient[m_in, m_out] * in[m_in], for one tile of
/// channels.
template <class T, int M_IN, int M_OUT, int N, bool FULL>
void convolve_tile(const Path& path, const Block<T>& block, const T* coefficient, T* out,
                   int64_t channel, int lanes) {
  using Channels = Tile<T, N, FULL>;
  const int n_in = M_IN > 0 ? M_IN : path.n_in;
  const int n_out = M_OUT > 0 ? M_OUT : path.n_out;
  T* out_row = out + path.out_offset + channel;
  Channels sum[capacity<M_OUT>()];
  for (int k = 0; k < n_out; ++k) sum[k] = Channels::load(out_row + k * path.out_stride, lanes);
  for (int b = 0; b < block.n; ++b) {
    const Channels w = Channels::load(block.weights[b] + path.weight_offset + channel, lanes);
    const T* in_row = block.in[b] + path.in_offset + channel;
    Channels x[capacity<M_IN>()];
    for (int m = 0; m < n_in; ++m) {
      x[m] = Channels::load(in_row + m * path.in_stride, lanes);
      x[m].multiply(w);
    }
    for (int m = 0; m < n_in; ++m)
      for (int k = 0; k < n_out; ++k) sum[k].add(coefficient[(m * n_out + k) * kBlock + b], x[m]);
  }
  for (int k = 0; k < n_out; ++k) sum[k].store(out_row + k * path.out_stride, lanes);
}

template <class T, int M_IN, int M_OUT>
struct Convolve {
  static constexpr int kVectors = 2;  // of a wide tile: more would not fit the registers
  template <int N, bool FULL>
  static void tile(const Path& path, const Block<T>& block, const T* coefficient, T* out,
                   int64_t channel, int lanes) {
    convolve_tile<T, M_IN, M_OUT, N, FULL>(path, block, coefficient, out, channel, lanes);
  }
  static void run(const Path& path, const Block<T>& block, const T* coefficient, T* out) {
    for_channels<T, Convolve>(path, block, coefficient, out);
  }
};

/// Where differentiate_tile leaves its results.
template <class T>
struct Gradients {
  bool need_sh, need_weights;
  T* sh;       ///< (kBlock, dim_sh, kWidth) partial sums by lane
  T* weights;  ///< (n_edges, n_weights)
  int64_t dim_sh, n_weights;
  const Term<T>* terms;
};

/// grad_w += sum of coefficient * in * g;  grad_sh[column] += value * sum of w * in * g.
template <class T, int M_IN, int M_OUT, int N, bool FULL>
void differentiate_tile(const Path& path, const Block<T>& block, const T* coefficient, const T* g,
                        const Gradients<T>& gradients, int64_t channel, int lanes) {
  using Channels = Tile<T, N, FULL>;
  const int n_in = M_IN > 0 ? M_IN : path.n_in;
  const int n_out = M_OUT > 0 ? M_OUT : path.n_out;
  for (int b = 0; b < block.n; ++b) {
    const T* in_row = block.in[b] + path.in_offset + channel;
    Channels x[capacity<M_IN>()], y[capacity<M_OUT>()];
    for (int m = 0; m < n_in; ++m) x[m] = Channels::load(in_row + m * path.in_stride, lanes);
    for (int k = 0; k < n_out; ++k)
      y[k] = Channels::load(g + path.out_offset + channel + k * path.out_stride, lanes);
    if (gradients.need_weights) {
      T* grad_w =
          gradients.weights + block.edge[b] * gradients.n_weights + path.weight_offset + channel;
      Channels sum = Channels::load(grad_w, lanes);
      for (int m = 0; m < n_in; ++m) {
        Channels t{};
        for (int k = 0; k < n_out; ++k) t.add(coefficient[(m * n_out + k) * kBlock + b], y[k]);
        sum.add(t, x[m]);
      }
      sum.store(grad_w, lanes);
    }
    if (gradients.need_sh) {
      const Channels w = Channels::load(block.weights[b] + path.weight_offset + channel, lanes);
      for (int m = 0; m < n_in; ++m) x[m].multiply(w);
      Vec<T> pairs[capacity<M_IN>() * capacity<M_OUT>()];
      for (int m = 0; m < n_in; ++m)
        for (int k = 0; k < n_out; ++k) {
          Channels product = x[m];
          product.multiply(y[k]);
          pairs[m * n_out + k] = product.sum();
        }
      auto* grad_sh = reinterpret_cast<Vec<T>*>(gradients.sh) + b * gradients.dim_sh;
      for (int t = path.term_begin; t < path.term_end; ++t) {
        const Term<T> term = gradients.terms[t];
        grad_sh[term.column] += term.value * pairs[term.pair];
      }
    }
  }
}

template <class T, int M_IN, int M_OUT>
struct Differentiate {
  static constexpr int kVectors = 4;  // the work on grad_sh is once per tile: few and wide ones
  template <int N, bool FULL>
  static void tile(const Path& path, const Block<T>& block, const T* coefficient, const T* g,
                   const Gradients<T>& gradients, int64_t channel, int lanes) {
    differentiate_tile<T, M_IN, M_OUT, N, FULL>(path, block, coefficient, g, gradients, channel,
                                                lanes);
  }
  static void run(const Path& path, const Block<T>& block, const T* coefficient, const T* g,
                  const Gradients<T>& gradients) {
    for_channels<T, Differentiate>(path, block, coefficient, g, gradients);
  }
};

template <class T>
void convolve(const Problem<T>& p, T* out, int64_t begin, int64_t end, T* scratch) {
  T* sh = scratch;
  T* coefficient = sh + p.dim_sh * kBlock;
  for (int64_t i = begin; i < end; ++i) {
    T* row = out + i * p.dim_out;
    for (int64_t k = 0; k < p.dim_out; ++k) row[k] = 0;
    for (int64_t at = p.owner_begin[i]; at < p.owner_begin[i + 1]; at += kBlock) {
      const Block<T> block = make_block(p, at, p.owner_begin[i + 1]);
      transpose_sh(p, block, sh);
      for (int64_t k = 0; k < p.n_paths; ++k) {
        contract_sh(p.terms, p.paths[k], sh, coefficient);
        for_components<T, Convolve>(p.paths[k], block, coefficient, row);
      }
    }
  }
}

template <class T>
void differentiate(const Problem<T>& p, const T* g, const EdgeGradients<T>& to, int64_t begin,
                   int64_t end, T* scratch) {
  T* sh = scratch;
  T* coefficient = sh + p.dim_sh * kBlock;
  T* lanes = coefficient + p.max_pairs * kBlock;
  const Gradients<T> gradients{to.need_sh, to.need_weights, lanes,  to.weights,
                               p.dim_sh,   p.n_weights,     p.terms};
  for (int64_t i = begin; i < end; ++i) {
    for (int64_t at = p.owner_begin[i]; at < p.owner_begin[i + 1]; at += kBlock) {
      const Block<T> block = make_block(p, at, p.owner_begin[i + 1]);
      transpose_sh(p, block, sh);
      if (to.need_sh)
        for (int64_t k = 0; k < block.n * p.dim_sh * Simd<T>::kWidth; ++k) lanes[k] = 0;
      if (to.need_weights)
        for (int b = 0; b < block.n; ++b)
          for (int64_t k = 0; k < p.n_weights; ++k) to.weights[block.edge[b] * p.n_weights + k] = 0;
      for (int64_t k = 0; k < p.n_paths; ++k) {
        if (to.need_weights) contract_sh(p.terms, p.paths[k], sh, coefficient);
        for_components<T, Differentiate>(p.paths[k], block, coefficient, g + i * p.dim_out,
                                         gradients);
      }
      if (to.need_sh) sum_lanes(lanes, block.n * p.dim_sh, to.sh + at * p.dim_sh);
    }
  }
}

}  // namespace

Loops<float> loops_f32() { return {convolve<float>, differentiate<float>}; }
Loops<double> loops_f64() { return {convolve<double>, differentiate<double>}; }

}  // namespace e3md::kernels::E3MD_ISA

#include "edge_conv_kernel.h"

#include <utility>  // integer_sequence: types only, no code

#if defined(__AVX512F__)
#define E3MD_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define E3MD_VECTOR_BYTES 32
#else
#define E3MD_VECTOR_BYTES 16
#endif

namespace e3md::kernels::E3MD_ISA {
namespace {

template <class T>
struct Simd {
  typedef T V __attribute__((vector_size(E3MD_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
  static constexpr int kWidth = E3MD_VECTOR_BYTES / sizeof(T);
};
template <class T>
using Vec = typename Simd<T>::V;

/// N neighboring vectors of channels. FULL: all lanes; else only the first `lanes` exist in memory
/// and the others read as zero.
template <class T, int N, bool FULL>
struct Tile {
  static constexpr int kChannels = N * Simd<T>::kWidth;
  Vec<T> v[N];

  static Tile load(const T* p, int lanes) {
    Tile t{};
    if constexpr (FULL) {
      for (int n = 0; n < N; ++n) t.v[n] = reinterpret_cast<const Vec<T>*>(p)[n];
    } else {
      for (int l = 0; l < lanes; ++l) t.v[0][l] = p[l];
    }
    return t;
  }
  void store(T* p, int lanes) const {
    if constexpr (FULL) {
      for (int n = 0; n < N; ++n) reinterpret_cast<Vec<T>*>(p)[n] = v[n];
    } else {
      for (int l = 0; l < lanes; ++l) p[l] = v[0][l];
    }
  }
  void add(const Tile& a, const Tile& b) {
    for (int n = 0; n < N; ++n) v[n] += a.v[n] * b.v[n];
  }
  void add(T a, const Tile& b) {
    for (int n = 0; n < N; ++n) v[n] += a * b.v[n];
  }
  void multiply(const Tile& a) {
    for (int n = 0; n < N; ++n) v[n] *= a.v[n];
  }
  Vec<T> sum() const {
    Vec<T> s = v[0];
    for (int n = 1; n < N; ++n) s += v[n];
    return s;
  }
};

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
    const int64_t e = p.edge_ids ? p.edge_ids[begin + b] : begin + b;
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

/// coefficient[pair][edge of the block] = sum of value * sh over the terms of the pair.
template <class T>
void contract_sh(const Problem<T>& p, const Path& path, const T* sh, T* coefficient) {
  const int n_pairs = path.n_in * path.n_out;
  for (int k = 0; k < n_pairs * kBlock; ++k) coefficient[k] = 0;
  for (int t = path.term_begin; t < path.term_end; ++t) {
    const Term<T> term = p.terms[t];
    auto* c = reinterpret_cast<Vec<T>*>(coefficient + term.pair * kBlock);
    const auto* y = reinterpret_cast<const Vec<T>*>(sh + term.column * kBlock);
    for (int k = 0; k < kBlock / Simd<T>::kWidth; ++k) c[k] += term.value * y[k];
  }
}

/// Components of one side of a path: N, or known only at run time (N = 0).
template <int N>
constexpr int capacity() {
  return N > 0 ? N : kMaxComponents;
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
};

/// Where differentiate_tile leaves its results.
template <class T>
struct Gradients {
  T* sh;       ///< (kBlock, dim_sh, kWidth) partial sums by lane; null: not wanted
  T* weights;  ///< (n_edges, n_weights); null: not wanted
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
    if (gradients.weights) {
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
    if (gradients.sh) {
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
};

/// All channels of a path: wide tiles, then two vectors, one vector, and what is left.
template <class T, class Operation, class... Arguments>
void for_channels(const Path& path, const Block<T>& block, const T* coefficient,
                  Arguments... arguments) {
  constexpr int kWidth = Simd<T>::kWidth;
  constexpr int kVectors = Operation::kVectors;
  int64_t c = 0;
  for (; c + kVectors * kWidth <= path.mul; c += kVectors * kWidth)
    Operation::template tile<kVectors, true>(path, block, coefficient, arguments..., c, 0);
  for (; c + 2 * kWidth <= path.mul; c += 2 * kWidth)
    Operation::template tile<2, true>(path, block, coefficient, arguments..., c, 0);
  for (; c + kWidth <= path.mul; c += kWidth)
    Operation::template tile<1, true>(path, block, coefficient, arguments..., c, 0);
  if (c < path.mul)
    Operation::template tile<1, false>(path, block, coefficient, arguments..., c,
                                       static_cast<int>(path.mul - c));
}

/// Picks the loop compiled for the number of components l ≤ 3 has; else the one for any.
template <class T, template <class, int, int> class Operation, class... Arguments>
void for_components(const Path& path, const Block<T>& block, const T* coefficient,
                    Arguments... arguments) {
#define E3MD_CASE(n_in, n_out) \
  case n_in * 8 + n_out:       \
    return for_channels<T, Operation<T, n_in, n_out>>(path, block, coefficient, arguments...);
#define E3MD_CASES(n_in) E3MD_CASE(n_in, 1) E3MD_CASE(n_in, 3) E3MD_CASE(n_in, 5) E3MD_CASE(n_in, 7)
  const bool small = path.n_in < 8 && path.n_out < 8;
  switch (small ? path.n_in * 8 + path.n_out : 0) {
    E3MD_CASES(1)
    E3MD_CASES(3)
    E3MD_CASES(5)
    E3MD_CASES(7)
    default:
      return for_channels<T, Operation<T, 0, 0>>(path, block, coefficient, arguments...);
  }
#undef E3MD_CASES
#undef E3MD_CASE
}

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
        contract_sh(p, p.paths[k], sh, coefficient);
        for_components<T, Convolve>(p.paths[k], block, coefficient, row);
      }
    }
  }
}

/// Lanes l of the result: a[l] + a[l ^ HALF] where bit HALF of l is clear, else the same of b.
template <int HALF, class V, int... LANE>
V fold(V a, V b, std::integer_sequence<int, LANE...>) {
  constexpr int kWidth = sizeof...(LANE);
  return __builtin_shufflevector(a, b, (LANE & HALF ? kWidth + LANE : LANE)...) +
         __builtin_shufflevector(a, b, (LANE & HALF ? kWidth + (LANE ^ HALF) : (LANE ^ HALF))...);
}

/// Sums of the lanes of kWidth rows, one lane each: log2(kWidth) rounds of folding rows together.
template <class T, int HALF>
void fold_rows(Vec<T>* rows) {
  for (int r = 0; r < HALF; ++r)
    rows[r] =
        fold<HALF>(rows[r], rows[r + HALF], std::make_integer_sequence<int, Simd<T>::kWidth>());
  if constexpr (HALF > 1) fold_rows<T, HALF / 2>(rows);
}

/// Adds up the lanes of (n_rows, kWidth), overwriting them. kBlock rows divide into whole groups,
/// so the last group may read rows beyond n_rows but never beyond the scratch memory.
template <class T>
void sum_lanes(T* lanes, int64_t n_rows, T* sums) {
  constexpr int kWidth = Simd<T>::kWidth;
  for (int64_t at = 0; at < n_rows; at += kWidth) {
    auto* rows = reinterpret_cast<Vec<T>*>(lanes) + at;
    fold_rows<T, kWidth / 2>(rows);
    for (int l = 0; l < kWidth && at + l < n_rows; ++l) sums[at + l] = rows[0][l];
  }
}

template <class T>
void differentiate(const Problem<T>& p, const T* g, T* grad_sh, T* grad_weights, int64_t begin,
                   int64_t end, T* scratch) {
  T* sh = scratch;
  T* coefficient = sh + p.dim_sh * kBlock;
  T* lanes = coefficient + p.max_pairs * kBlock;
  const Gradients<T> gradients{grad_sh ? lanes : nullptr, grad_weights, p.dim_sh, p.n_weights,
                               p.terms};
  for (int64_t i = begin; i < end; ++i) {
    for (int64_t at = p.owner_begin[i]; at < p.owner_begin[i + 1]; at += kBlock) {
      const Block<T> block = make_block(p, at, p.owner_begin[i + 1]);
      transpose_sh(p, block, sh);
      if (grad_sh)
        for (int64_t k = 0; k < block.n * p.dim_sh * Simd<T>::kWidth; ++k) lanes[k] = 0;
      if (grad_weights)
        for (int b = 0; b < block.n; ++b)
          for (int64_t k = 0; k < p.n_weights; ++k)
            grad_weights[block.edge[b] * p.n_weights + k] = 0;
      for (int64_t k = 0; k < p.n_paths; ++k) {
        if (grad_weights) contract_sh(p, p.paths[k], sh, coefficient);
        for_components<T, Differentiate>(p.paths[k], block, coefficient, g + i * p.dim_out,
                                         gradients);
      }
      if (grad_sh) sum_lanes(lanes, block.n * p.dim_sh, grad_sh + at * p.dim_sh);
    }
  }
}

}  // namespace

Loops<float> loops_f32() { return {convolve<float>, differentiate<float>}; }
Loops<double> loops_f64() { return {convolve<double>, differentiate<double>}; }

}  // namespace e3md::kernels::E3MD_ISA

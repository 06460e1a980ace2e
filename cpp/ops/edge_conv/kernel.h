#pragma once
#include <cstdint>

// The loops of edge_conv, free of torch and of inline library code: edge_conv_kernel.cpp is
// compiled once per instruction set, with E3MD_ISA as the name of its namespace.

namespace e3md::kernels {

/// Edges handled together: coefficients are computed for this many edges at once.
inline constexpr int kBlock = 16;
/// Lanes of the widest vector: float in AVX-512.
inline constexpr int kMaxLanes = 16;
/// Largest number of components (2l+1) of an irrep on either side of a path.
inline constexpr int kMaxComponents = 32;

/// One Clebsch-Gordan entry of a path: coefficient[pair] += value * sh[column].
template <class T>
struct Term {
  int32_t pair;    ///< m_in * n_out + m_out
  int32_t column;  ///< of sh
  T value;
};

/// One product in ⊗ sh -> out, channel by channel, with weights of its own.
struct Path {
  int64_t in_offset, in_stride;
  int64_t out_offset, out_stride;
  int64_t weight_offset, mul;
  int32_t n_in, n_out;
  int32_t term_begin, term_end;
};

/// What both loops read. Arrays are row-major; `owner` is the node whose edges lie side by side:
/// the edges of owner i are edge_ids[owner_begin[i] .. owner_begin[i + 1]).
template <class T>
struct Problem {
  const T* in;       ///< (nodes, dim_in), row in_node[e] belongs to edge e
  const T* sh;       ///< (n_edges, dim_sh)
  const T* weights;  ///< (n_edges, n_weights)
  int64_t dim_in, dim_sh, n_weights, dim_out;
  const int64_t* owner_begin;
  bool in_order;            ///< edge e is at place e
  const int64_t* edge_ids;  ///< of each place, unless in_order
  const int64_t* in_node;   ///< (n_edges)
  const Path* paths;
  const Term<T>* terms;
  int64_t n_paths;
  int64_t max_pairs;  ///< largest n_in * n_out
};

/// Elements of scratch memory, aligned to 64 bytes, that a call of either loop needs.
inline int64_t scratch_size(int64_t dim_sh, int64_t max_pairs) {
  return kBlock * (dim_sh + max_pairs + kMaxLanes * dim_sh);
}

/// Where derivatives go. Flags, not pointers, say what is wanted: the memory of an empty tensor is
/// null as well.
template <class T>
struct EdgeGradients {
  bool need_sh, need_weights;
  T* sh;       ///< (n_edges, dim_sh)
  T* weights;  ///< (n_edges, n_weights)
};

template <class T>
struct Loops {
  /// out (owners, dim_out): sum over the edges of owners [begin, end).
  void (*convolve)(const Problem<T>&, T* out, int64_t begin, int64_t end, T* scratch);
  /// For g (owners, dim_out): derivatives of sum(g * out) to sh and weights, rows of the edges of
  /// owners [begin, end).
  void (*differentiate)(const Problem<T>&, const T* g, const EdgeGradients<T>&, int64_t begin,
                        int64_t end, T* scratch);
};

#define E3MD_DECLARE(isa)    \
  namespace isa {            \
  Loops<float> loops_f32();  \
  Loops<double> loops_f64(); \
  }
E3MD_DECLARE(baseline)
E3MD_DECLARE(avx2)
E3MD_DECLARE(avx512)
#undef E3MD_DECLARE

}  // namespace e3md::kernels

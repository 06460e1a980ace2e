#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "edge_conv_radial/op.h"

namespace e3md::gpu {

/// One kernel's call: kernels forward_k and backward_k of the text, with rows that begin at a
/// column.
struct Launch {
  int64_t kernel;    ///< k
  int64_t h, out;    ///< first column of features and of results
  int64_t table;     ///< first number in a knot
  int64_t gradient;  ///< which of the edge vectors' gradients
  int64_t n_tiles;   ///< of 32 channels: the grid's second size
};

/// CUDA C++ for one convolution, and the calls that make all of its results.
struct Specialised {
  std::string text;
  std::vector<Launch> launches;
  bool fills;  ///< whether every column of the results is written
};

/// Threads of a block: a warp for each of as many receivers.
inline constexpr int kWarps = 4;

/// dim_in, dim_out: columns of features (0: ones) and results; float64: what the kernels count in.
/// Throws where paths share some columns of their results only.
Specialised specialise(const RadialTables& tables, bool solid, int64_t dim_in, int64_t dim_out,
                       int64_t n_gradients, bool float64);

}  // namespace e3md::gpu

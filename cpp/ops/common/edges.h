#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace e3md {

/// Shapes and dtypes of edge_conv's arguments.
void check_edges(const at::Tensor& sh, const at::Tensor& weights, const at::Tensor& edge_index);
void check_features(const at::Tensor& rows, const at::Tensor& sh, const at::Tensor& weights);

/// Checks edge_index; returns where the edges of each receiver begin, (n_local + 1).
std::vector<int64_t> receiver_begin(const at::Tensor& edge_index, int64_t n_local, int64_t n_nodes);

/// Threads for a loop over nodes.
inline int loop_threads() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

/// Runs `body(begin, end, scratch)` over chunks of [0, n_owners), with `size` elements of scratch
/// memory. Each owner is the work of one thread from beginning to end, so results do not depend on
/// the number of threads.
template <class T, class Body>
void for_owners(int64_t n_owners, int64_t size, Body body) {
  constexpr int64_t kChunk = 8;
  const int64_t n_chunks = (n_owners + kChunk - 1) / kChunk;
  const int n_threads = loop_threads();
#pragma omp parallel num_threads(n_threads) if (n_threads > 1 && n_chunks > 1)
  {
    std::vector<T> scratch(size);
#pragma omp for schedule(dynamic)
    for (int64_t chunk = 0; chunk < n_chunks; ++chunk)
      body(chunk * kChunk, std::min(n_owners, (chunk + 1) * kChunk), scratch.data());
  }
}

}  // namespace e3md

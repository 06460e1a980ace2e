#include "hessian_columns.h"

#include <algorithm>

#include "common/copies.h"

namespace e3md {

int64_t copies_for_hessian(const Graph& graph) {
  constexpr int64_t kNodes = 1 << 10;
  const int64_t most = std::min<int64_t>(kMaxCopies, kNodes / std::max<int64_t>(1, graph.n_nodes));
  return std::clamp<int64_t>(most, 1, std::max<int64_t>(1, 3 * graph.n_local));
}

Graph repeat(const Graph& graph, int64_t n) {
  Graph copies;
  copies.n_local = n * graph.n_local;
  copies.n_nodes = n * graph.n_nodes;
  const auto append = [](auto& to, const auto& from, auto offset) {
    for (const auto value : from) to.push_back(value + offset);
  };
  for (int64_t c = 0; c < n; ++c) {
    append(copies.types, graph.types, 0);
    append(copies.labels, graph.labels, 0);
    append(copies.edge_i, graph.edge_i, c * graph.n_local);
    append(copies.edge_j, graph.edge_j, c * graph.n_local);
    append(copies.edge_vec, graph.edge_vec, 0);
  }
  return copies;
}

std::vector<double> edge_motions(const Graph& graph, int64_t n_copies, int64_t first,
                                 int64_t n_columns) {
  const int64_t n_edges = graph.n_edges();
  std::vector<double> motions(3 * n_copies * n_edges, 0.0);
  for (int64_t c = 0; c < n_columns; ++c) {
    const int64_t atom = (first + c) / 3, axis = (first + c) % 3;
    for (int64_t e = 0; e < n_edges; ++e)
      motions[3 * (c * n_edges + e) + axis] =
          double(graph.edge_j[e] == atom) - (graph.edge_i[e] == atom);
  }
  return motions;
}

void add_columns(const Graph& graph, const double* rows, int64_t first, int64_t n_columns,
                 std::vector<double>& hessian) {
  const int64_t n = 3 * graph.n_local, n_edges = graph.n_edges();
  for (int64_t c = 0; c < n_columns; ++c)
    for (int64_t e = 0; e < n_edges; ++e)
      for (int a = 0; a < 3; ++a) {
        const double value = rows[3 * (c * n_edges + e) + a];
        hessian[(3 * graph.edge_j[e] + a) * n + first + c] += value;
        hessian[(3 * graph.edge_i[e] + a) * n + first + c] -= value;
      }
}

}  // namespace e3md

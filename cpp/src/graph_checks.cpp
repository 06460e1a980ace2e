#include "graph_checks.h"

#include <cmath>
#include <limits>

#include "e3md/error.h"

namespace e3md {
namespace {

/// Distance to the nearest neighbor of a node, Å, as text for a message.
std::string nearest_neighbor(const Graph& graph, int64_t node) {
  double nearest2 = std::numeric_limits<double>::infinity();
  int64_t other = -1;
  for (int64_t e = 0; e < graph.n_edges(); ++e) {
    if (graph.edge_i[e] != node && graph.edge_j[e] != node) continue;
    const double* r = graph.edge_vec.data() + 3 * e;
    const double r2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
    if (r2 >= nearest2) continue;
    nearest2 = r2;
    other = graph.edge_i[e] == node ? graph.edge_j[e] : graph.edge_i[e];
  }
  if (other < 0) return "which has no neighbor within the cutoff";
  return "whose nearest neighbor, atom " + std::to_string(graph.labels[other]) + ", is at " +
         std::to_string(std::sqrt(nearest2)) + " Å";
}

}  // namespace

void fail_not_finite(const Graph& graph, const std::string& what, int64_t node) {
  throw Error(
      "the model gives " + what + " that is not finite for atom " +
      std::to_string(graph.labels[node]) + ", " + nearest_neighbor(graph, node) +
      ". The structure is far from what the model was trained on, or the run has blown up.");
}

void check_finite(const Graph& graph, const std::vector<double>& values, const char* what) {
  if (graph.n_nodes == 0) return;
  for (size_t k = 0; k < values.size(); ++k)
    if (!std::isfinite(values[k])) {
      const auto width = values.size() / graph.n_nodes;
      fail_not_finite(graph, what, width ? k / width : k);
    }
}

void check_graph(const Graph& graph, const Metadata& metadata) {
  const auto n_edges = graph.edge_i.size();
  if (graph.n_local < 0 || graph.n_nodes < graph.n_local ||
      graph.types.size() != static_cast<size_t>(graph.n_nodes) ||
      graph.labels.size() != graph.types.size() || graph.edge_j.size() != n_edges ||
      graph.edge_vec.size() != 3 * n_edges)
    throw Error("the sizes of the graph's arrays do not match n_local, n_nodes and n_edges");
  const auto n_species = static_cast<int64_t>(metadata.species.size());
  for (int64_t i = 0; i < graph.n_nodes; ++i)
    if (graph.types[i] < 0 || graph.types[i] >= n_species)
      throw Error("atom " + std::to_string(graph.labels[i]) + " has the type " +
                  std::to_string(graph.types[i]) + ", but the model has the types 0 to " +
                  std::to_string(n_species - 1));
  for (size_t e = 0; e < n_edges; ++e) {
    const int64_t i = graph.edge_i[e], j = graph.edge_j[e];
    if (i < 0 || i >= graph.n_local || j < 0 || j >= graph.n_nodes)
      throw Error("edge " + std::to_string(e) + " of the graph joins nodes " + std::to_string(i) +
                  " and " + std::to_string(j) + ", out of range");
    const double* r = graph.edge_vec.data() + 3 * e;
    const double r2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
    if (!(r2 >= kCoincident * kCoincident))
      throw Error("atoms " + std::to_string(graph.labels[i]) + " and " +
                  std::to_string(graph.labels[j]) + " coincide: they are " +
                  std::to_string(std::sqrt(r2)) + " Å apart");
  }
}

}  // namespace e3md

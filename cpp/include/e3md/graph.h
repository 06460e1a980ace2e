#pragma once
#include <cstdint>
#include <vector>

namespace e3md {

/// What the model sees: no positions, no cell, only edges. Nodes are the n_local atoms that receive
/// messages, then ghosts (copies of atoms that another MPI rank owns).
struct Graph {
  int64_t n_local = 0;
  int64_t n_nodes = 0;
  std::vector<int64_t> types;    ///< (n_nodes) model species
  std::vector<int64_t> labels;   ///< (n_nodes) names of the atoms for messages
  std::vector<int64_t> edge_i;   ///< (n_edges) receiving atom, always < n_local, non-decreasing
  std::vector<int64_t> edge_j;   ///< (n_edges) neighbor, < n_nodes
  std::vector<double> edge_vec;  ///< (n_edges, 3) r_j - r_i with the periodic shift, Å, < cutoff

  int64_t n_edges() const { return static_cast<int64_t>(edge_i.size()); }
};

}  // namespace e3md

#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "e3md/graph.h"
#include "e3md/metadata.h"

// What a graph must be before it is evaluated, and what its results must be. Everything throws
// Error.

namespace e3md {

/// Sizes, species, nodes of edges; no two atoms in one place.
void check_graph(const Graph& graph, const Metadata& metadata);

/// values: rows of equal width for each node.
void check_finite(const Graph& graph, const std::vector<double>& values, const char* what);

/// Names the atom and its nearest neighbor.
[[noreturn]] void fail_not_finite(const Graph& graph, const std::string& what, int64_t node);

}  // namespace e3md

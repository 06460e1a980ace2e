#pragma once
#include <cstdint>
#include <vector>

#include "e3md/graph.h"

// Several columns of a Hessian in one pass: copies of a graph, none joined to another, in each of
// which another coordinate moves.

namespace e3md {

/// How many copies a Hessian takes together, which share much of the work: as many as have a
/// thousand atoms. More cost more memory and leave the cache.
int64_t copies_for_hessian(const Graph& graph);

/// A graph without ghosts n times; node k of copy c has the number c n_local + k.
Graph repeat(const Graph& graph, int64_t n);

/// How coordinates `first` on move the edge vectors, one in each of the first n_columns copies:
/// (n_copies, n_edges, 3).
std::vector<double> edge_motions(const Graph& graph, int64_t n_copies, int64_t first,
                                 int64_t n_columns);

/// Adds columns `first` on to a Hessian, (3 n_local, 3 n_local): rows, derivatives to the edge
/// vectors of each copy, (n_columns, n_edges, 3), gathered at the atoms.
void add_columns(const Graph& graph, const double* rows, int64_t first, int64_t n_columns,
                 std::vector<double>& hessian);

}  // namespace e3md

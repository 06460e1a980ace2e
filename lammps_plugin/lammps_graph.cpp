// SPDX-License-Identifier: GPL-2.0-or-later
#include "lammps_graph.h"

#include <cmath>
#include <utility>

#include "atom.h"
#include "e3md/error.h"
#include "neigh_list.h"

using LAMMPS_NS::Atom;
using LAMMPS_NS::NeighList;

LammpsGraph::LammpsGraph(std::vector<int> species, double cutoff, double length)
    : species_(std::move(species)), cutoff_squared_(cutoff * cutoff), length_(length) {}

void LammpsGraph::add_node(const Atom& atom, int i) {
  node_[i] = static_cast<int>(atoms_.size());
  atoms_.push_back(i);
  graph_.types.push_back(species_[atom.type[i]]);
  graph_.labels.push_back(atom.tag_enable ? atom.tag[i] : i + 1);
  const double* x = atom.x[i];
  if (!std::isfinite(x[0] + x[1] + x[2])) e3md::check_positions(x, &graph_.labels.back(), 1);
}

void LammpsGraph::add_edges(const Atom& atom, int i, const int* neighbors, int n) {
  const double* xi = atom.x[i];
  for (int k = 0; k < n; ++k) {
    const int j = neighbors[k] & NEIGHMASK;  // the upper bits mark special bonds
    if (species_[atom.type[j]] < 0) continue;
    const double* xj = atom.x[j];
    const double d[3] = {(xj[0] - xi[0]) * length_, (xj[1] - xi[1]) * length_,
                         (xj[2] - xi[2]) * length_};
    // Written so that a distance that is not a number becomes an edge, and so an error.
    if (d[0] * d[0] + d[1] * d[1] + d[2] * d[2] >= cutoff_squared_) continue;
    const int owner = owners_[j];
    if (owner < 0 && node_[j] < 0) add_node(atom, j);
    graph_.edge_i.push_back(node_[i]);
    graph_.edge_j.push_back(node_[owner < 0 ? j : owner]);
    graph_.edge_vec.insert(graph_.edge_vec.end(), d, d + 3);
  }
}

const e3md::Graph& LammpsGraph::build(const Atom& atom, const NeighList& list) {
  node_.assign(atom.nlocal + atom.nghost, -1);
  listed_.assign(atom.nlocal, 0);
  atoms_.clear();
  graph_.types.clear();
  graph_.labels.clear();
  graph_.edge_i.clear();
  graph_.edge_j.clear();
  graph_.edge_vec.clear();
  for (int i = 0; i < atom.nlocal; ++i)
    if (species_[atom.type[i]] >= 0 && !(atom.mask[i] & absent_)) add_node(atom, i);
  graph_.n_local = static_cast<int64_t>(atoms_.size());
  // In the order of the atoms, whatever the list's: edges must be sorted by receiver.
  for (int k = 0; k < list.inum; ++k) listed_[list.ilist[k]] = 1;
  for (int i = 0; i < atom.nlocal; ++i)
    if (listed_[i] && node_[i] >= 0) add_edges(atom, i, list.firstneigh[i], list.numneigh[i]);
  graph_.n_nodes = static_cast<int64_t>(atoms_.size());
  return graph_;
}

double LammpsGraph::memory_usage() const {
  const auto bytes = [](const auto& v) { return static_cast<double>(v.capacity() * sizeof(v[0])); };
  return bytes(owners_) + bytes(node_) + bytes(listed_) + bytes(atoms_) + bytes(graph_.types) +
         bytes(graph_.labels) + bytes(graph_.edge_i) + bytes(graph_.edge_j) +
         bytes(graph_.edge_vec);
}

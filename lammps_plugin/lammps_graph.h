// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <utility>
#include <vector>

#include "e3md/graph.h"

namespace LAMMPS_NS {
class Atom;
class NeighList;
}  // namespace LAMMPS_NS

/// LAMMPS' atoms and full neighbor list as the graph a model sees. Ghosts that are images of this
/// rank's own atoms become edges to those atoms; ghosts of other ranks within the cutoff become
/// ghost nodes.
class LammpsGraph {
 public:
  /// species: (n_types + 1) model type of each LAMMPS type, from index 1; -1 for NULL.
  /// cutoff: Å; length: Å per LAMMPS length unit.
  LammpsGraph(std::vector<int> species, double cutoff, double length);

  /// After each reneighboring: (n_local + n_ghost) index of the owning atom if this rank owns it,
  /// else -1.
  void set_owners(std::vector<int> owners) { owners_ = std::move(owners); }

  /// Groups (bits of Atom::mask) whose atoms are not there for the moment.
  void set_absent(int bits) { absent_ = bits; }

  /// Edges from the present positions. Throws e3md::Error for positions that are not finite.
  const e3md::Graph& build(const LAMMPS_NS::Atom& atom, const LAMMPS_NS::NeighList& list);

  /// (n_nodes) LAMMPS atom of each node of the last graph.
  const std::vector<int>& atoms() const { return atoms_; }

  double memory_usage() const;

 private:
  void add_node(const LAMMPS_NS::Atom& atom, int i);
  void add_edges(const LAMMPS_NS::Atom& atom, int i, const int* neighbors, int n);

  std::vector<int> species_;
  double cutoff_squared_;
  double length_;
  int absent_ = 0;
  std::vector<int> owners_;
  std::vector<int> node_;     ///< (n_local + n_ghost) node of a LAMMPS atom, -1 if none
  std::vector<char> listed_;  ///< (n_local) the neighbor list has a row for the atom
  std::vector<int> atoms_;
  e3md::Graph graph_;
};

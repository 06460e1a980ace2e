// SPDX-License-Identifier: GPL-2.0-or-later
#include "zbl_check.h"

#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "atom.h"
#include "force.h"
#include "lammps.h"
#include "pair.h"

using LAMMPS_NS::LAMMPS;

namespace {

/// The sub-styles zbl, with any suffix.
std::vector<const LAMMPS_NS::Pair*> zbl_styles(LAMMPS_NS::Force& force) {
  std::vector<const LAMMPS_NS::Pair*> styles;
  for (int k = 1; const LAMMPS_NS::Pair* zbl = force.pair_match("^zbl", 0, k); ++k) {
    if (!styles.empty() && styles.back() == zbl) break;  // a single one matches any number
    styles.push_back(zbl);
  }
  return styles;
}

/// All pairs of types one <= other, in a row.
size_t slot(int one, int other, int n_types) {
  return static_cast<size_t>(std::min(one, other)) * (n_types + 1) + std::max(one, other);
}

/// Collective. Å between the nearest atoms of each pair of types; infinite where there are none.
std::vector<double> shortest(const LAMMPS& lmp, const e3md::Graph& graph,
                             const std::vector<int>& atoms) {
  const int n_types = lmp.atom->ntypes;
  std::vector<double> own((n_types + 1) * (n_types + 1), std::numeric_limits<double>::infinity());
  for (int64_t e = 0; e < graph.n_edges(); ++e) {
    const double* d = graph.edge_vec.data() + 3 * e;
    double& least = own[slot(lmp.atom->type[atoms[graph.edge_i[e]]],
                             lmp.atom->type[atoms[graph.edge_j[e]]], n_types)];
    least = std::min(least, std::hypot(d[0], d[1], d[2]));
  }
  std::vector<double> all(own.size());
  MPI_Allreduce(own.data(), all.data(), static_cast<int>(own.size()), MPI_DOUBLE, MPI_MIN,
                lmp.world);
  return all;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

/// Of the pairs of types both evaluate, one that zbl reaches in the structure as it is.
std::string reached(const LAMMPS_NS::Pair& zbl, const std::vector<double>& nearest,
                    const std::vector<std::string>& names, double length) {
  const int n_types = static_cast<int>(names.size());
  for (int i = 1; i <= n_types; ++i)
    for (int j = i; j <= n_types; ++j) {
      if (names[i - 1].empty() || names[j - 1].empty() || !zbl.setflag[i][j]) continue;
      const double outer = std::sqrt(zbl.cutsq[i][j]) * length, r = nearest[slot(i, j, n_types)];
      if (r < outer)
        return "pair_style zbl reaches to " + number(outer) + " Å, but " + names[i - 1] + " and " +
               names[j - 1] + " are " + number(r) +
               " Å apart in this structure: it changes energies and forces that the model learned. "
               "Its outer radius must lie below the shortest bond.";
    }
  return "";
}

}  // namespace

std::string zbl_conflict(const LAMMPS& lmp, const e3md::Graph& graph, const std::vector<int>& atoms,
                         const std::vector<std::string>& names, double length, bool has_zbl) {
  const std::vector<const LAMMPS_NS::Pair*> styles = zbl_styles(*lmp.force);
  if (styles.empty()) return "";
  if (has_zbl)
    return "the model holds the ZBL repulsion (zbl: true), and pair_style zbl adds it once more. "
           "Remove pair_style zbl.";
  const std::vector<double> nearest = shortest(lmp, graph, atoms);
  for (const LAMMPS_NS::Pair* zbl : styles) {
    const std::string text = reached(*zbl, nearest, names, length);
    if (!text.empty()) return text;
  }
  return "";
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "neighbor_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "atom.h"
#include "comm.h"
#include "e3md/neighbor_list.h"
#include "force.h"
#include "group.h"
#include "lammps.h"
#include "neigh_list.h"
#include "neighbor.h"

using LAMMPS_NS::LAMMPS;
using LAMMPS_NS::Neighbor;
using LAMMPS_NS::NeighList;
using Names = std::vector<std::string>;

namespace {

/// Comm keeps the group of `comm_modify group` to itself and its heirs; 0: all.
struct CommGroup : LAMMPS_NS::Comm {
  static int of(const LAMMPS_NS::Comm& comm) { return comm.*&CommGroup::bordergroup; }
};

std::string group_name(const LAMMPS& lmp, int group) { return lmp.group->names[group]; }

/// Whether exclusion k is what fix gcmc, widom or charge/regulation sets for its trials: a group of
/// its own, with a name that no input can give, against all.
bool is_trial(const LAMMPS& lmp, int k) {
  const std::string name = group_name(lmp, lmp.neighbor->ex1_group[k]);
  return lmp.neighbor->ex2_group[k] == 0 && name.rfind("Fix", 0) == 0 &&
         name.find("exclusion_group:") != std::string::npos;
}

/// An exclusion of two types that are both the model's, as it was written.
std::string excluded_types(const Neighbor& neighbor, const Names& names) {
  for (int k = 0; k < neighbor.nex_type; ++k) {
    const int one = neighbor.ex1_type[k], other = neighbor.ex2_type[k];
    if (!names[one - 1].empty() && !names[other - 1].empty())
      return "type " + std::to_string(one) + " " + std::to_string(other);
  }
  return "";
}

/// An exclusion of groups or molecules, as it was written.
std::string excluded_atoms(const LAMMPS& lmp) {
  const Neighbor& neighbor = *lmp.neighbor;
  for (int k = 0; k < neighbor.nex_group; ++k)
    if (!is_trial(lmp, k))
      return "group " + group_name(lmp, neighbor.ex1_group[k]) + " " +
             group_name(lmp, neighbor.ex2_group[k]);
  if (neighbor.nex_mol == 0) return "";
  return std::string(neighbor.ex_mol_intra[0] ? "molecule/intra " : "molecule/inter ") +
         group_name(lmp, neighbor.ex_mol_group[0]);
}

std::string refusal(const std::string& command, const std::string& instead) {
  return "pair_style e3nn: '" + command +
         "' takes neighbors away that a many-body potential needs: energies and forces of the "
         "atoms around them would be wrong. " +
         instead;
}

const char* const kNoExclusions =
    "Write 'neigh_modify exclude none'; to hold atoms still, leave them out of the group of the "
    "integrator, or use fix setforce.";

/// Factors that can only be a mistake, as this style scales no pair.
bool scales_bonded(const LAMMPS& lmp) {
  for (int k = 1; k <= 3; ++k)
    if (lmp.force->special_lj[k] != 1 || lmp.force->special_coul[k] != 1) return true;
  return false;
}

/// Whether atoms of this rank have partners that special_bonds takes out of the list.
bool drops_bonded(const LAMMPS& lmp) {
  const LAMMPS_NS::Atom& atom = *lmp.atom;
  const int* flag = lmp.neighbor->special_flag;  // 0: out of the list
  if (!atom.molecular || (flag[1] && flag[2] && flag[3])) return false;
  if (!atom.nspecial) return true;  // atom_style template: the molecules know
  for (int i = 0; i < atom.nlocal; ++i)
    if (atom.nspecial[i][2] > 0) return true;
  return false;
}

/// The settings that could be at fault, and what to write instead of each.
std::string suspects(const LAMMPS& lmp, const NeighList& list) {
  std::string text;
  const auto add = [&](const std::string& one) { text += (text.empty() ? "" : "; ") + one; };
  if (drops_bonded(lmp))
    add("special_bonds (write 'special_bonds lj/coul 1 1 1', or 1e-50 in place of 0 where another "
        "pair style needs the factors)");
  if (lmp.neighbor->nex_type || !excluded_atoms(lmp).empty())
    add("neigh_modify exclude (write 'neigh_modify exclude none')");
  if (lmp.neighbor->includegroup) add("neigh_modify include (write 'neigh_modify include all')");
  if (list.molskip) add("pair_style hybrid/molecular (write 'pair_style hybrid/overlay')");
  return text;
}

/// Atoms of the model's types, own ones first, and where they are.
struct Present {
  std::vector<int> atoms;         ///< LAMMPS' indices
  std::vector<double> positions;  ///< (n, 3) Å
};

Present present_atoms(const LAMMPS& lmp, const Names& names, double length) {
  const LAMMPS_NS::Atom& atom = *lmp.atom;
  const int absent = absent_bits(lmp);
  Present present;
  for (int i = 0; i < atom.nlocal + atom.nghost; ++i) {
    if (names[atom.type[i] - 1].empty() || (atom.mask[i] & absent)) continue;
    present.atoms.push_back(i);
    for (int a = 0; a < 3; ++a) present.positions.push_back(atom.x[i][a] * length);
  }
  return present;
}

/// (n_local) the neighbors of each atom in the list, ascending.
std::vector<std::vector<int>> listed_neighbors(const LAMMPS& lmp, const NeighList& list) {
  std::vector<std::vector<int>> rows(lmp.atom->nlocal);
  for (int k = 0; k < list.inum; ++k) {
    const int i = list.ilist[k];
    for (int m = 0; m < list.numneigh[i]; ++m) rows[i].push_back(list.firstneigh[i][m] & NEIGHMASK);
    std::sort(rows[i].begin(), rows[i].end());
  }
  return rows;
}

/// The first pair within reach that the list lacks, as text; empty if there is none.
std::string first_missing(const LAMMPS& lmp, const NeighList& list, const Present& present,
                          double reach) {
  const auto rows = listed_neighbors(lmp, list);
  const e3md::Structure cluster{static_cast<int64_t>(present.atoms.size()),
                                present.positions.data(),
                                {},
                                {}};  // images are ghosts already
  const e3md::Graph near = e3md::NeighborList(reach, 0).graph(cluster);
  for (int64_t e = 0; e < near.n_edges(); ++e) {
    const int i = present.atoms[near.edge_i[e]], j = present.atoms[near.edge_j[e]];
    if (i >= lmp.atom->nlocal) break;  // from here on ghosts, whose neighbors are others' concern
    if (std::binary_search(rows[i].begin(), rows[i].end(), j)) continue;
    const double* r = near.edge_vec.data() + 3 * e;
    char distance[32];
    std::snprintf(distance, sizeof distance, "%.3g", std::hypot(r[0], r[1], r[2]));
    const LAMMPS_NS::tagint* tag = lmp.atom->tag;
    return "atoms " + std::to_string(tag[i]) + " and " + std::to_string(tag[j]) + ", " + distance +
           " Å apart";
  }
  return "";
}

/// An own atom that other ranks do not hear of, as text; empty if there is none.
std::string unsent_atom(const LAMMPS& lmp, const Names& names) {
  const int group = CommGroup::of(*lmp.comm);
  for (int i = 0; group && i < lmp.atom->nlocal; ++i)
    if (!names[lmp.atom->type[i] - 1].empty() && !(lmp.atom->mask[i] & lmp.group->bitmask[group]))
      return std::to_string(lmp.atom->tag[i]);
  return "";
}

}  // namespace

int absent_bits(const LAMMPS& lmp) {
  int bits = 0;
  for (int k = 0; k < lmp.neighbor->nex_group; ++k)
    if (is_trial(lmp, k)) bits |= lmp.neighbor->ex1_bit[k];
  return bits;
}

std::string hidden_by_settings(const LAMMPS& lmp, const Names& names, bool alone) {
  const std::string types = excluded_types(*lmp.neighbor, names);
  if (!types.empty()) return refusal("neigh_modify exclude " + types, kNoExclusions);
  if (!alone) return "";
  const std::string atoms = excluded_atoms(lmp);
  if (!atoms.empty()) return refusal("neigh_modify exclude " + atoms, kNoExclusions);
  if (const int group = lmp.neighbor->includegroup)
    return refusal("neigh_modify include " + group_name(lmp, group),
                   "Write 'neigh_modify include all'.");
  if (const int group = CommGroup::of(*lmp.comm))
    return refusal("comm_modify group " + group_name(lmp, group), "Write 'comm_modify group all'.");
  if (lmp.atom->molecular && lmp.atom->nbondtypes > 0 && scales_bonded(lmp))
    return "pair_style e3nn: special_bonds would hide or scale neighbors that are bonded in the "
           "topology, now or when bonds come during the run. Write 'special_bonds lj/coul 1 1 1'.";
  return "";
}

std::string hidden_in_list(const LAMMPS& lmp, const NeighList& list, const Names& names,
                           double reach, double length) {
  const std::string unsent = unsent_atom(lmp, names);
  if (!unsent.empty())
    return "pair_style e3nn: 'comm_modify group' hides atom " + unsent +
           " from the neighbors it has on other ranks. Write 'comm_modify group all'.";
  const std::string why = suspects(lmp, list);
  if (why.empty()) return "";
  const std::string pair = first_missing(lmp, list, present_atoms(lmp, names, length), reach);
  if (pair.empty()) return "";
  return "pair_style e3nn: " + pair +
         ", are missing from the neighbor list, and a many-body potential needs all neighbors of "
         "its types. What takes neighbors away here: " +
         why + ".";
}

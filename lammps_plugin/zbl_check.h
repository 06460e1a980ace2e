// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <string>
#include <vector>

#include "e3md/graph.h"

namespace LAMMPS_NS {
class LAMMPS;
}

/// Collective. Whether pair_style zbl beside e3nn changes what the model learned: it reaches bonds
/// that are there, or the model holds ZBL itself. Text of a warning; empty if all is well.
/// atoms: (n_nodes) LAMMPS atom of each node; names: element of each type from type 1; length: Å
/// per LAMMPS length unit; has_zbl: of the model.
std::string zbl_conflict(const LAMMPS_NS::LAMMPS& lmp, const e3md::Graph& graph,
                         const std::vector<int>& atoms, const std::vector<std::string>& names,
                         double length, bool has_zbl);

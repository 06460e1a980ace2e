// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <string>
#include <vector>

namespace LAMMPS_NS {
class LAMMPS;
class NeighList;
}  // namespace LAMMPS_NS

/// A model's forces are right only if every neighbor of its types within the cutoff is in the list.
/// LAMMPS has many ways to leave some out. They are refused here: before a run where an input shows
/// them, else after each reneighboring, before forces are computed from the list.
/// names: element of each LAMMPS type from type 1, empty for NULL.

/// Bits of the groups whose atoms fix gcmc and its kin take out of the system for a trial. Such
/// atoms are in no list and count as not there.
int absent_bits(const LAMMPS_NS::LAMMPS& lmp);

/// What in the input takes neighbors away, and what to write instead; empty if nothing does for
/// certain. alone: the pair style is not part of a hybrid, so all atoms and bonds are its own.
std::string hidden_by_settings(const LAMMPS_NS::LAMMPS& lmp, const std::vector<std::string>& names,
                               bool alone);

/// Two atoms nearer than `reach` that the new list lacks as neighbors, and why; empty if there are
/// none. Searches only where a setting could hide some. Needs ghosts up to date.
/// reach: Å; length: Å per LAMMPS length unit.
std::string hidden_in_list(const LAMMPS_NS::LAMMPS& lmp, const LAMMPS_NS::NeighList& list,
                           const std::vector<std::string>& names, double reach, double length);

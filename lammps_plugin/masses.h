// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <string>
#include <vector>

/// g/mol per mass unit of a LAMMPS unit style. Throws e3md::Error for an unknown style.
double lammps_mass_unit(const std::string& style);

/// Throws e3md::Error if the masses show that elements were named in another order than the types:
/// one has the mass of another element named. Masses that are unusual otherwise are the user's to
/// choose: returns a text about them, empty if there are none.
/// names: element of each LAMMPS type from type 1, empty for NULL; masses: g/mol.
std::string check_masses(const std::vector<std::string>& names, const std::vector<double>& masses);

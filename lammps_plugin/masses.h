// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <string>
#include <vector>

/// g/mol per mass unit of a LAMMPS unit style. Throws e3md::Error for an unknown style.
double lammps_mass_unit(const std::string& style);

/// Throws e3md::Error if a mass contradicts the element its type is named after, as when elements
/// are given in another order than the types.
/// names: element of each LAMMPS type from type 1, empty for NULL; masses: g/mol.
void check_masses(const std::vector<std::string>& names, const std::vector<double>& masses);

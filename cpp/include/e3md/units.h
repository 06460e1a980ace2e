#pragma once
#include <string>

namespace e3md {

/// Multiply a quantity in the host's units by these to get eV and Å.
struct Units {
  double energy;  ///< eV per host energy unit
  double length;  ///< Å per host length unit

  double force() const { return energy / length; }
};

/// Units of a LAMMPS unit style (CODATA 2018). Throws Error for "lj" and unknown names.
Units lammps_units(const std::string& style);

}  // namespace e3md

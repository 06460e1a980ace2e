// The unit table against defining relations between the styles.
#include <cmath>

#include "check.h"
#include "e3md/units.h"

namespace {

bool close(double a, double b) { return std::abs(a - b) <= 1e-9 * std::abs(b); }

}  // namespace

int main() {
  using e3md::lammps_units;
  REQUIRE(lammps_units("metal").energy == 1 && lammps_units("metal").length == 1);
  REQUIRE(close(lammps_units("real").energy, 0.043364104241801));        // kcal/mol
  REQUIRE(close(lammps_units("electron").force(), 51.422067476325886));  // Hartree/bohr
  const auto si = lammps_units("si"), cgs = lammps_units("cgs");
  REQUIRE(close(si.energy, 1e7 * cgs.energy) && close(si.length, 1e2 * cgs.length));
  REQUIRE(close(si.energy, 1e15 * lammps_units("micro").energy));
  REQUIRE(close(si.energy, 1e21 * lammps_units("nano").energy));
  REQUIRE(close(si.length, 1e6 * lammps_units("micro").length));
  REQUIRE(close(si.length, 1e9 * lammps_units("nano").length));
  require_error([] { lammps_units("lj"); }, "units metal");
  require_error([] { lammps_units("Real"); }, "'Real'");
}

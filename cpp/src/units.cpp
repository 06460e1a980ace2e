#include "e3md/units.h"

#include "e3md/error.h"

namespace e3md {
namespace {

// CODATA 2018
constexpr double kElementaryCharge = 1.602176634e-19;  // J per eV, exact
constexpr double kAvogadro = 6.02214076e23;            // exact
constexpr double kHartree = 27.211386245988;           // eV
constexpr double kBohr = 0.529177210903;               // Å

constexpr double from_joule(double joule) { return joule / kElementaryCharge; }

}  // namespace

Units lammps_units(const std::string& style) {
  if (style == "metal") return {1.0, 1.0};
  if (style == "real") return {from_joule(4184.0 / kAvogadro), 1.0};  // kcal/mol
  if (style == "si") return {from_joule(1.0), 1e10};
  if (style == "cgs") return {from_joule(1e-7), 1e8};  // erg, cm
  if (style == "electron") return {kHartree, kBohr};
  if (style == "micro") return {from_joule(1e-15), 1e4};  // pg (µm/µs)², µm
  if (style == "nano") return {from_joule(1e-21), 10.0};  // ag (nm/ns)², nm
  if (style == "lj")
    throw Error("units lj are dimensionless, but e3md models are in eV and Å: write 'units metal'");
  throw Error("unknown LAMMPS unit style '" + style +
              "': use metal, real, si, cgs, electron, micro or nano");
}

}  // namespace e3md

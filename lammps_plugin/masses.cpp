// SPDX-License-Identifier: GPL-2.0-or-later
#include "masses.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <utility>

#include "e3md/error.h"

namespace {

constexpr double kAvogadro = 6.02214076e23;

// Standard atomic weights, g/mol (IUPAC 2016); mass of the longest-lived isotope where there is
// none.
constexpr std::pair<const char*, double> kMasses[] = {
    {"H", 1.008},    {"He", 4.0026},  {"Li", 6.94},    {"Be", 9.01218}, {"B", 10.81},
    {"C", 12.011},   {"N", 14.007},   {"O", 15.999},   {"F", 18.9984},  {"Ne", 20.1797},
    {"Na", 22.9898}, {"Mg", 24.305},  {"Al", 26.9815}, {"Si", 28.085},  {"P", 30.9738},
    {"S", 32.06},    {"Cl", 35.45},   {"Ar", 39.948},  {"K", 39.0983},  {"Ca", 40.078},
    {"Sc", 44.9559}, {"Ti", 47.867},  {"V", 50.9415},  {"Cr", 51.9961}, {"Mn", 54.938},
    {"Fe", 55.845},  {"Co", 58.9332}, {"Ni", 58.6934}, {"Cu", 63.546},  {"Zn", 65.38},
    {"Ga", 69.723},  {"Ge", 72.63},   {"As", 74.9216}, {"Se", 78.971},  {"Br", 79.904},
    {"Kr", 83.798},  {"Rb", 85.4678}, {"Sr", 87.62},   {"Y", 88.9058},  {"Zr", 91.224},
    {"Nb", 92.9064}, {"Mo", 95.95},   {"Tc", 97.9072}, {"Ru", 101.07},  {"Rh", 102.906},
    {"Pd", 106.42},  {"Ag", 107.868}, {"Cd", 112.414}, {"In", 114.818}, {"Sn", 118.71},
    {"Sb", 121.76},  {"Te", 127.6},   {"I", 126.904},  {"Xe", 131.293}, {"Cs", 132.905},
    {"Ba", 137.327}, {"La", 138.905}, {"Ce", 140.116}, {"Pr", 140.908}, {"Nd", 144.242},
    {"Pm", 144.913}, {"Sm", 150.36},  {"Eu", 151.964}, {"Gd", 157.25},  {"Tb", 158.925},
    {"Dy", 162.5},   {"Ho", 164.93},  {"Er", 167.259}, {"Tm", 168.934}, {"Yb", 173.054},
    {"Lu", 174.967}, {"Hf", 178.49},  {"Ta", 180.948}, {"W", 183.84},   {"Re", 186.207},
    {"Os", 190.23},  {"Ir", 192.217}, {"Pt", 195.084}, {"Au", 196.967}, {"Hg", 200.592},
    {"Tl", 204.38},  {"Pb", 207.2},   {"Bi", 208.98},  {"Po", 208.982}, {"At", 209.987},
    {"Rn", 222.018}, {"Fr", 223.02},  {"Ra", 226.025}, {"Ac", 227.028}, {"Th", 232.038},
    {"Pa", 231.036}, {"U", 238.029},  {"Np", 237.048}, {"Pu", 244.064}, {"Am", 243.061},
    {"Cm", 247.07},  {"Bk", 247.07},  {"Cf", 251.08},  {"Es", 252.083}, {"Fm", 257.095},
    {"Md", 258.098}, {"No", 259.101}, {"Lr", 262.11},  {"Rf", 267.122}, {"Db", 268.126},
    {"Sg", 271.134}, {"Bh", 270.133}, {"Hs", 269.134}, {"Mt", 278.156}, {"Ds", 281.165},
    {"Rg", 281.166}, {"Cn", 285.177}, {"Nh", 286.182}, {"Fl", 289.19},  {"Mc", 289.194},
    {"Lv", 293.204}, {"Ts", 293.208}, {"Og", 294.214},
};

// A type's own isotopes and rounded masses stay within this; hydrogen may be deuterium or tritium.
constexpr double kTolerance = 0.25;
constexpr double kDeuterium = 2.0141, kTritium = 3.016;

double mass_of(const std::string& name) {
  const auto* found = std::find_if(std::begin(kMasses), std::end(kMasses),
                                   [&](const auto& entry) { return name == entry.first; });
  return found == std::end(kMasses) ? 0 : found->second;
}

/// How far a mass is from an element's, relative.
double deviation(double mass, const std::string& name) {
  const auto from = [&](double standard) { return std::abs(mass - standard) / standard; };
  const double own = from(mass_of(name));
  return name == "H" ? std::min({own, from(kDeuterium), from(kTritium)}) : own;
}

/// Whether a mass of the type named `name` is the one of `other`.
bool is_that_of(double mass, const std::string& name, const std::string& other) {
  const double own = deviation(mass, name), others = deviation(mass, other);
  if (own > kTolerance) return others < 0.02;
  // Neighbors in the periodic table (P 30.97, S 32.06): the mass is clearly the other's.
  return own > 2e-3 && others < 5e-3 && 4 * others < own;
}

/// Of the other elements named, the one whose mass type k has; empty if there is none.
std::string taken_from(const std::vector<std::string>& names, double mass, size_t k) {
  std::string best;
  for (const std::string& name : names)
    if (name != names[k] && mass_of(name) > 0 && is_that_of(mass, names[k], name) &&
        (best.empty() || deviation(mass, name) < deviation(mass, best)))
      best = name;
  return best;
}

/// Masses that somebody chose: all alike, as Monte Carlo and minimization inputs set them, or with
/// hydrogens made heavier at the cost of what they are bound to.
bool are_chosen(const std::vector<std::string>& names, const std::vector<double>& masses) {
  bool alike = true, heavier = false;
  double first = 0;
  for (size_t k = 0; k < names.size(); ++k) {
    if (names[k].empty() || masses[k] <= 0) continue;
    if (first == 0) first = masses[k];
    alike = alike && masses[k] == first;
    heavier = heavier || (names[k] == "H" && masses[k] > 1.1 && masses[k] < 5);
  }
  return alike || heavier;
}

/// Whether every type named `name` has another element's mass.
bool has_lost_its_mass(const std::string& name, const std::vector<std::string>& names,
                       const std::vector<double>& masses) {
  for (size_t k = 0; k < names.size(); ++k)
    if (names[k] == name && taken_from(names, masses[k], k).empty()) return false;
  return true;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", value);
  return text;
}

}  // namespace

double lammps_mass_unit(const std::string& style) {
  if (style == "metal" || style == "real" || style == "electron") return 1;
  if (style == "si") return kAvogadro * 1e3;
  if (style == "cgs") return kAvogadro;
  if (style == "micro") return kAvogadro * 1e-12;  // picogram
  if (style == "nano") return kAvogadro * 1e-18;   // attogram
  throw e3md::Error("no mass unit known for LAMMPS units " + style);
}

std::string check_masses(const std::vector<std::string>& names, const std::vector<double>& masses) {
  const bool chosen = are_chosen(names, masses);
  std::string unusual;
  for (size_t k = 0; k < names.size(); ++k) {
    const double standard = mass_of(names[k]);
    if (standard == 0 || masses[k] <= 0) continue;  // NULL, or a mass that LAMMPS itself refuses
    const std::string type = std::to_string(k + 1);
    const std::string fact = "type " + type + " " + names[k] + " (" + number(standard) +
                             " g/mol), but its mass is " + number(masses[k]) + " g/mol";
    const std::string other = taken_from(names, masses[k], k);
    // Pseudo-hydrogens have hydrogen's mass on purpose.
    const bool mistaken = !other.empty() && !chosen && other != "H";
    if (!other.empty() && (mistaken || has_lost_its_mass(other, names, masses)))
      throw e3md::Error("pair_coeff names " + fact + ", that of " + other +
                        ". Give the elements of pair_coeff in the order of the atom types, or "
                        "correct the mass of type " +
                        type + ".");
    if (deviation(masses[k], names[k]) > kTolerance)
      unusual += (unusual.empty() ? "pair_coeff names " : "; ") + fact;
  }
  return unusual.empty() ? "" : unusual + ". Energies and forces do not depend on it, dynamics do.";
}

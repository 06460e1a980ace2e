#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>

namespace e3md {

/// Bad input or a failed evaluation. The text is complete: it names what is at fault (atom,
/// element, file, key) and says what to do. It reaches Python as a ValueError, LAMMPS as
/// error->all/one.
class Error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Throws Error if a position is NaN or infinite.
/// positions: (n, 3) row-major, Å; labels: how the user knows the atoms (ASE index, LAMMPS ID).
void check_positions(const double* positions, const int64_t* labels, int64_t n);

/// Distance, Å, under which two atoms count as coincident.
inline constexpr double kCoincident = 1e-3;

}  // namespace e3md

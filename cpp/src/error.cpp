#include "e3md/error.h"

#include <cmath>

namespace e3md {

void check_positions(const double* positions, const int64_t* labels, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const double* x = positions + 3 * i;
    if (std::isfinite(x[0]) && std::isfinite(x[1]) && std::isfinite(x[2])) continue;
    throw Error("atom " + std::to_string(labels ? labels[i] : i) + " has a position that is not " +
                "finite: (" + std::to_string(x[0]) + ", " + std::to_string(x[1]) + ", " +
                std::to_string(x[2]) + "). The simulation has blown up, or its input is damaged.");
  }
}

}  // namespace e3md

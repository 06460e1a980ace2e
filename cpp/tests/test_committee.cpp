// The deviation of a committee is the population standard deviation over its members.
#include <cmath>

#include "check.h"
#include "e3md/committee.h"

int main() {
  // Two rows, three members, two columns.
  const std::vector<double> values{1, 10, 2, 10, 3, 10, -5, 0, -5, 3, -5, 6};
  const std::vector<double> found = e3md::deviation(values, 3, 2);
  const std::vector<double> expected{std::sqrt(2.0 / 3), 0, 0, std::sqrt(6.0)};
  REQUIRE(found.size() == expected.size());
  for (size_t k = 0; k < expected.size(); ++k) REQUIRE(std::abs(found[k] - expected[k]) < 1e-15);
  REQUIRE(e3md::deviation({}, 4, 3).empty());
  // A common offset of a million eV must not drown a deviation of a microelectronvolt.
  const std::vector<double> far = e3md::deviation({1e6, 1e6 + 2e-6}, 2, 1);
  REQUIRE(std::abs(far[0] - 1e-6) < 1e-9);
}

#pragma once
#include <vector>

namespace e3md {

/// How far the members of a committee are apart: sigma = sqrt(<(v - <v>)^2>), the mean over the
/// members (1/n_members, not 1/(n_members - 1): the convention of the "model deviation" of DP-GEN).
/// values: (n, n_members, width) row-major; returns (n, width).
std::vector<double> deviation(const std::vector<double>& values, int n_members, int width);

}  // namespace e3md

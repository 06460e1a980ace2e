#include "e3md/committee.h"

#include <cmath>

namespace e3md {

std::vector<double> deviation(const std::vector<double>& values, int n_members, int width) {
  const size_t row = static_cast<size_t>(n_members) * width;
  std::vector<double> found;
  found.reserve(values.size() / n_members);
  for (size_t start = 0; start < values.size(); start += row)
    for (int c = 0; c < width; ++c) {
      const double* member = values.data() + start + c;
      double mean = 0, squares = 0;
      for (int k = 0; k < n_members; ++k) mean += member[k * width] / n_members;
      for (int k = 0; k < n_members; ++k) squares += std::pow(member[k * width] - mean, 2);
      found.push_back(std::sqrt(squares / n_members));
    }
  return found;
}

}  // namespace e3md

#include "e3md/cell_frame.h"

#include <cmath>
#include <string>
#include <vector>

#include "e3md/error.h"

namespace e3md {
namespace {

constexpr double kLargest = 1e9;  // Å; products of three must stay finite
constexpr double kFlat = 1e-12;   // volume over the product of the edges that counts as none

double dot(const Vec3& a, const Vec3& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

Vec3 cross(const Vec3& a, const Vec3& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

double norm(const Vec3& a) { return std::sqrt(dot(a, a)); }

/// a / |a|; zero stays zero.
Vec3 unit(const Vec3& a) {
  const double length = norm(a) > 0 ? norm(a) : 1;
  return {a[0] / length, a[1] / length, a[2] / length};
}

Vec3 perpendicular(const Vec3& a) {
  int smallest = 0;
  for (int k = 1; k < 3; ++k)
    if (std::abs(a[k]) < std::abs(a[smallest])) smallest = k;
  Vec3 axis{};
  axis[smallest] = 1;
  return unit(cross(a, axis));
}

/// Fills the rows of the directions that are not periodic.
void complete(std::array<Vec3, 3>& rows, const std::array<bool, 3>& pbc) {
  std::vector<int> periodic, open;
  for (int d = 0; d < 3; ++d) (pbc[d] ? periodic : open).push_back(d);
  if (periodic.empty()) {
    rows = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  } else if (periodic.size() == 1) {
    rows[open[0]] = perpendicular(rows[periodic[0]]);
    rows[open[1]] = unit(cross(rows[periodic[0]], rows[open[0]]));
  } else if (periodic.size() == 2) {
    rows[open[0]] = unit(cross(rows[periodic[0]], rows[periodic[1]]));
  }
}

[[noreturn]] void fail(const std::string& what) {
  throw Error("the cell " + what + ": check the cell vectors and pbc");
}

}  // namespace

CellFrame::CellFrame(const std::array<double, 9>& cell, const std::array<bool, 3>& pbc) : pbc(pbc) {
  for (int k = 0; k < 9; ++k) {
    if (!std::isfinite(cell[k])) fail("has an entry that is not finite");
    if (std::abs(cell[k]) > kLargest) fail("has a vector of more than 1e9 Å");
    if (pbc[k / 3]) rows[k / 3][k % 3] = cell[k];
  }
  for (int d = 0; d < 3; ++d)
    if (pbc[d] && norm(rows[d]) == 0)
      fail("vector " + std::to_string(d) + " is zero, but that direction is periodic");
  complete(rows, pbc);
  const double volume = dot(rows[0], cross(rows[1], rows[2]));
  if (!(std::abs(volume) > kFlat * norm(rows[0]) * norm(rows[1]) * norm(rows[2])))
    fail("is periodic, but its volume is zero");
  for (int d = 0; d < 3; ++d) {
    inverse[d] = cross(rows[(d + 1) % 3], rows[(d + 2) % 3]);
    for (double& x : inverse[d]) x /= volume;
  }
}

double CellFrame::spacing(int d) const { return 1.0 / norm(inverse[d]); }

Vec3 CellFrame::fractional(const double* x) const {
  const Vec3 v{x[0], x[1], x[2]};
  return {dot(v, inverse[0]), dot(v, inverse[1]), dot(v, inverse[2])};
}

Vec3 CellFrame::translation(const Int3& cells) const {
  Vec3 x{};
  for (int d = 0; d < 3; ++d)
    for (int k = 0; k < 3; ++k) x[k] += cells[d] * rows[d][k];
  return x;
}

}  // namespace e3md

#pragma once
#include <array>
#include <cstdint>

namespace e3md {

using Vec3 = std::array<double, 3>;
using Int3 = std::array<int32_t, 3>;

/// Axes that a structure is wrapped and binned along. Rows are the lattice vectors of the periodic
/// directions, and elsewhere unit vectors perpendicular to those: a cell vector that is not
/// periodic means nothing to the neighbors and may be zero.
struct CellFrame {
  std::array<Vec3, 3> rows{};
  std::array<Vec3, 3>
      inverse{};  ///< columns of the inverse: fractional coordinate d = x · inverse[d]
  std::array<bool, 3> pbc{};

  CellFrame() = default;
  /// cell: rows are the lattice vectors, Å. Throws Error for an entry that is not finite and for a
  /// periodic cell without volume.
  CellFrame(const std::array<double, 9>& cell, const std::array<bool, 3>& pbc);

  bool operator==(const CellFrame&) const = default;
  double spacing(int d) const;                ///< Å between the planes along direction d
  Vec3 fractional(const double* x) const;     ///< x: (3) Å
  Vec3 translation(const Int3& cells) const;  ///< Å
};

}  // namespace e3md

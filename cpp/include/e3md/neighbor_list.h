#pragma once
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "e3md/cell_frame.h"
#include "e3md/graph.h"

namespace e3md {

/// Atoms as a host program gives them. Arrays are borrowed for the duration of a call.
struct Structure {
  int64_t n = 0;
  const double* positions = nullptr;  ///< (n, 3) Å, any image, also outside the cell
  std::array<double, 9>
      cell{};  ///< rows are the lattice vectors, Å; may be zero where not periodic
  std::array<bool, 3> pbc{};
};

/// Full neighbor list by linked cells, O(n): any cell shape, any mix of periodic directions,
/// cutoffs larger than the cell. Keeps pairs up to cutoff + skin, and finds them anew only when an
/// atom (or the cell) has moved so far that a pair within the cutoff could be missing.
class NeighborList {
 public:
  NeighborList(double cutoff, double skin);

  /// Brings the list up to date; true if it was rebuilt.
  /// Throws Error for positions or cell that are not finite and for a periodic cell of zero volume.
  bool update(const Structure& structure);

  /// Edges with |edge_vec| < cutoff (strict), sorted by receiver, neighbor and shift, whatever the
  /// history of the list. Sets everything but types; labels are the indices 0..n-1. Calls update()
  /// first. shifts, if given, receives (n_edges, 3) lattice translations S, zero where not
  /// periodic: edge_vec = r_j + S·cell - r_i.
  Graph graph(const Structure& structure, std::vector<int32_t>* shifts = nullptr);

  double cutoff() const { return cutoff_; }
  double skin() const { return skin_; }
  int64_t n_rebuilds() const { return n_rebuilds_; }

 private:
  struct Range {
    int64_t begin = 0, end = 0;
  };
  struct Bins;
  struct Near;
  bool is_valid(const Structure& structure, const CellFrame& frame) const;
  void rebuild(const Structure& structure);
  std::pair<double, double> wrap(int d, std::vector<Vec3>& fraction);
  Bins make_bins(const Structure& structure);
  void list_images();
  std::vector<Near> near_bins(const Bins& bins, int64_t b) const;
  void find_pairs(const Bins& bins);

  double cutoff_;
  double skin_;
  int64_t n_rebuilds_ = 0;
  // As of the last rebuild:
  bool built_ = false;
  CellFrame frame_;
  std::vector<double> positions_;  // (n, 3)
  std::vector<Int3> wraps_;        // cells by which each atom lay outside the home cell
  Int3 image_reach_{};             // images searched on either side
  std::vector<Int3> images_;       // image number -> lattice translation, ascending
  std::vector<Range> ranges_;      // of each atom in pairs_
  std::vector<uint64_t> pairs_;    // neighbor << 32 | image number, ascending for each atom
};

}  // namespace e3md

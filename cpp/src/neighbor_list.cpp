#include "e3md/neighbor_list.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "e3md/error.h"

namespace e3md {
namespace {

constexpr int64_t kMaxImages = 4'000'000;  // more means a cell that is a mistake
constexpr double kMaxBins = 1 << 20;       // per direction, so that a bin number fits 64 bits
constexpr double kLargest = 1e9;           // Å; beyond it doubles do not tell atoms apart
constexpr double kDensest = 2.0;           // atoms per Å³; hydrogen at 10 TPa
constexpr double kFew = 2000;              // neighbors that any atom may have
constexpr double kPairBytes = 64;          // of a pair in the list and as an edge, at least

double memory_bytes() {
  return 1.0 * static_cast<double>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

Vec3 minus(const double* x, const Vec3& y) { return {x[0] - y[0], x[1] - y[1], x[2] - y[2]}; }

double norm2(const Vec3& x) { return x[0] * x[0] + x[1] * x[1] + x[2] * x[2]; }

int32_t floor_div(int32_t a, int32_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

/// How the frame and the atoms in it have moved: x = F x_old + (what the atom did itself).
struct Deformation {
  std::array<Vec3, 3> f{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  double smallest_stretch = 1;  // lower bound of the smallest singular value of F

  Deformation(const CellFrame& now, const CellFrame& before) {
    if (now == before) return;
    double strain2 = 0;
    for (int k = 0; k < 3; ++k)
      for (int m = 0; m < 3; ++m) {
        f[k][m] = 0;
        for (int d = 0; d < 3; ++d) f[k][m] += now.rows[d][k] * before.inverse[d][m];
        const double strain = f[k][m] - (k == m);
        strain2 += strain * strain;
      }
    smallest_stretch = 1 - std::sqrt(strain2);  // sigma_min >= 1 - |F - 1|, Frobenius norm
  }

  double moved2(const double* x, const double* old) const {
    double sum = 0;
    for (int k = 0; k < 3; ++k) {
      const double step = x[k] - (f[k][0] * old[0] + f[k][1] * old[1] + f[k][2] * old[2]);
      sum += step * step;
    }
    return sum;
  }
};

}  // namespace

/// The atoms of an occupied bin, seen through a periodic image.
struct NeighborList::Near {
  int64_t begin, end;
  uint64_t image;
  Vec3 translation;
};

/// Atoms sorted by bin. Only occupied bins exist, so empty space costs nothing.
struct NeighborList::Bins {
  Int3 count{};                // bins in each direction
  Int3 reach{};                // bins to search on either side
  std::vector<int64_t> ids;    // (n_occupied) ascending
  std::vector<int64_t> first;  // (n_occupied + 1) where each begins in `atoms`
  std::vector<int32_t> atoms;  // sorted by bin, then index
  std::vector<Vec3> wrapped;   // positions of `atoms` in the home cell

  int64_t id(const Int3& bin) const {
    return (static_cast<int64_t>(bin[0]) * count[1] + bin[1]) * count[2] + bin[2];
  }

  Int3 bin(int64_t id) const {
    const int64_t row = id / count[2];
    return {static_cast<int32_t>(row / count[1]), static_cast<int32_t>(row % count[1]),
            static_cast<int32_t>(id % count[2])};
  }

  /// Position of a bin in `ids`, -1 if it is empty.
  int64_t find(int64_t id) const {
    const auto found = std::lower_bound(ids.begin(), ids.end(), id);
    return found != ids.end() && *found == id ? found - ids.begin() : -1;
  }

  void sort_atoms(const std::vector<int64_t>& bin_of);
};

void NeighborList::Bins::sort_atoms(const std::vector<int64_t>& bin_of) {
  std::vector<std::pair<int64_t, int32_t>> order;
  order.reserve(bin_of.size());
  for (size_t i = 0; i < bin_of.size(); ++i) order.emplace_back(bin_of[i], i);
  std::sort(order.begin(), order.end());
  atoms.reserve(order.size());
  for (const auto& [id, atom] : order) {
    if (ids.empty() || ids.back() != id) {
      ids.push_back(id);
      first.push_back(static_cast<int64_t>(atoms.size()));
    }
    atoms.push_back(atom);
  }
  first.push_back(static_cast<int64_t>(atoms.size()));
}

NeighborList::NeighborList(double cutoff, double skin) : cutoff_(cutoff), skin_(skin) {
  if (!(std::isfinite(cutoff) && cutoff > 0))
    throw Error("cutoff must be a positive length in Å, not " + std::to_string(cutoff));
  if (!(std::isfinite(skin) && skin >= 0))
    throw Error("skin must be zero or a positive length in Å, not " + std::to_string(skin));
}

bool NeighborList::update(const Structure& structure) {
  check_positions(structure.positions, nullptr, structure.n);
  const CellFrame frame(structure.cell, structure.pbc);
  if (is_valid(structure, frame)) return false;
  built_ = false;  // stays so if the rebuild throws
  frame_ = frame;
  rebuild(structure);
  built_ = true;
  ++n_rebuilds_;
  return true;
}

bool NeighborList::is_valid(const Structure& structure, const CellFrame& frame) const {
  if (!built_ || static_cast<size_t>(structure.n) != wraps_.size() || frame.pbc != frame_.pbc)
    return false;
  // A pair that was not listed, |d_old| >= cutoff + skin, is now no closer than
  // |F d_old| - 2u >= sigma_min(F) (cutoff + skin) - 2u, u the largest move of an atom itself.
  const Deformation deformation(frame, frame_);
  const double spare = deformation.smallest_stretch * (cutoff_ + skin_) - cutoff_;
  if (spare < 0) return false;
  for (int64_t i = 0; i < 3 * structure.n; i += 3)
    if (deformation.moved2(structure.positions + i, positions_.data() + i) > 0.25 * spare * spare)
      return false;
  return true;
}

void NeighborList::rebuild(const Structure& structure) {
  if (structure.n > INT32_MAX) throw Error("a neighbor list holds at most 2147483647 atoms");
  for (int64_t k = 0; k < 3 * structure.n; ++k)
    if (std::abs(structure.positions[k]) > kLargest)
      throw Error("atom " + std::to_string(k / 3) +
                  " lies more than 1e9 Å from the origin: check the positions");
  positions_.assign(structure.positions, structure.positions + 3 * structure.n);
  const Bins bins = make_bins(structure);
  list_images();
  find_pairs(bins);
}

/// Wraps one fractional coordinate of all atoms, where periodic; returns where they begin and end.
std::pair<double, double> NeighborList::wrap(int d, std::vector<Vec3>& fraction) {
  if (fraction.empty()) return {0, 1};
  if (!frame_.pbc[d]) {
    const auto [least, most] = std::minmax_element(fraction.begin(), fraction.end(),
                                                   [d](auto& a, auto& b) { return a[d] < b[d]; });
    return {(*least)[d], (*most)[d]};
  }
  for (size_t i = 0; i < fraction.size(); ++i) {
    const double cells = std::floor(fraction[i][d]);
    if (std::abs(cells) > 1e9)
      throw Error("atom " + std::to_string(i) + " lies more than 1e9 cells outside the cell");
    wraps_[i][d] = static_cast<int32_t>(cells);
    fraction[i][d] -= cells;
  }
  return {0, 1};
}

NeighborList::Bins NeighborList::make_bins(const Structure& structure) {
  const int64_t n = structure.n;
  wraps_.assign(n, Int3{});
  std::vector<Vec3> fraction(n);
  for (int64_t i = 0; i < n; ++i) fraction[i] = frame_.fractional(structure.positions + 3 * i);
  Bins bins;
  std::vector<int64_t> bin_of(n, 0);
  const double radius = (cutoff_ + skin_) * (1 + 1e-6) + 1e-9;  // margin for rounding
  for (int d = 0; d < 3; ++d) {
    const auto [low, high] = wrap(d, fraction);
    const double width = (high - low) * frame_.spacing(d);
    const int32_t count = std::clamp(std::floor(width / radius), 1.0, kMaxBins);
    const double reach = frame_.pbc[d] ? std::ceil(radius * count / width) : 1;
    bins.count[d] = count;
    bins.reach[d] = static_cast<int32_t>(std::min(reach, 1.0 * kMaxImages));
    image_reach_[d] = frame_.pbc[d] ? (bins.reach[d] + count - 1) / count : 0;
    for (int64_t i = 0; i < n; ++i) {
      const double scaled = count > 1 ? (fraction[i][d] - low) / (high - low) * count : 0;
      bin_of[i] = bin_of[i] * count + std::clamp(static_cast<int32_t>(scaled), 0, count - 1);
    }
  }
  bins.sort_atoms(bin_of);
  bins.wrapped.reserve(n);
  for (int32_t i : bins.atoms)
    bins.wrapped.push_back(minus(structure.positions + 3 * i, frame_.translation(wraps_[i])));
  return bins;
}

void NeighborList::list_images() {
  double n_images = 1;
  for (int32_t reach : image_reach_) n_images *= 2.0 * reach + 1;
  if (n_images > kMaxImages)
    throw Error("the periodic cell is so small or skewed that its planes are " +
                std::to_string(frame_.spacing(0)) + ", " + std::to_string(frame_.spacing(1)) +
                " and " + std::to_string(frame_.spacing(2)) + " Å apart, for neighbors within " +
                std::to_string(cutoff_ + skin_) + " Å: check the cell vectors and the cutoff");
  images_.clear();
  const Int3& reach = image_reach_;
  Int3 s;
  for (s[0] = -reach[0]; s[0] <= reach[0]; ++s[0])
    for (s[1] = -reach[1]; s[1] <= reach[1]; ++s[1])
      for (s[2] = -reach[2]; s[2] <= reach[2]; ++s[2]) images_.push_back(s);
}

/// The occupied bins around bin b, in all images.
std::vector<NeighborList::Near> NeighborList::near_bins(const Bins& bins, int64_t b) const {
  std::vector<Near> near;
  const Int3 center = bins.bin(bins.ids[b]), &reach = bins.reach;
  Int3 step;
  for (step[0] = -reach[0]; step[0] <= reach[0]; ++step[0])
    for (step[1] = -reach[1]; step[1] <= reach[1]; ++step[1])
      for (step[2] = -reach[2]; step[2] <= reach[2]; ++step[2]) {
        Int3 bin, cells;
        uint64_t image = 0;
        bool exists = true;
        for (int d = 0; d < 3; ++d) {
          bin[d] = center[d] + step[d];
          cells[d] = floor_div(bin[d], bins.count[d]);
          bin[d] -= cells[d] * bins.count[d];
          exists &= cells[d] == 0 || frame_.pbc[d];
          image = image * (2 * image_reach_[d] + 1) + (cells[d] + image_reach_[d]);
        }
        const int64_t other = exists ? bins.find(bins.id(bin)) : -1;
        if (other >= 0)
          near.push_back(
              {bins.first[other], bins.first[other + 1], image, frame_.translation(cells)});
      }
  return near;
}

void NeighborList::find_pairs(const Bins& bins) {
  ranges_.assign(bins.atoms.size(), Range{});
  pairs_.clear();
  const double limit2 = (cutoff_ + skin_) * (cutoff_ + skin_);
  const uint64_t home = images_.size() / 2;
  const double radius = cutoff_ + skin_;
  const double most = std::max(kFew, kDensest * 4.19 * radius * radius * radius);
  const size_t room = static_cast<size_t>(memory_bytes() / kPairBytes);
  for (int64_t b = 0; b < static_cast<int64_t>(bins.ids.size()); ++b) {
    const std::vector<Near> near = near_bins(bins, b);
    for (int64_t k = bins.first[b]; k < bins.first[b + 1]; ++k) {
      Range& range = ranges_[bins.atoms[k]];
      range.begin = static_cast<int64_t>(pairs_.size());
      const Vec3& x = bins.wrapped[k];
      for (const auto& [begin, end, image, translation] : near) {
        const Vec3 origin = minus(x.data(), translation);
        for (int64_t m = begin; m < end; ++m)
          if (norm2(minus(bins.wrapped[m].data(), origin)) < limit2 && !(m == k && image == home))
            pairs_.push_back(static_cast<uint64_t>(bins.atoms[m]) << 32 | image);
        if (static_cast<double>(pairs_.size() - range.begin) > most)
          throw Error("atom " + std::to_string(bins.atoms[k]) + " has more than " +
                      std::to_string(static_cast<int64_t>(most)) + " neighbors within " +
                      std::to_string(radius) +
                      " Å, denser than any matter: check positions, cell and the unit of lengths");
        if (pairs_.size() > room)
          throw Error("the neighbors within " + std::to_string(radius) + " Å of " +
                      std::to_string(bins.atoms.size()) +
                      " atoms do not fit into the memory of this machine");
      }
      range.end = static_cast<int64_t>(pairs_.size());
      std::sort(pairs_.begin() + range.begin, pairs_.end());
    }
  }
}

Graph NeighborList::graph(const Structure& structure, std::vector<int32_t>* shifts) {
  update(structure);
  const CellFrame frame(structure.cell, structure.pbc);
  Graph graph;
  graph.n_local = graph.n_nodes = structure.n;
  graph.labels.resize(structure.n);
  std::iota(graph.labels.begin(), graph.labels.end(), 0);
  std::vector<Vec3> translations, wrapped;
  for (const Int3& image : images_) translations.push_back(frame.translation(image));
  for (int64_t i = 0; i < structure.n; ++i)
    wrapped.push_back(minus(structure.positions + 3 * i, frame.translation(wraps_[i])));
  graph.edge_i.reserve(pairs_.size());
  graph.edge_j.reserve(pairs_.size());
  graph.edge_vec.reserve(3 * pairs_.size());
  if (shifts) shifts->clear();
  for (int64_t i = 0; i < structure.n; ++i)
    for (int64_t p = ranges_[i].begin; p < ranges_[i].end; ++p) {
      const int64_t j = static_cast<int64_t>(pairs_[p] >> 32);
      const uint64_t image = pairs_[p] & 0xffffffff;
      const Vec3 d{wrapped[j][0] + translations[image][0] - wrapped[i][0],
                   wrapped[j][1] + translations[image][1] - wrapped[i][1],
                   wrapped[j][2] + translations[image][2] - wrapped[i][2]};
      if (!(norm2(d) < cutoff_ * cutoff_)) continue;
      graph.edge_i.push_back(i);
      graph.edge_j.push_back(j);
      graph.edge_vec.insert(graph.edge_vec.end(), d.begin(), d.end());
      for (int k = 0; shifts && k < 3; ++k)
        shifts->push_back(images_[image][k] + wraps_[i][k] - wraps_[j][k]);
    }
  return graph;
}

}  // namespace e3md

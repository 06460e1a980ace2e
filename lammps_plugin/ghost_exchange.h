// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "e3md/ghost_exchange.h"

namespace LAMMPS_NS {
class LAMMPS;
class Pair;
}  // namespace LAMMPS_NS

/// Node features over LAMMPS' own communication of ghost atoms. One row per LAMMPS atom, ghosts
/// that are no graph node included: LAMMPS passes atoms on from rank to rank (a corner ghost
/// arrives in up to three hops), so a row may be needed only on the way.
class LammpsExchanger : public e3md::GhostExchanger {
 public:
  /// max_width: scalars (float or double) per row at most.
  LammpsExchanger(LAMMPS_NS::LAMMPS& lmp, LAMMPS_NS::Pair& pair, int64_t max_width);

  /// Doubles per atom that LAMMPS must reserve (comm_forward, comm_reverse).
  int buffer_size() const { return reserved_; }

  /// Collective. For each of n_all atoms (n_local own ones, then ghosts): the index of its owner if
  /// this rank owns it, else -1.
  std::vector<int> owners(int n_local, int n_all);

  /// The LAMMPS atom of each graph node, for the exchanges that follow.
  /// Borrowed; the first n_local_nodes are this rank's own.
  void set_nodes(const std::vector<int>& atoms, int64_t n_local_nodes, int n_all);

  void forward(double* rows, int64_t width) override;
  void forward(float* rows, int64_t width) override;
  void reverse(double* rows, int64_t width) override;
  void reverse(float* rows, int64_t width) override;

  // What LAMMPS calls back, through the pair style.
  int pack_forward(int n, const int* atoms, double* buffer) const;
  void unpack_forward(int n, int first, const double* buffer);
  int pack_reverse(int n, int first, double* buffer) const;
  void unpack_reverse(int n, const int* atoms, const double* buffer);

  double memory_usage() const { return static_cast<double>(rows_.capacity()); }

 private:
  template <class T>
  void forward_rows(T* nodes, int64_t width);
  template <class T>
  void reverse_rows(T* nodes, int64_t width);
  template <class T>
  void begin(int64_t width);
  template <class T>
  void add_rows(int n, const int* atoms, const double* buffer);
  template <class T>
  T* row(int64_t atom) {
    return reinterpret_cast<T*>(rows_.data() + atom * row_bytes());
  }
  size_t row_bytes() const { return static_cast<size_t>(stride_) * sizeof(double); }

  LAMMPS_NS::LAMMPS& lmp_;  ///< not its Comm, which `comm_style` replaces
  LAMMPS_NS::Pair& pair_;
  int reserved_;                 ///< doubles per row that LAMMPS' buffers hold
  int64_t max_width_;            ///< scalars per row
  int64_t width_ = 0;            ///< scalars per row, in the exchange under way
  int stride_ = 0;               ///< doubles per row: float32 travels two to a double
  bool single_ = false;          ///< the scalars are float
  std::vector<std::byte> rows_;  ///< (n_all, stride) doubles
  const int* atoms_ = nullptr;   ///< (n_nodes) LAMMPS atom of each node
  int64_t n_nodes_ = 0;
  int64_t n_local_nodes_ = 0;
  int n_all_ = 0;
};

// SPDX-License-Identifier: GPL-2.0-or-later
#include "ghost_exchange.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>

#include "comm.h"
#include "e3md/error.h"
#include "lammps.h"
#include "pair.h"

namespace {
constexpr int kOwnerWidth = 2;  // (rank, local index)
}

LammpsExchanger::LammpsExchanger(LAMMPS_NS::LAMMPS& lmp, LAMMPS_NS::Pair& pair, int64_t max_width)
    : lmp_(lmp),
      pair_(pair),
      reserved_(static_cast<int>(std::max<int64_t>(kOwnerWidth, max_width))),
      max_width_(reserved_) {}

template <class T>
void LammpsExchanger::begin(int64_t width) {
  if (width > max_width_)
    throw e3md::Error("the model exchanges " + std::to_string(width) +
                      " features per atom, but its file promises at most " +
                      std::to_string(max_width_) + " (exchange_width). Export it again.");
  single_ = std::is_same_v<T, float>;
  width_ = width;
  stride_ = static_cast<int>((width * sizeof(T) + sizeof(double) - 1) / sizeof(double));
  rows_.resize(static_cast<size_t>(n_all_) * row_bytes());
}

std::vector<int> LammpsExchanger::owners(int n_local, int n_all) {
  n_all_ = n_all;
  begin<double>(kOwnerWidth);
  for (int i = 0; i < n_local; ++i) {
    row<double>(i)[0] = lmp_.comm->me;
    row<double>(i)[1] = i;
  }
  lmp_.comm->forward_comm(&pair_, stride_);
  std::vector<int> owners(n_all);
  for (int i = 0; i < n_all; ++i) {
    const double* owner = row<double>(i);
    owners[i] = static_cast<int>(owner[0]) == lmp_.comm->me ? static_cast<int>(owner[1]) : -1;
  }
  return owners;
}

void LammpsExchanger::set_nodes(const std::vector<int>& atoms, int64_t n_local_nodes, int n_all) {
  atoms_ = atoms.data();
  n_nodes_ = static_cast<int64_t>(atoms.size());
  n_local_nodes_ = n_local_nodes;
  n_all_ = n_all;
}

/// nodes: (n_nodes, width)
template <class T>
void LammpsExchanger::forward_rows(T* nodes, int64_t width) {
  begin<T>(width);
  for (int64_t k = 0; k < n_local_nodes_; ++k)
    std::copy_n(nodes + k * width, width, row<T>(atoms_[k]));
  lmp_.comm->forward_comm(&pair_, stride_);
  for (int64_t k = n_local_nodes_; k < n_nodes_; ++k)
    std::copy_n(row<T>(atoms_[k]), width, nodes + k * width);
}

/// nodes: (n_nodes, width)
template <class T>
void LammpsExchanger::reverse_rows(T* nodes, int64_t width) {
  begin<T>(width);
  std::fill(rows_.begin(), rows_.end(), std::byte{0});
  for (int64_t k = n_local_nodes_; k < n_nodes_; ++k)
    std::copy_n(nodes + k * width, width, row<T>(atoms_[k]));
  lmp_.comm->reverse_comm(&pair_, stride_);
  for (int64_t k = 0; k < n_local_nodes_; ++k) {
    const T* sum = row<T>(atoms_[k]);
    for (int64_t c = 0; c < width; ++c) nodes[k * width + c] += sum[c];
  }
}

void LammpsExchanger::forward(double* rows, int64_t width) { forward_rows(rows, width); }
void LammpsExchanger::forward(float* rows, int64_t width) { forward_rows(rows, width); }
void LammpsExchanger::reverse(double* rows, int64_t width) { reverse_rows(rows, width); }
void LammpsExchanger::reverse(float* rows, int64_t width) { reverse_rows(rows, width); }

int LammpsExchanger::pack_forward(int n, const int* atoms, double* buffer) const {
  for (int k = 0; k < n; ++k)
    std::memcpy(buffer + static_cast<size_t>(k) * stride_, rows_.data() + atoms[k] * row_bytes(),
                row_bytes());
  return n * stride_;
}

void LammpsExchanger::unpack_forward(int n, int first, const double* buffer) {
  if (n == 0) return;  // the arrays of a rank without atoms are null
  std::memcpy(rows_.data() + first * row_bytes(), buffer, n * row_bytes());
}

int LammpsExchanger::pack_reverse(int n, int first, double* buffer) const {
  if (n == 0) return 0;
  std::memcpy(buffer, rows_.data() + first * row_bytes(), n * row_bytes());
  return n * stride_;
}

template <class T>
void LammpsExchanger::add_rows(int n, const int* atoms, const double* buffer) {
  const T* source = reinterpret_cast<const T*>(buffer);
  const int64_t stride = row_bytes() / sizeof(T);
  for (int k = 0; k < n; ++k) {
    T* sum = row<T>(atoms[k]);
    for (int64_t c = 0; c < width_; ++c) sum[c] += source[k * stride + c];
  }
}

void LammpsExchanger::unpack_reverse(int n, const int* atoms, const double* buffer) {
  if (single_)
    add_rows<float>(n, atoms, buffer);
  else
    add_rows<double>(n, atoms, buffer);
}

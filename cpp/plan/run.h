#pragma once
#include <cstdint>
#include <vector>

#include "e3md/ghost_exchange.h"
#include "e3md/graph.h"
#include "e3md/potential.h"
#include "plan/row_kernels.h"

// What the steps of a plan work on: registers, matrices with a row for each atom.

namespace e3md::plan {

/// What the rows of a register stand for.
enum class Kind {
  species,  ///< a species: constants, found once on loading
  local,    ///< an atom of this process
  nodes     ///< any node of the graph, ghosts included
};

struct Register {
  Kind kind;
  int64_t width;
  bool active = false;  ///< depends on positions, so that gradients go through it
};

/// Columns [offset, offset + width) of a register.
struct Place {
  int64_t number, offset, width;
};

/// Rows of one species in the order of a slice.
struct Group {
  int64_t species, begin, end;
};

/// Rows that a thread handles together, from one step to the next.
template <class T>
struct Slice {
  int64_t begin, end;
  const int64_t* order;  ///< (end - begin) the rows, those of a species one after the other
  const Group* groups;   ///< places in `order`
  int64_t n_groups;
  T* scratch;
  int64_t thread;

  int64_t size() const { return end - begin; }
};

/// One evaluation.
template <class T>
struct Run {
  int64_t n_local = 0, n_nodes = 0, n_edges = 0;
  const int64_t* types = nullptr;  ///< of rows; of species: their own numbers
  const int64_t *owner_begin = nullptr, *neighbor = nullptr;
  const T* edge_vec = nullptr;  ///< (n_edges, 3)
  T* grad_vec = nullptr;        ///< (n_gradients, n_edges, 3)
  int64_t n_gradients = 1;
  double* energies = nullptr;  ///< (n_local, n_members)
  GhostExchanger* exchanger = nullptr;
  std::vector<StepTime>* times = nullptr;  ///< of all steps, where they are asked for: one thread
  const std::vector<Register>* registers = nullptr;
  std::vector<T*> values, gradients;  ///< of each register; thread 0's of nodes
  std::vector<T*> copies;  ///< of each further thread: what it adds to the gradient of nodes

  int64_t stride(const Place& place) const { return (*registers)[place.number].width; }
  kernels::Rows<T> value(const Place& place, int64_t row) const {
    return {values[place.number] + row * stride(place) + place.offset, stride(place)};
  }
  kernels::Rows<T> gradient(const Place& place, int64_t row) const {
    return {gradients[place.number] + row * stride(place) + place.offset, stride(place)};
  }
};

template <class T>
kernels::Rows<const T> read_only(kernels::Rows<T> rows) {
  return {rows.data, rows.stride};
}

}  // namespace e3md::plan

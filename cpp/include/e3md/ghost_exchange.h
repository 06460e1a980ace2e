#pragma once
#include <cstdint>
#include <string>

namespace e3md {

/// Communicator a host (the LAMMPS pair style) lends to the op `e3md::ghost_exchange`.
/// Rows are node features, row-major (n_nodes, width); rows [0, n_local) belong to this process,
/// rows [n_local, n_nodes) are ghosts. Every process must take part in every call, in the same
/// order.
class GhostExchanger {
 public:
  virtual ~GhostExchanger() = default;
  /// Fills the ghost rows from their owners.
  virtual void forward(double* rows, int64_t width) = 0;
  virtual void forward(float* rows, int64_t width) = 0;
  /// Adds the ghost rows to their owners' rows; the content of ghost rows afterwards is
  /// unspecified.
  virtual void reverse(double* rows, int64_t width) = 0;
  virtual void reverse(float* rows, int64_t width) = 0;
};

/// Why a graph with so many ghosts cannot be evaluated where nothing fills them.
std::string no_exchanger(int64_t n_ghosts);

/// Lends `exchanger` (may be null: none) to the op while this object lives, for features of n_local
/// own atoms and n_nodes atoms in all: the exchanger is called with no other number of rows. It is
/// lent to the thread that made this object, so that models may run in several threads at once; the
/// backward pass, in whatever thread, must end before this object does.
class GhostExchangeScope {
 public:
  GhostExchangeScope(GhostExchanger* exchanger, int64_t n_local, int64_t n_nodes);
  ~GhostExchangeScope();
  GhostExchangeScope(const GhostExchangeScope&) = delete;
  GhostExchangeScope& operator=(const GhostExchangeScope&) = delete;

  /// What is lent to this thread; nothing: null.
  static const GhostExchangeScope* current();

  GhostExchanger* const exchanger;
  const int64_t n_local, n_nodes;

 private:
  const GhostExchangeScope* previous_;
};

/// Lends to this thread, while this object lives, what was lent to another (may be null: nothing):
/// autograd may run the backward pass in a thread of its own.
class GhostExchangeRelay {
 public:
  explicit GhostExchangeRelay(const GhostExchangeScope* scope);
  ~GhostExchangeRelay();
  GhostExchangeRelay(const GhostExchangeRelay&) = delete;
  GhostExchangeRelay& operator=(const GhostExchangeRelay&) = delete;

 private:
  const GhostExchangeScope* previous_;
};

}  // namespace e3md

#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "e3md/ghost_exchange.h"
#include "e3md/graph.h"
#include "e3md/metadata.h"

namespace e3md {

/// One evaluation. With g_ij = dE/d(r_j - r_i) for the edge i <- j:
///   F_i += g_ij,  F_j -= g_ij,  W = -sum_ij r_ij (x) g_ij  (W_ab = -r_a g_b),
///   stress = -W/V (ASE's sign: positive is tensile).
/// The virial of an edge belongs to the atom j at its far end, W_j += -r_ij (x) g_ij: with that
/// choice sum_j W_j v_j is the potential part of the heat current (Fan et al., PRB 92, 094301).
/// All sums run in double precision whatever the model's dtype. For a committee everything is the
/// mean over its members.
struct Result {
  double energy = 0;                    ///< eV, sum over local atoms
  std::vector<double> energies;         ///< (n_local) eV
  std::vector<double> forces;           ///< (n_nodes, 3) eV/Å; ghost rows belong to their owners
  std::array<double, 9> virial{};       ///< eV, row-major
  std::vector<double> atomic_virials;   ///< (n_nodes, 9) eV, only if asked for
  std::vector<double> member_energies;  ///< (n_members) eV, only if asked for
  std::vector<double> member_forces;    ///< (n_nodes, n_members, 3) eV/Å, only if asked for
};

/// What an evaluation finds besides energies, forces and virial.
struct Wanted {
  bool atomic_virials = false;
  bool members = false;  ///< energy and forces of each member of a committee
};

/// What a step of a plan takes.
struct StepTime {
  std::string kind;
  double forward = 0, reverse = 0;  ///< s
};

/// A model file, ready to evaluate graphs. Immutable after construction: may be shared.
class Potential {
 public:
  /// path: TorchScript file of `e3md export`; device: "cpu", "cuda", "cuda:1";
  /// dtype: "float32" or "float64", default the file's.
  /// plan: evaluate by the file's plan of steps if there is one, else by TorchScript.
  /// Throws Error for a missing, damaged, foreign or newer file.
  Potential(const std::string& path, const std::string& device = "cpu",
            const std::optional<std::string>& dtype = std::nullopt, bool plan = true);
  ~Potential();
  Potential(Potential&&) noexcept;

  const Metadata& metadata() const;
  const std::string& dtype() const;  ///< in use, maybe not the file's
  const std::string& device() const;
  std::string runs() const;  ///< what evaluates, in words

  /// Prepares for atoms of these species; evaluations do so for the ones they meet.
  void use(const std::vector<int64_t>& types) const;

  /// Throws Error for coincident atoms (named by label) and for a result that is not finite
  /// (naming the atom and its nearest neighbor's distance).
  Result evaluate(const Graph& graph, Wanted wanted = {},
                  GhostExchanger* exchanger = nullptr) const;

  /// Seconds of each step of the plan, forwards and backwards, in one evaluation by one thread;
  /// none where TorchScript evaluates.
  std::vector<StepTime> step_times(const Graph& graph) const;

  /// d²E/dx_a dx_b, (3 n_local, 3 n_local) eV/Å². Needs a graph without ghosts.
  std::vector<double> hessian(const Graph& graph) const;

  /// Invariant features of each local atom, (n_local, n_features) row-major; sets n_features.
  std::vector<double> descriptors(const Graph& graph, int64_t& n_features) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace e3md

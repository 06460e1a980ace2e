#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "e3md/ghost_exchange.h"
#include "e3md/graph.h"
#include "plan/reader.h"

namespace e3md {

/// Energies and slopes of one model, or of several members of a committee at once.
struct Outcome {
  int64_t n_members = 1;
  std::vector<double> energies;  ///< (n_local, n_members) eV
  std::vector<double> g;  ///< dE/d edge_vec, (n_members or 1, n_edges, 3) eV/Å; 1: of the sum
};

}  // namespace e3md

namespace e3md::plan {

/// A model as steps that run one after the other and back, without an interpreter. Immutable: may
/// run in several threads at once.
class Plan {
 public:
  virtual ~Plan() = default;
  /// apart: a gradient for each member, else one of the sum of their energies. Collective where an
  /// exchanger is given: also without edges or atoms.
  virtual Outcome evaluate(const Graph& graph, bool apart, GhostExchanger* exchanger) const = 0;
  /// What each step takes in one evaluation by one thread.
  virtual std::vector<StepTime> time(const Graph& graph) const = 0;
  virtual int64_t n_members() const = 0;
  virtual size_t n_steps() const = 0;
};

/// Whether this program knows all that the text asks for; throws std::runtime_error where it is no
/// plan at all.
bool is_known(const nlohmann::json& text);

/// The plans of a text: one that gives the energies of all members, or one for each of them.
/// in_use: species that will be evaluated. Throws std::runtime_error, c10::Error.
std::vector<std::unique_ptr<Plan>> read_plans(const nlohmann::json& text, const Tensors& tensors,
                                              bool single, int64_t n_species,
                                              const std::vector<int64_t>& in_use);

}  // namespace e3md::plan

// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "e3md/potential.h"
#include "e3md/units.h"
#include "ghost_exchange.h"
#include "lammps_graph.h"
#include "pair.h"

namespace LAMMPS_NS {

/// pair_style e3nn [device cpu|cuda|cuda:N] [dtype float32|float64]
/// pair_coeff * * model.pt Li P S
class PairE3nn : public Pair {
 public:
  explicit PairE3nn(LAMMPS* lmp);
  ~PairE3nn() override;

  void settings(int n, char** arguments) override;
  void coeff(int n, char** arguments) override;
  void init_style() override;
  double init_one(int i, int j) override;
  void compute(int eflag, int vflag) override;
  double memory_usage() override;

  /// Models in the file; more than 1: a committee.
  int n_members() const;

  /// Collective. For each of this rank's own atoms, how far the members' forces are apart on this
  /// step: the norm over x, y, z of their standard deviation, in LAMMPS' force unit; 0 for NULL
  /// types. Stops if the last evaluation was of another step.
  const std::vector<double>& force_deviations();

  int pack_forward_comm(int n, int* atoms, double* buffer, int pbc_flag, int* pbc) override;
  void unpack_forward_comm(int n, int first, double* buffer) override;
  int pack_reverse_comm(int n, int first, double* buffer) override;
  void unpack_reverse_comm(int n, int* atoms, double* buffer) override;

 private:
  void load(const std::string& path);
  void allocate();
  void check_type_masses();
  void announce();
  void warn_of_stress();
  std::string user_of_virial() const;
  std::string missing_types() const;
  std::string hidden_neighbors() const;
  std::string types_text() const;
  void follow_reneighboring();
  e3md::Result evaluate(bool members);
  void compare_with_zbl(const e3md::Graph& graph);
  void keep_members(e3md::Result& result);
  void add_energies(const e3md::Result& result);
  void add_forces(const e3md::Result& result);
  void add_virials(const e3md::Result& result);
  void raise(const std::string& message);
  [[noreturn]] void stop(const std::string& message);

  std::string device_;                ///< as given; empty: choose
  std::optional<std::string> dtype_;  ///< as given; none: the file's
  std::vector<std::string> names_;    ///< element of each type, from type 1; empty for NULL
  e3md::Units units_{};
  std::unique_ptr<e3md::Potential> potential_;
  std::unique_ptr<LammpsGraph> graph_;
  std::unique_ptr<LammpsExchanger> exchanger_;
  std::vector<Compute*> deviations_of_;  ///< the computes e3nn/std
  std::vector<double> member_forces_;    ///< (n_nodes, n_members, 3) eV/Å, of the last evaluation
  std::optional<std::vector<double>> deviations_;  ///< (n_local), once asked for
  bigint member_step_ = -1;                        ///< of the last evaluation
  int member_atoms_ = 0;                           ///< own atoms and ghosts at the last evaluation
  std::set<std::pair<int, int>> given_;  ///< pairs of types that LAMMPS asked a cutoff for
  std::string unusual_masses_;           ///< that the user was told of
  bool announced_ = false;
  bool compared_ = false;     ///< with pair_style zbl
  bool stress_told_ = false;  ///< that stress was never trained
  bigint last_build_ = -1;    ///< neighbor-list build that the ghosts' owners belong to
};

}  // namespace LAMMPS_NS

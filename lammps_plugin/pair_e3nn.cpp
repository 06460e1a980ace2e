// SPDX-License-Identifier: GPL-2.0-or-later
#include "pair_e3nn.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "atom.h"
#include "comm.h"
#include "compute.h"
#include "e3md/committee.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "message_of.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "neighbor_check.h"
#include "update.h"
#include "zbl_check.h"

namespace LAMMPS_NS {

PairE3nn::PairE3nn(LAMMPS* lmp) : Pair(lmp) {
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  no_virial_fdotr_compute = 1;  // the virial comes from the edges: F·r knows no atomic virial
  centroidstressflag = CENTROID_AVAIL;
}

PairE3nn::~PairE3nn() {
  if (!allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
}

/// Collective. Stops with `message` if it is not empty, on all ranks or only some.
void PairE3nn::raise(const std::string& message) {
  int failed = message.empty() ? 0 : 1, n_failed = 0;
  MPI_Allreduce(&failed, &n_failed, 1, MPI_INT, MPI_SUM, world);
  if (n_failed == comm->nprocs) error->all(FLERR, message);
  if (failed) stop(message);
  if (n_failed) MPI_Barrier(world);  // wait for the other rank to stop us
}

/// Stops all ranks with an error of this one.
void PairE3nn::stop(const std::string& message) {
  try {
    error->one(FLERR, message);
  } catch (...) {
    // The abort that follows can overtake the message on its way through mpiexec.
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    throw;
  }
}

double PairE3nn::init_one(int i, int j) {
  if (!setflag[i][j])
    error->all(FLERR, "pair_style e3nn: no elements given for types {} and {} in pair_coeff", i, j);
  given_.insert({std::min(i, j), std::max(i, j)});
  return potential_->metadata().cutoff / units_.length;
}

/// Pairs of its types that a hybrid gives to another sub-style: it never calls init_one for them.
std::string PairE3nn::missing_types() const {
  for (int i = 1; i <= atom->ntypes; ++i)
    for (int j = i; j <= atom->ntypes; ++j)
      if (!names_[i - 1].empty() && !names_[j - 1].empty() && !given_.count({i, j}))
        return fmt::format(
            "pair_style e3nn: a pair_coeff gives the pair of types {} and {} ({} and {}) to "
            "another "
            "style, and these neighbors are then missing for e3nn, which needs all neighbors of "
            "its "
            "types. Remove it, use pair_style hybrid/overlay to add to e3nn, or name NULL for "
            "types "
            "that are not e3nn's.",
            i, j, names_[i - 1], names_[j - 1]);
  return "";
}

/// Why neighbors are missing from the new list; empty if none are.
std::string PairE3nn::hidden_neighbors() const {
  const std::string types = missing_types();
  if (!types.empty()) return types;
  // A little less than the list holds: rounding decides at its very edge.
  const double reach =
      (potential_->metadata().cutoff + neighbor->skin * units_.length) * (1 - 1e-9);
  std::string hidden;
  const std::string failed =
      message_of([&] { hidden = hidden_in_list(*lmp, *list, names_, reach, units_.length); });
  return failed.empty() ? hidden : failed;
}

void PairE3nn::follow_reneighboring() {
  if (neighbor->ago != 0 && neighbor->lastcall == last_build_) return;
  raise(hidden_neighbors());
  graph_->set_absent(absent_bits(*lmp));
  graph_->set_owners(exchanger_->owners(atom->nlocal, atom->nlocal + atom->nghost));
  last_build_ = neighbor->lastcall;
}

e3md::Result PairE3nn::evaluate(bool members) {
  const e3md::Graph& graph = graph_->build(*atom, *list);
  compare_with_zbl(graph);
  exchanger_->set_nodes(graph_->atoms(), graph.n_local, atom->nlocal + atom->nghost);
  // With several ranks always lent, also to a rank without ghosts: exchanges are collective.
  e3md::GhostExchanger* lent = comm->nprocs > 1 ? exchanger_.get() : nullptr;
  return potential_->evaluate(graph, {vflag_atom || cvflag_atom, members}, lent);
}

/// Collective, once per model: warns if pair_style zbl undoes what it learned.
void PairE3nn::compare_with_zbl(const e3md::Graph& graph) {
  if (compared_) return;
  compared_ = true;
  const std::string conflict =
      zbl_conflict(*lmp, graph, graph_->atoms(), names_, units_.length, potential_->metadata().zbl);
  if (comm->me == 0 && !conflict.empty()) error->warning(FLERR, "pair_style e3nn: {}", conflict);
}

void PairE3nn::compute(int eflag, int vflag) {
  ev_init(eflag, vflag);
  follow_reneighboring();
  const bool members = std::any_of(deviations_of_.begin(), deviations_of_.end(),
                                   [&](Compute* c) { return c->matchstep(update->ntimestep); });
  e3md::Result result;
  const std::string message = message_of([&] { result = evaluate(members); });
  if (!message.empty()) stop("Step " + std::to_string(update->ntimestep) + ": " + message);
  add_forces(result);
  if (eflag_either) add_energies(result);
  if (vflag_either) add_virials(result);
  if (members) keep_members(result);
}

int PairE3nn::n_members() const { return potential_->metadata().members; }

void PairE3nn::keep_members(e3md::Result& result) {
  member_forces_ = std::move(result.member_forces);
  deviations_.reset();
  member_step_ = update->ntimestep;
  member_atoms_ = atom->nlocal + atom->nghost;
}

const std::vector<double>& PairE3nn::force_deviations() {
  const bool current =
      member_step_ == update->ntimestep && member_atoms_ == atom->nlocal + atom->nghost;
  raise(current
            ? ""
            : "compute e3nn/std: the members were not told apart on this step: nobody announced "
              "to ask for it (dump, thermo and fix halt do), or atoms came or went since. Write "
              "'run 0' before.");
  if (deviations_) return *deviations_;
  const int n = n_members();
  if (comm->nprocs > 1) exchanger_->reverse(member_forces_.data(), 3 * n);
  const std::vector<double> components = e3md::deviation(member_forces_, n, 3);
  deviations_.emplace(atom->nlocal, 0.0);
  for (size_t k = 0; k < graph_->atoms().size(); ++k) {
    const double* s = components.data() + 3 * k;
    const int i = graph_->atoms()[k];
    if (i < atom->nlocal) (*deviations_)[i] = std::hypot(s[0], s[1], s[2]) / units_.force();
  }
  return *deviations_;
}

void PairE3nn::add_forces(const e3md::Result& result) {
  const std::vector<int>& atoms = graph_->atoms();
  for (size_t k = 0; k < atoms.size(); ++k)
    for (int a = 0; a < 3; ++a) atom->f[atoms[k]][a] += result.forces[3 * k + a] / units_.force();
}

void PairE3nn::add_energies(const e3md::Result& result) {
  if (eflag_global) eng_vdwl += result.energy / units_.energy;
  if (!eflag_atom) return;
  for (size_t k = 0; k < result.energies.size(); ++k)
    eatom[graph_->atoms()[k]] += result.energies[k] / units_.energy;
}

void PairE3nn::add_virials(const e3md::Result& result) {
  // LAMMPS' order, as indices into a row-major 3x3 tensor, and their transposes.
  static constexpr int order[9] = {0, 4, 8, 1, 2, 5, 3, 6, 7};  // xx yy zz xy xz yz yx zx zy
  static constexpr int transposed[6] = {0, 4, 8, 3, 6, 7};
  const auto symmetric = [&](const double* w, int c) {
    return 0.5 * (w[order[c]] + w[transposed[c]]) / units_.energy;
  };
  if (vflag_global)
    for (int c = 0; c < 6; ++c) virial[c] += symmetric(result.virial.data(), c);
  if (!vflag_atom && !cvflag_atom) return;
  const std::vector<int>& atoms = graph_->atoms();
  for (size_t k = 0; k < atoms.size(); ++k) {
    const double* w = result.atomic_virials.data() + 9 * k;
    if (vflag_atom)
      for (int c = 0; c < 6; ++c) vatom[atoms[k]][c] += symmetric(w, c);
    if (cvflag_atom)
      for (int c = 0; c < 9; ++c) cvatom[atoms[k]][c] += w[order[c]] / units_.energy;
  }
}

double PairE3nn::memory_usage() {
  double bytes = Pair::memory_usage();
  if (graph_) bytes += graph_->memory_usage() + exchanger_->memory_usage();
  return bytes;
}

int PairE3nn::pack_forward_comm(int n, int* atoms, double* buffer, int, int*) {
  return exchanger_->pack_forward(n, atoms, buffer);
}

void PairE3nn::unpack_forward_comm(int n, int first, double* buffer) {
  exchanger_->unpack_forward(n, first, buffer);
}

int PairE3nn::pack_reverse_comm(int n, int first, double* buffer) {
  return exchanger_->pack_reverse(n, first, buffer);
}

void PairE3nn::unpack_reverse_comm(int n, int* atoms, double* buffer) {
  exchanger_->unpack_reverse(n, atoms, buffer);
}

}  // namespace LAMMPS_NS

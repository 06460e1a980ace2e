// SPDX-License-Identifier: GPL-2.0-or-later
#include "pair_e3nn.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "atom.h"
#include "comm.h"
#include "compute.h"
#include "device.h"
#include "e3md/committee.h"
#include "e3md/error.h"
#include "e3md/runtime.h"
#include "error.h"
#include "force.h"
#include "masses.h"
#include "memory.h"
#include "modify.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "sha256.h"
#include "update.h"

namespace LAMMPS_NS {
namespace {

/// The message of the e3md::Error that `work` throws, empty if it throws none. LAMMPS' own error
/// calls must stay outside: they too are exceptions.
template <class Work>
std::string message_of(Work work) {
  try {
    work();
  } catch (const std::exception& error) {
    return std::strlen(error.what()) ? error.what() : "unknown failure";
  }
  return "";
}

std::string members_text(int n) { return n > 1 ? "committee of " + std::to_string(n) + " " : ""; }

}  // namespace

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

void PairE3nn::settings(int n, char** arguments) {
  device_.clear();
  dtype_.reset();
  for (int k = 0; k < n; k += 2) {
    const std::string key = arguments[k];
    if (key != "device" && key != "dtype")
      error->all(FLERR, "pair_style e3nn: unknown keyword '{}': it has device and dtype", key);
    if (k + 1 == n) error->all(FLERR, "pair_style e3nn: keyword {} needs a value", key);
    const std::string value = arguments[k + 1];
    if (key == "device") {
      if (!is_device(value))
        error->all(FLERR, "pair_style e3nn: device must be cpu, cuda or cuda:N, not '{}'", value);
      device_ = value;
    } else {
      if (value != "float32" && value != "float64")
        error->all(FLERR, "pair_style e3nn: dtype must be float32 or float64, not '{}'", value);
      dtype_ = value;
    }
  }
}

void PairE3nn::coeff(int n, char** arguments) {
  const int n_types = atom->ntypes;
  if (n < 4 || std::strcmp(arguments[0], "*") || std::strcmp(arguments[1], "*"))
    error->all(FLERR,
               "pair_style e3nn: write 'pair_coeff * * model.pt' and then one element (or NULL, "
               "under pair_style hybrid) for each of the {} atom types",
               n_types);
  if (n - 3 != n_types)
    error->all(
        FLERR,
        "pair_style e3nn: pair_coeff names {} elements, but there are {} atom types. Name "
        "one element (or NULL, under pair_style hybrid) per type, in the order of the types.",
        n - 3, n_types);
  names_.clear();
  for (int type = 1; type <= n_types; ++type) {
    const std::string name = arguments[type + 2];
    names_.push_back(name == "NULL" ? "" : name);
  }
  const bool has_null = std::find(names_.begin(), names_.end(), "") != names_.end();
  if (has_null && force->pair == this)
    error->all(FLERR,
               "pair_style e3nn: NULL in pair_coeff is for pair_style hybrid only: name an "
               "element for every type");
  load(arguments[2]);
  allocate();
}

void PairE3nn::load(const std::string& path) {
  const std::string found = utils::get_potential_file_path(path);
  raise(message_of([&] {
    e3md::check_libtorch_version();
    units_ = e3md::lammps_units(update->unit_style);
    e3md::set_n_threads(threads_wanted());
  }));
  const std::string device = pick_device(device_, world);
  raise(message_of([&] {
    potential_ = std::make_unique<e3md::Potential>(found.empty() ? path : found, device, dtype_);
    std::vector<int> species(1, -1);
    for (const std::string& name : names_)
      species.push_back(name.empty() ? -1 : static_cast<int>(potential_->metadata().type_of(name)));
    const e3md::Metadata& metadata = potential_->metadata();
    graph_ = std::make_unique<LammpsGraph>(std::move(species), metadata.cutoff, units_.length);
    // Also the forces of all members of a committee must fit.
    const int width = std::max(metadata.exchange_width, 3 * metadata.members);
    exchanger_ = std::make_unique<LammpsExchanger>(*lmp, *this, width);
  }));
  warm_ = false;
  last_build_ = -1;
}

void PairE3nn::allocate() {
  const int n = atom->ntypes + 1;
  if (!allocated) {
    memory->create(setflag, n, n, "pair:setflag");
    memory->create(cutsq, n, n, "pair:cutsq");
    allocated = 1;
  }
  for (int i = 1; i < n; ++i)
    for (int j = 1; j < n; ++j)
      setflag[i][j] = i <= j && !names_[i - 1].empty() && !names_[j - 1].empty();
}

void PairE3nn::init_style() {
  if (!force->newton_pair)
    error->all(FLERR,
               "pair_style e3nn: forces on ghost atoms need 'newton on'. Write it, or "
               "delete 'newton off', before the simulation box is created.");
  check_type_masses();
  check_special_bonds();
  neighbor->add_request(this, NeighConst::REQ_FULL);
  comm_forward = comm_reverse = exchanger_->buffer_size();
  // A hybrid style asked for these when its sub-styles had no model yet.
  force->pair->comm_forward = std::max(force->pair->comm_forward, comm_forward);
  force->pair->comm_reverse = std::max(force->pair->comm_reverse, comm_reverse);
  deviations_of_ = modify->get_compute_by_style("^e3nn/std$");
  if (!warm_) warm_up();
}

void PairE3nn::check_type_masses() {
  if (atom->rmass || !atom->mass) return;  // masses of their own for every atom
  raise(message_of([&] {
    const double unit = lammps_mass_unit(update->unit_style);
    std::vector<double> masses;
    for (int type = 1; type <= atom->ntypes; ++type)
      masses.push_back(atom->mass_setflag[type] ? atom->mass[type] * unit : 0);
    check_masses(names_, masses);
  }));
}

void PairE3nn::check_special_bonds() {
  if (!atom->nspecial) return;
  const bool hybrid = force->pair != this;
  int hidden = 0, anywhere = 0;
  for (int i = 0; i < atom->nlocal; ++i) {
    if (names_[atom->type[i] - 1].empty()) continue;
    for (int k = 1; k <= 3; ++k) {
      const int partners = atom->nspecial[i][k - 1] - (k > 1 ? atom->nspecial[i][k - 2] : 0);
      const double lj = force->special_lj[k], coul = force->special_coul[k];
      // Both 0 drops the pair from the neighbor list. Other factors are for the other styles of a
      // hybrid; without one they can only be a mistake, as this style scales no pair.
      const bool harmful = hybrid ? lj == 0 && coul == 0 : lj != 1 || coul != 1;
      if (partners > 0 && harmful) hidden = 1;
    }
  }
  MPI_Allreduce(&hidden, &anywhere, 1, MPI_INT, MPI_MAX, world);
  if (anywhere)
    error->all(FLERR,
               "pair_style e3nn: special_bonds would hide or scale neighbors that are bonded "
               "in the topology. Write 'special_bonds lj/coul 1 1 1'.");
}

/// First evaluations are slow: done here, on a small chain of all the model's species.
void PairE3nn::warm_up() {
  const e3md::Metadata& metadata = potential_->metadata();
  const auto start = std::chrono::steady_clock::now();
  // A model that fails on the chain will say so at step 0, and name atoms that the user knows.
  message_of([&] {
    e3md::Graph chain;
    chain.n_local = chain.n_nodes = static_cast<int64_t>(metadata.species.size()) + 1;
    for (int64_t i = 0; i < chain.n_nodes; ++i) {
      chain.types.push_back(i % static_cast<int64_t>(metadata.species.size()));
      chain.labels.push_back(i);
      for (int64_t j : {i - 1, i + 1}) {
        if (j < 0 || j >= chain.n_nodes) continue;
        chain.edge_i.push_back(i);
        chain.edge_j.push_back(j);
        chain.edge_vec.insert(chain.edge_vec.end(), {0.6 * metadata.cutoff * (j - i), 0, 0});
      }
    }
    for (int repeat = 0; repeat < 3; ++repeat) potential_->evaluate(chain);
  });
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  warm_ = true;
  if (comm->me) return;
  utils::logmesg(lmp,
                 "pair_style e3nn\n"
                 "  model      {} ({}{}, {} layers, written by e3md {})\n"
                 "  sha256     {}\n"
                 "  types      {}\n"
                 "  cutoff     {:g} Angstrom = {:g} distance units\n"
                 "  dtype      {}\n"
                 "  device     {}\n"
                 "  ranks      {} with {} thread(s) each\n"
                 "  warm-up    {:.2f} s\n",
                 metadata.path, members_text(metadata.members), metadata.architecture,
                 metadata.n_layers, metadata.e3md_version, sha256_of_file(metadata.path),
                 types_text(), metadata.cutoff, metadata.cutoff / units_.length,
                 potential_->dtype(), potential_->device(), comm->nprocs, e3md::n_threads(),
                 elapsed.count());
}

std::string PairE3nn::types_text() const {
  std::string text;
  for (size_t k = 0; k < names_.size(); ++k)
    text +=
        (k ? ", " : "") + std::to_string(k + 1) + " = " + (names_[k].empty() ? "NULL" : names_[k]);
  return text;
}

double PairE3nn::init_one(int i, int j) {
  if (!setflag[i][j])
    error->all(FLERR, "pair_style e3nn: no elements given for types {} and {} in pair_coeff", i, j);
  return potential_->metadata().cutoff / units_.length;
}

void PairE3nn::follow_reneighboring() {
  if (neighbor->ago != 0 && neighbor->lastcall == last_build_) return;
  graph_->set_owners(exchanger_->owners(atom->nlocal, atom->nlocal + atom->nghost));
  last_build_ = neighbor->lastcall;
}

e3md::Result PairE3nn::evaluate(bool members) {
  const e3md::Graph& graph = graph_->build(*atom, *list);
  exchanger_->set_nodes(graph_->atoms(), graph.n_local, atom->nlocal + atom->nghost);
  // With several ranks always lent, also to a rank without ghosts: exchanges are collective.
  e3md::GhostExchanger* lent = comm->nprocs > 1 ? exchanger_.get() : nullptr;
  return potential_->evaluate(graph, {vflag_atom || cvflag_atom, members}, lent);
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

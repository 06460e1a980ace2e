// SPDX-License-Identifier: GPL-2.0-or-later
// What pair_style e3nn does before a run: its commands, the model file, checks of the input.
#include <algorithm>
#include <cstring>
#include <iterator>

#include "atom.h"
#include "comm.h"
#include "compute.h"
#include "device.h"
#include "e3md/error.h"
#include "e3md/runtime.h"
#include "error.h"
#include "force.h"
#include "masses.h"
#include "memory.h"
#include "message_of.h"
#include "modify.h"
#include "neighbor.h"
#include "neighbor_check.h"
#include "pair_e3nn.h"
#include "sha256.h"
#include "update.h"

namespace LAMMPS_NS {
namespace {

std::string members_text(int n) { return n > 1 ? "committee of " + std::to_string(n) + " " : ""; }

}  // namespace

void PairE3nn::settings(int n, char** arguments) {
  const auto before = std::pair(device_, dtype_);
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
  // Given again, LAMMPS keeps this style and what pair_coeff said.
  if (potential_ && before != std::pair(device_, dtype_)) load(potential_->metadata().path);
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
  const std::string device = pick_device(device_, *lmp);
  raise(message_of([&] {
    potential_ = std::make_unique<e3md::Potential>(found.empty() ? path : found, device, dtype_);
    std::vector<int> species(1, -1);
    for (const std::string& name : names_)
      species.push_back(name.empty() ? -1 : static_cast<int>(potential_->metadata().type_of(name)));
    std::vector<int64_t> used;
    std::copy_if(species.begin(), species.end(), std::back_inserter(used),
                 [](int type) { return type >= 0; });
    potential_->use(used);
    const e3md::Metadata& metadata = potential_->metadata();
    graph_ = std::make_unique<LammpsGraph>(std::move(species), metadata.cutoff, units_.length);
    // Also the forces of all members of a committee must fit.
    const int width = std::max(metadata.exchange_width, 3 * metadata.members);
    exchanger_ = std::make_unique<LammpsExchanger>(*lmp, *this, width);
  }));
  announced_ = false;
  compared_ = false;
  stress_told_ = false;
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
  raise(hidden_by_settings(*lmp, names_, force->pair == this));
  given_.clear();
  neighbor->add_request(this, NeighConst::REQ_FULL);
  comm_forward = comm_reverse = exchanger_->buffer_size();
  // A hybrid style asked for these when its sub-styles had no model yet.
  force->pair->comm_forward = std::max(force->pair->comm_forward, comm_forward);
  force->pair->comm_reverse = std::max(force->pair->comm_reverse, comm_reverse);
  deviations_of_ = modify->get_compute_by_style("^e3nn/std$");
  if (!announced_) announce();
  announced_ = true;
  warn_of_stress();
}

void PairE3nn::check_type_masses() {
  if (atom->rmass || !atom->mass) return;  // masses of their own for every atom
  std::string unusual;
  raise(message_of([&] {
    const double unit = lammps_mass_unit(update->unit_style);
    std::vector<double> masses;
    for (int type = 1; type <= atom->ntypes; ++type)
      masses.push_back(atom->mass_setflag[type] ? atom->mass[type] * unit : 0);
    unusual = check_masses(names_, masses);
  }));
  if (unusual == unusual_masses_) return;  // once, not for every run
  unusual_masses_ = unusual;
  if (comm->me == 0 && !unusual.empty()) error->warning(FLERR, "pair_style e3nn: {}", unusual);
}

/// Once per model and settings.
void PairE3nn::announce() {
  const e3md::Metadata& metadata = potential_->metadata();
  if (comm->me) return;
  for (const std::string& line :
       {metadata.remark, metadata.training.unfinished_warning(metadata.path)})
    if (!line.empty()) error->warning(FLERR, "pair_style e3nn: {}", line);
  utils::logmesg(lmp,
                 "pair_style e3nn\n"
                 "  model      {} ({}{}, {} layers, written by e3md {})\n"
                 "  sha256     {}\n"
                 "  types      {}\n"
                 "  cutoff     {:g} Angstrom = {:g} distance units\n"
                 "  dtype      {}\n"
                 "  device     {}, {}, {}\n"
                 "  ranks      {} with {} thread(s) each\n"
                 "  training   {}\n"
                 "  learned    {}\n",
                 metadata.path, members_text(metadata.members), metadata.architecture,
                 metadata.n_layers, metadata.e3md_version, sha256_of_file(metadata.path),
                 types_text(), metadata.cutoff, metadata.cutoff / units_.length,
                 potential_->dtype(), potential_->device(), e3md::ops_in_use(), potential_->runs(),
                 comm->nprocs, e3md::n_threads(), metadata.training.quality,
                 metadata.training.learned);
}

/// Once per model. Thermo output of the pressure asks for no warning: nothing moves by it, and the
/// lines of announce() say what was learned.
void PairE3nn::warn_of_stress() {
  const e3md::Metadata& metadata = potential_->metadata();
  if (stress_told_ || !metadata.training.stress_untrained) return;
  const std::string user = user_of_virial();
  if (user.empty()) return;
  stress_told_ = true;
  if (comm->me == 0)
    error->warning(FLERR, "pair_style e3nn: {} uses the pressure, and {}", user,
                   metadata.training.stress_warning(metadata.path));
}

/// A compute of pressures or atomic stresses beside that of thermo output: barostats and fix
/// box/relax make one of their own. "" if there is none.
std::string PairE3nn::user_of_virial() const {
  for (const Compute* compute : modify->get_compute_list())
    if ((compute->pressflag || compute->pressatomflag) && std::strcmp(compute->id, "thermo_press"))
      return std::string("compute ") + compute->id + " (" + compute->style + ")";
  return "";
}

std::string PairE3nn::types_text() const {
  std::string text;
  for (size_t k = 0; k < names_.size(); ++k)
    text +=
        (k ? ", " : "") + std::to_string(k + 1) + " = " + (names_[k].empty() ? "NULL" : names_[k]);
  return text;
}

}  // namespace LAMMPS_NS

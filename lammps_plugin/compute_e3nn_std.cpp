// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute_e3nn_std.h"

#include "atom.h"
#include "error.h"
#include "force.h"
#include "pair_e3nn.h"
#include "update.h"

namespace LAMMPS_NS {

ComputeE3nnStd::ComputeE3nnStd(LAMMPS* lmp, int n, char** arguments) : Compute(lmp, n, arguments) {
  if (n != 3)
    error->all(FLERR, "compute e3nn/std takes no arguments: write 'compute ID group e3nn/std'");
  peratom_flag = 1;
  timeflag = 1;  // who asks says on which steps; only on these are the members told apart
  size_peratom_cols = 0;
}

void ComputeE3nnStd::init() {
  pair_ = dynamic_cast<PairE3nn*>(force->pair_match("e3nn", 1));
  if (!pair_ && force->pair_match("e3nn", 1, 1))
    error->all(FLERR,
               "compute e3nn/std: pair_style e3nn occurs more than once under pair_style hybrid; "
               "use one");
  if (!pair_)
    error->all(FLERR,
               "compute e3nn/std: there is no pair_style e3nn, whose committee it could ask. "
               "Write pair_style e3nn and pair_coeff first.");
  if (pair_->n_members() < 2)
    error->all(FLERR,
               "compute e3nn/std: the model file of pair_style e3nn holds a single model, and only "
               "a committee has a deviation. Train one with 'members: 4' under 'training'.");
}

void ComputeE3nnStd::compute_peratom() {
  invoked_peratom = update->ntimestep;
  deviations_.assign(atom->nmax, 0.0);
  vector_atom = deviations_.data();
  const std::vector<double>& found = pair_->force_deviations();
  for (int i = 0; i < atom->nlocal; ++i)
    if (atom->mask[i] & groupbit) deviations_[i] = found[i];
}

double ComputeE3nnStd::memory_usage() {
  return static_cast<double>(deviations_.capacity() * sizeof(double));
}

}  // namespace LAMMPS_NS

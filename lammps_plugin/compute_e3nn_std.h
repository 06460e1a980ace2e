// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <vector>

#include "compute.h"

namespace LAMMPS_NS {

class PairE3nn;

/// compute ID group e3nn/std
/// Per atom: the deviation of the force among the members of pair_style e3nn's committee.
class ComputeE3nnStd : public Compute {
 public:
  ComputeE3nnStd(LAMMPS* lmp, int n, char** arguments);

  void init() override;
  void compute_peratom() override;
  double memory_usage() override;

 private:
  PairE3nn* pair_ = nullptr;
  std::vector<double> deviations_;  ///< (n_max), LAMMPS' force unit; 0 outside the group
};

}  // namespace LAMMPS_NS

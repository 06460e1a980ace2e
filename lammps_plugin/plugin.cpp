// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute_e3nn_std.h"
#include "error.h"
#include "lammps.h"
#include "lammpsplugin.h"
#include "pair_e3nn.h"

using LAMMPS_NS::LAMMPS;

namespace {

/// Refused on use and not on loading: an input that does not use e3nn runs all the same.
void check_version(LAMMPS& lmp, const char* style) {
  if (lmp.num_ver != E3MD_LAMMPS_VERSION)
    lmp.error->all(FLERR,
                   "{}: e3nnplugin.so was compiled for LAMMPS {}, but this is LAMMPS {}. Build it "
                   "again with -DLAMMPS_HEADER_DIR=<headers of this LAMMPS>.",
                   style, E3MD_LAMMPS_VERSION, lmp.num_ver);
}

void* create_pair(void* pointer) {
  auto* lmp = static_cast<LAMMPS*>(pointer);
  check_version(*lmp, "pair_style e3nn");
  return new LAMMPS_NS::PairE3nn(lmp);
}

void* create_compute(void* pointer, int n, char** arguments) {
  auto* lmp = static_cast<LAMMPS*>(pointer);
  check_version(*lmp, "compute e3nn/std");
  return new LAMMPS_NS::ComputeE3nnStd(lmp, n, arguments);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void* lmp, void* handle,
                                                                         void* register_function) {
  const auto register_style = reinterpret_cast<lammpsplugin_regfunc>(register_function);
  lammpsplugin_t plugin{};
  plugin.version = static_cast<LAMMPS*>(lmp)->version;
  plugin.author = "the e3md developers";
  plugin.handle = handle;

  plugin.style = "pair";
  plugin.name = "e3nn";
  plugin.info = "E(3)-equivariant potentials, pair_style e3nn";
  plugin.creator.v1 = create_pair;
  register_style(&plugin, lmp);

  plugin.style = "compute";
  plugin.name = "e3nn/std";
  plugin.info = "deviation among the members of a committee, compute e3nn/std";
  plugin.creator.v2 = create_compute;
  register_style(&plugin, lmp);
}

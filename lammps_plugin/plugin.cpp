// SPDX-License-Identifier: GPL-2.0-or-later
#include "error.h"
#include "lammps.h"
#include "lammpsplugin.h"
#include "pair_e3nn.h"

using LAMMPS_NS::LAMMPS;

namespace {

void* create_pair(void* pointer) {
  auto* lmp = static_cast<LAMMPS*>(pointer);
  // Refused here and not on loading: an input that does not use e3nn runs all the same.
  if (lmp->num_ver != E3MD_LAMMPS_VERSION)
    lmp->error->all(FLERR,
                    "pair_style e3nn: e3nnplugin.so was compiled for LAMMPS {}, but this is LAMMPS "
                    "{}. Build it again with -DLAMMPS_HEADER_DIR=<headers of this LAMMPS>.",
                    E3MD_LAMMPS_VERSION, lmp->num_ver);
  return new LAMMPS_NS::PairE3nn(lmp);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void* lmp, void* handle,
                                                                         void* register_function) {
  lammpsplugin_t plugin{};
  plugin.version = static_cast<LAMMPS*>(lmp)->version;
  plugin.style = "pair";
  plugin.name = "e3nn";
  plugin.info = "E(3)-equivariant potentials, pair_style e3nn";
  plugin.author = "the e3md developers";
  plugin.creator.v1 = create_pair;
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(register_function)(&plugin, lmp);
}

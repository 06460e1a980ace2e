// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <string>

namespace LAMMPS_NS {
class LAMMPS;
}

/// Whether the text names a device: cpu, cuda or cuda:N.
bool is_device(const std::string& text);

/// Collective over the ranks of one LAMMPS (its `world`). The device of this rank. asked: as
/// is_device, or empty for the best that models run on here. Several GPUs are dealt out to the
/// ranks of each node, those of all replicas together.
std::string pick_device(const std::string& asked, const LAMMPS_NS::LAMMPS& lmp);

/// Compute threads per rank: one, unless OMP_NUM_THREADS says otherwise.
int threads_wanted();

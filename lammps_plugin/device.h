// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <mpi.h>

#include <string>

/// Whether the text names a device: cpu, cuda or cuda:N.
bool is_device(const std::string& text);

/// Collective. The device of this rank. asked: as is_device, or empty for the best there is.
/// Several GPUs are dealt out to the ranks of each node.
std::string pick_device(const std::string& asked, MPI_Comm world);

/// Compute threads per rank: one, unless OMP_NUM_THREADS says otherwise.
int threads_wanted();

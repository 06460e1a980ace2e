// SPDX-License-Identifier: GPL-2.0-or-later
#include "device.h"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <initializer_list>
#include <vector>

#include "e3md/runtime.h"
#include "lammps.h"
#include "universe.h"

namespace {

/// Number of this rank among those on the same node. By the nodes' names, as the MPI that comes
/// with serial LAMMPS cannot split a communicator by node.
int rank_on_node(MPI_Comm world) {
  int me = 0, n_ranks = 1, length = 0;
  MPI_Comm_rank(world, &me);
  MPI_Comm_size(world, &n_ranks);
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  MPI_Get_processor_name(name.data(), &length);
  std::vector<char> names(name.size() * n_ranks);
  MPI_Allgather(name.data(), name.size(), MPI_CHAR, names.data(), name.size(), MPI_CHAR, world);
  int rank = 0;
  for (int other = 0; other < me; ++other)
    rank += std::equal(name.begin(), name.end(), names.begin() + other * name.size());
  return rank;
}

/// Number of this rank on its node as the program that started it says, -1 if none does.
int rank_of_launcher() {
  for (const char* name : {"MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK",
                           "MV2_COMM_WORLD_LOCAL_RANK", "PALS_LOCAL_RANKID", "SLURM_LOCALID"})
    if (const char* text = std::getenv(name)) return std::max(0, std::atoi(text));
  return -1;
}

/// Number of this rank among all on the same node, replicas of -partition included. These never
/// wait for each other here: only one of them may use e3nn.
int rank_on_node(const LAMMPS_NS::LAMMPS& lmp) {
  const int among_own = rank_on_node(lmp.world);  // collective: before any return
  if (lmp.universe->nworlds == 1) return among_own;
  const int told = rank_of_launcher();
  return told < 0 ? lmp.universe->me : told;  // replicas are started one after the other
}

}  // namespace

bool is_device(const std::string& text) {
  if (text == "cpu" || text == "cuda") return true;
  return text.rfind("cuda:", 0) == 0 && text.size() > 5 &&
         text.find_first_not_of("0123456789", 5) == std::string::npos;
}

std::string pick_device(const std::string& asked, const LAMMPS_NS::LAMMPS& lmp) {
  const int rank = rank_on_node(lmp);
  if (asked.empty() ? e3md::prefers_cuda() : asked == "cuda" && e3md::missing_cuda().empty())
    return "cuda:" + std::to_string(rank % e3md::n_cuda_devices());
  return asked.empty() ? "cpu" : asked;
}

int threads_wanted() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  return text ? std::max(1, std::atoi(text)) : 1;
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "device.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "e3md/runtime.h"

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

}  // namespace

bool is_device(const std::string& text) {
  if (text == "cpu" || text == "cuda") return true;
  return text.rfind("cuda:", 0) == 0 && text.size() > 5 &&
         text.find_first_not_of("0123456789", 5) == std::string::npos;
}

std::string pick_device(const std::string& asked, MPI_Comm world) {
  const int n_devices = e3md::n_cuda_devices();
  const int rank = rank_on_node(world);  // collective: before any return
  const bool choose = asked.empty() || asked == "cuda";
  if (choose && n_devices) return "cuda:" + std::to_string(rank % n_devices);
  return asked.empty() ? "cpu" : asked;
}

int threads_wanted() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  return text ? std::max(1, std::atoi(text)) : 1;
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "warm_up.h"

#include <chrono>
#include <exception>

namespace {

e3md::Graph chain_of_all_species(const e3md::Metadata& metadata) {
  const auto n_species = static_cast<int64_t>(metadata.species.size());
  e3md::Graph chain;
  chain.n_local = chain.n_nodes = n_species + 1;
  for (int64_t i = 0; i < chain.n_nodes; ++i) {
    chain.types.push_back(i % n_species);
    chain.labels.push_back(i);
    for (int64_t j : {i - 1, i + 1}) {
      if (j < 0 || j >= chain.n_nodes) continue;
      chain.edge_i.push_back(i);
      chain.edge_j.push_back(j);
      chain.edge_vec.insert(chain.edge_vec.end(), {0.6 * metadata.cutoff * (j - i), 0, 0});
    }
  }
  return chain;
}

}  // namespace

double warm_up(const e3md::Potential& potential) {
  const auto start = std::chrono::steady_clock::now();
  const e3md::Graph chain = chain_of_all_species(potential.metadata());
  try {
    for (int repeat = 0; repeat < 3; ++repeat) potential.evaluate(chain);
  } catch (const std::exception&) {  // see above
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

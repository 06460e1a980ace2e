#pragma once
#include <vector>

#include "plan/reader.h"

namespace e3md::plan {

/// Steps between two exchanges: those that need all rows, then those that go slice by slice.
template <class T>
struct Phase {
  Steps<T> whole, sliced;
  int64_t gathered = -1;  ///< the register of nodes whose gradient the slices add to; -1: none
};

/// The steps of a plan in order.
template <class T>
struct Sequence {
  std::vector<Register> registers;
  std::vector<std::vector<T>> constants;  ///< values of registers of species
  std::vector<Phase<T>> phases;
  int64_t n_members = 1;
  size_t n_evaluated = 0;  ///< steps, without those of species
  bool exchanges = false;  ///< needs a communicator where there are ghosts
};

/// Reads and checks one plan, and runs what depends on species alone.
template <class T>
Sequence<T> read_sequence(const nlohmann::json& text, Context context);

}  // namespace e3md::plan

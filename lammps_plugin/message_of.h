// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <cstring>
#include <exception>
#include <string>

/// The message of the e3md::Error that `work` throws, empty if it throws none. LAMMPS' own error
/// calls must stay outside: they too are exceptions.
template <class Work>
std::string message_of(Work work) {
  try {
    work();
  } catch (const std::exception& error) {
    return std::strlen(error.what()) ? error.what() : "unknown failure";
  }
  return "";
}

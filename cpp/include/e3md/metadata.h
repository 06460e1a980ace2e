#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "e3md/training.h"

namespace e3md {

/// Newest model-file format this build reads.
inline constexpr int kFormatVersion = 2;

/// What `e3md.json` inside a model file says, checked field by field on reading.
struct Metadata {
  int format_version = 0;
  std::string e3md_version;          ///< that wrote the file
  std::string torch_version;         ///< that wrote the file
  std::string architecture;          ///< "nequip", "mace", ...
  std::string dtype;                 ///< "float32" or "float64": arithmetic of the network
  std::vector<std::string> species;  ///< chemical symbols; the index is the model's type
  double cutoff = 0;                 ///< Å
  int n_layers = 0;                  ///< interaction (message-passing) layers
  int exchange_width = 0;            ///< largest number of features a ghost_exchange moves per atom
  int members = 1;                   ///< models whose mean the file gives; more than 1: a committee
  bool zbl = false;                  ///< the model holds the ZBL repulsion
  Training training;                 ///< what it learned, how well
  std::string json;                  ///< the whole text, for display
  std::string path;                  ///< of the model file, for messages
  std::string remark;  ///< a line for the user on what the file does not vouch for, or ""

  /// Model type of a chemical symbol. Throws Error naming the symbol and the species known.
  int64_t type_of(const std::string& symbol) const;
};

/// Parses and checks the JSON text. Throws Error naming the file, the key and what was found.
Metadata parse_metadata(const std::string& json, const std::string& path);

/// Throws Error naming the key unless what the network was exported with, a JSON text in the
/// module, is what e3md.json says.
void check_binding(const Metadata& metadata, const std::string& bound);

/// Reads and checks the e3md.json of a model file, without loading the model.
/// Throws Error for a missing, damaged, foreign or newer file.
Metadata read_metadata(const std::string& path);

/// Throws Error unless a model file can be loaded: what is checked before any of its code runs.
void check_model_file(const std::string& path);

}  // namespace e3md

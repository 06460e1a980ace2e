#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace e3md {

/// Newest model-file format this build reads.
inline constexpr int kFormatVersion = 1;

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
  std::string json;                  ///< the whole text, for display
  std::string path;                  ///< of the model file, for messages

  /// Model type of a chemical symbol. Throws Error naming the symbol and the species known.
  int64_t type_of(const std::string& symbol) const;
};

/// Parses and checks the JSON text. Throws Error naming the file, the key and what was found.
Metadata parse_metadata(const std::string& json, const std::string& path);

/// Reads and checks the e3md.json of a model file, without loading the model.
/// Throws Error for a missing, damaged, foreign or newer file.
Metadata read_metadata(const std::string& path);

}  // namespace e3md

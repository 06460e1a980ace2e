#pragma once
#include <torch/script.h>

#include <optional>
#include <string>
#include <vector>

#include "e3md/archive.h"
#include "e3md/metadata.h"

namespace e3md {

/// A device by name; throws Error if it is unknown or absent from this machine.
torch::Device find_device(const std::string& name);

/// Opens a model file and reads its e3md.json, before anything else of it is used.
/// Throws Error for a missing, damaged, foreign or newer file.
std::pair<Archive, Metadata> open_model(const std::string& path);

/// The module of a model file whose code is what exported models need, and which agrees with
/// e3md.json; nothing of it has run.
torch::jit::Module read_module(const Archive& archive, const Metadata& metadata);

/// Makes a module ready for inference. Parameters need no gradients; all floating tensors are cast
/// to `dtype`, except reference energies, scale, shift and coupling coefficients.
/// species: indices of those in use, for which alone tables are made: whoever evaluates a pair of
/// others gets NaN. None: all. Older files have tables of all. To add species, prepare a module
/// that was read again: tables are made of weights as the file has them, not as a run has cast
/// them.
void prepare(torch::jit::Module& module, const Metadata& metadata, torch::Device device,
             torch::ScalarType dtype,
             const std::optional<std::vector<int64_t>>& species = std::nullopt);

/// Whether radial weights come from tables: convolutions then keep nothing of the size of the
/// edges, and share work among copies of a graph.
bool reads_tables(const torch::jit::Module& module);

}  // namespace e3md

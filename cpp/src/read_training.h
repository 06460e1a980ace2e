#pragma once
#include <nlohmann/json.hpp>

#include "e3md/training.h"

namespace e3md {

/// What e3md.json says under "training". Never throws: what is missing or of another type counts as
/// not recorded, as in files of older versions.
Training read_training(const nlohmann::json& root);

}  // namespace e3md

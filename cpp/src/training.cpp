#include "e3md/training.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "read_training.h"

namespace e3md {
namespace {

using nlohmann::json;

constexpr size_t kShown = 6;      // elements and pairs named in a line
constexpr size_t kLongest = 200;  // bytes of a text of the file

std::string text(double value, int digits) {
  std::ostringstream out;
  out.precision(digits);
  out << value;
  return out.str();
}

/// A text of the file without control characters, which a terminal would obey.
std::string printable(std::string found) {
  if (found.size() > kLongest) found = found.substr(0, kLongest) + "...";
  std::replace_if(
      found.begin(), found.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return found;
}

const json& member(const json& parent, const char* key) {
  static const json none;
  const auto found = parent.is_object() ? parent.find(key) : parent.end();
  return parent.is_object() && found != parent.end() ? *found : none;
}

std::string words(const json& parent, const char* key) {
  const json& value = member(parent, key);
  return value.is_string() ? printable(value.get<std::string>()) : "";
}

/// A pair of numbers, lowest and highest.
std::optional<std::pair<double, double>> range(const json& value) {
  if (!value.is_array() || value.size() != 2 || !value[0].is_number() || !value[1].is_number())
    return std::nullopt;
  return std::pair(value[0].get<double>(), value[1].get<double>());
}

std::string range_text(std::pair<double, double> ends, int digits) {
  const std::string low = text(ends.first, digits), high = text(ends.second, digits);
  return low == high ? low : low + " to " + high;
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : separator) + part;
  return all;
}

/// Mean absolute errors of one set; "" where there are none.
std::string errors_text(const json& errors) {
  static constexpr struct {
    const char *key, *name, *unit;
  } kinds[] = {{"forces_mae", "forces", "meV/Å"},
               {"energy_per_atom_mae", "energy", "meV/atom"},
               {"stress_mae", "stress", "meV/Å³"}};
  std::vector<std::string> parts;
  for (const auto& kind : kinds) {
    const json& value = member(errors, kind.key);
    if (value.is_number())
      parts.push_back(std::string(kind.name) + " " + text(1000 * value.get<double>(), 3) + " " +
                      kind.unit);
  }
  return joined(parts, ", ");
}

std::string quality(const json& training, const std::string& state) {
  std::vector<std::string> parts;
  parts.push_back(state.empty() ? "finished or not is not recorded" : state);
  const std::string test = errors_text(member(training, "test_errors"));
  const std::string valid = errors_text(member(training, "valid_errors"));
  if (!test.empty()) parts.push_back("MAE on the test set: " + test);
  if (!valid.empty() && test.empty())
    parts.push_back("MAE on the validation set: " + valid + "; no errors on a test set");
  if (valid.empty() && test.empty()) parts.push_back("errors are not recorded");
  return joined(parts, "; ");
}

std::string stress_text(const json& training) {
  const json& learned = member(training, "stress_learned");
  if (!learned.is_boolean()) return "stress: not recorded";
  return learned.get<bool>() ? "stress was trained" : "stress was never trained";
}

std::string composition(const json& training) {
  std::vector<std::string> parts;
  const json& elements = member(training, "composition_range");
  for (const auto& [symbol, value] : elements.items()) {
    const auto ends = range(value);
    if (!ends || parts.size() == kShown) continue;
    const std::pair percent(100 * ends->first, 100 * ends->second);
    parts.push_back(printable(symbol) + " " + range_text(percent, 3) + " %");
  }
  if (elements.size() > parts.size() && !parts.empty()) parts.push_back("...");
  return joined(parts, ", ");
}

/// The pairs that came closest, the closest first.
std::string closest(const json& training) {
  std::vector<std::pair<double, std::string>> pairs;
  for (const auto& [name, value] : member(training, "shortest_distances").items())
    if (value.is_number()) pairs.emplace_back(value.get<double>(), printable(name));
  std::sort(pairs.begin(), pairs.end());
  std::vector<std::string> parts;
  for (size_t k = 0; k < std::min(pairs.size(), kShown); ++k)
    parts.push_back(pairs[k].second + " " + text(pairs[k].first, 3));
  if (pairs.empty()) return "";
  return "closest atoms " + joined(parts, ", ") + (pairs.size() > kShown ? ", ..." : "") + " Å";
}

std::string learned(const json& training) {
  std::vector<std::string> parts{stress_text(training)};
  for (const std::string& part : {composition(training), closest(training)})
    if (!part.empty()) parts.push_back(part);
  const auto kelvin = range(member(training, "temperature_range"));
  parts.push_back(kelvin ? range_text(*kelvin, 3) + " K" : "temperature: not recorded");
  return joined(parts, "; ");
}

}  // namespace

Training read_training(const json& root) {
  Training found;
  const json& training = member(root, "training");
  const std::string origin = words(training, "converted_from");
  if (!origin.empty()) {
    found.quality = "converted from " + origin;
    return found;  // what the other program learned is not recorded
  }
  const std::string state = words(training, "state");
  found.unfinished = state.starts_with("unfinished");
  if (!state.empty() || !errors_text(member(training, "test_errors")).empty())
    found.quality = quality(training, state);
  const json& stress = member(training, "stress_learned");
  found.periodic = member(training, "periodic") == json(true);
  found.stress_untrained = stress.is_boolean() && !stress.get<bool>();
  if (stress.is_boolean() || !closest(training).empty()) found.learned = learned(training);
  return found;
}

std::string Training::unfinished_warning(const std::string& path) const {
  if (!unfinished) return "";
  return "model file '" + path + "' was exported from a training that has not ended (" + quality +
         "): finish it by `e3md train ... --resume` and export again before relying on it";
}

std::string Training::stress_warning(const std::string& path) const {
  if (!stress_untrained) return "";
  return "stress was never trained in model file '" + path +
         "': it learned energies and forces alone, and pressures, NPT, relaxation of cells and "
         "elastic constants may be far off. Train with stress labels, or compare pressures with "
         "reference calculations first";
}

}  // namespace e3md

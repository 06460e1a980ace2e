#include "e3md/metadata.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "e3md/error.h"
#include "read_training.h"

namespace e3md {
namespace {

using nlohmann::json;

/// Reads checked fields of one e3md.json; every complaint names the file, the key and the value.
class Reader {
 public:
  Reader(const json& root, const std::string& path) : root_(root), path_(path) {}

  std::string text(const char* key) const {
    const json& value = field(key);
    if (!value.is_string() || value.get<std::string>().empty()) fail(key, "a text", value);
    return value.get<std::string>();
  }

  int integer(const char* key, int least) const {
    const json& value = field(key);
    const std::string expected = "an integer, at least " + std::to_string(least);
    if (!value.is_number_integer()) fail(key, expected, value);
    const auto number = value.get<int64_t>();
    if (number < least || number > INT32_MAX) fail(key, expected, value);
    return static_cast<int>(number);
  }

  int integer_or(const char* key, int least, int fallback) const {
    return root_.contains(key) ? integer(key, least) : fallback;
  }

  double positive(const char* key) const {
    const json& value = field(key);
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() <= 0)
      fail(key, "a positive number", value);
    return value.get<double>();
  }

  std::vector<std::string> species(const char* key) const {
    const json& value = field(key);
    std::vector<std::string> symbols;
    if (value.is_array())
      for (const json& item : value)
        if (item.is_string()) symbols.push_back(item.get<std::string>());
    const std::set<std::string> distinct(symbols.begin(), symbols.end());
    if (symbols.empty() || symbols.size() != value.size() || distinct.size() != symbols.size() ||
        distinct.count(""))
      fail(key, "a list of different chemical symbols", value);
    return symbols;
  }

  void require(const char* key, const json& expected) const {
    const json& value = field(key);
    if (value != expected) fail(key, expected.dump(), value);
  }

  [[noreturn]] void fail(const char* key, const std::string& expected, const json& found) const {
    std::string shown = found.dump(-1, ' ', false, json::error_handler_t::replace);
    if (shown.size() > 80) shown = shown.substr(0, 77) + "...";
    throw Error("model file '" + path_ + "': e3md.json has " + key + " = " + shown + ", expected " +
                expected + ". Export the model again.");
  }

 private:
  const json& field(const char* key) const {
    const auto found = root_.find(key);
    if (found == root_.end())
      throw Error("model file '" + path_ + "': e3md.json has no key '" + key +
                  "'. Export the model again.");
    return *found;
  }

  const json& root_;
  const std::string& path_;
};

json parse(const std::string& text, const std::string& path) {
  try {
    json root = json::parse(text);
    if (root.is_object()) return root;
  } catch (const json::exception& error) {
    throw Error("model file '" + path + "': e3md.json is damaged: " + error.what());
  }
  throw Error("model file '" + path + "': e3md.json is damaged: it is not a JSON object");
}

}  // namespace

Metadata parse_metadata(const std::string& text, const std::string& path) {
  const json root = parse(text, path);
  const Reader read(root, path);
  Metadata data;
  data.format_version = read.integer("format_version", 1);
  if (data.format_version > kFormatVersion)
    throw Error("model file '" + path + "' has format_version " +
                std::to_string(data.format_version) +
                ", but e3md " E3MD_VERSION " reads only up to " + std::to_string(kFormatVersion) +
                ": install a newer e3md");
  data.e3md_version = read.text("e3md_version");
  data.torch_version = read.text("torch_version");
  data.architecture = read.text("architecture");
  data.dtype = read.text("dtype");
  if (data.dtype != "float32" && data.dtype != "float64")
    read.fail("dtype", "\"float32\" or \"float64\"", data.dtype);
  data.species = read.species("species");
  data.cutoff = read.positive("cutoff");
  data.n_layers = read.integer("n_layers", 1);
  data.exchange_width = read.integer("exchange_width", 0);
  data.members = read.integer_or("members", 1, 1);  // files of e3md 0.1.0 may lack it
  read.require("units", {{"energy", "eV"}, {"length", "Å"}});
  data.zbl = root.value(json::json_pointer("/hyperparameters/zbl"), json(false)) == true;
  data.training = read_training(root);
  data.json = text;
  data.path = path;
  return data;
}

void check_binding(const Metadata& metadata, const std::string& bound) {
  const json written = parse(metadata.json, metadata.path);
  const json network = parse(bound, metadata.path);
  for (const char* key :
       {"architecture", "cutoff", "species", "n_layers", "exchange_width", "members", "dtype"})
    if (!network.contains(key) || network[key] != written[key])
      Reader(written, metadata.path)
          .fail(key, network.value(key, json()).dump() + " as its network", written[key]);
}

int64_t Metadata::type_of(const std::string& symbol) const {
  std::string known;
  for (size_t type = 0; type < species.size(); ++type) {
    if (species[type] == symbol) return static_cast<int64_t>(type);
    known += (type ? " " : "") + species[type];
  }
  throw Error("the model '" + path + "' was not trained on the element " + symbol +
              ": it knows only " + known);
}

}  // namespace e3md

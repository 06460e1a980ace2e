// e3md.json is checked field by field, and complaints name the file and the key.
#include "check.h"
#include "e3md/metadata.h"

namespace {

const std::string kGood =
    R"({"format_version": 1, "e3md_version": "0.1.0", "torch_version": "2.13.0",
  "architecture": "mace", "species": ["Li", "P"], "cutoff": 5, "n_layers": 2, "exchange_width": 0,
  "dtype": "float64", "units": {"energy": "eV", "length": "Å"}})";

/// kGood with one piece of text replaced.
std::string with(const std::string& from, const std::string& to) {
  std::string text = kGood;
  REQUIRE(text.find(from) != std::string::npos);
  return text.replace(text.find(from), from.size(), to);
}

void require_refusal(const std::string& text, const std::string& words) {
  require_error([&] { e3md::parse_metadata(text, "model.pt"); }, words);
  require_error([&] { e3md::parse_metadata(text, "model.pt"); }, "model.pt");
}

}  // namespace

int main() {
  const e3md::Metadata data = e3md::parse_metadata(kGood, "model.pt");
  REQUIRE(data.cutoff == 5.0 && data.n_layers == 2 && data.dtype == "float64");
  REQUIRE(data.type_of("P") == 1);
  require_error([&] { data.type_of("S"); }, "not trained on the element S: it knows only Li P");
  require_refusal("not json", "damaged");
  require_refusal(with("\"format_version\": 1", "\"format_version\": 7"), "format_version 7");
  require_refusal(with("\"cutoff\": 5, ", ""), "no key 'cutoff'");
  require_refusal(with("\"cutoff\": 5", "\"cutoff\": \"5\""), "cutoff = \"5\"");
  require_refusal(with("[\"Li\", \"P\"]", "[\"P\", \"P\"]"), "species = ");
  require_refusal(with("float64", "float16"), "dtype = \"float16\"");
  require_refusal(with("\"eV\"", "\"Ry\""), "units = ");
  require_error([] { e3md::read_metadata("no/such/file.pt"); }, "'no/such/file.pt' does not exist");
}

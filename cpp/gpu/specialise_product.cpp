// From the nested terms that the CPU's kernels read to the text of kernels for one product basis.
#include "gpu/specialise_product.h"

#include <algorithm>

#include "gpu/specialise.h"
#include "gpu/text.h"
#include "symmetric_contraction/program.h"

namespace e3md::gpu {
namespace {

using std::to_string;

/// Registers that components take, and their derivatives as many, without spilling.
constexpr int64_t kRegisters = 64;

std::string call(const char* name, int64_t component, int64_t term) {
  return std::string(" v.") + name + "(" + to_string(component) + ", " + to_string(term) + ");";
}

std::string end(const char* name, int64_t component) {
  return std::string(" v.end_") + name + "(" + to_string(component) + ");";
}

std::string visits(const NestedProgram& program, int64_t n_rows) {
  std::string text;
  for (int64_t row = 0; row < n_rows; ++row) {
    text += "\n    v.row(" + to_string(row) + ");";
    for (int32_t f = program.rows[row]; f < program.rows[row + 1]; ++f) {
      const kernels::OuterNode& first = program.first[f];
      text += "\n   " + call("first", first.component, first.term);
      for (int32_t s = first.begin; s < first.end; ++s) {
        const kernels::OuterNode& second = program.second[s];
        text += "\n   " + call("second", second.component, second.term);
        for (int32_t t = second.begin; t < second.end; ++t)
          text += call("third", program.third[t].component, program.third[t].term);
        text += end("second", second.component);
      }
      text += end("first", first.component);
    }
    text += end("row", row);
  }
  return text;
}

}  // namespace

SpecialisedProduct specialise_product(const ProductTables& tables, int64_t n_components,
                                      int64_t n_channels, int64_t n_rows, bool float64) {
  TORCH_CHECK(n_components > 0, "symmetric_contraction: no components");
  const int64_t words = n_components * (float64 ? 2 : 1);
  const int64_t n_together = std::clamp<int64_t>(kRegisters / words, 1, kernels::kAtoms);
  const std::string program = visits(NestedProgram(tables.terms, n_rows), n_rows);
  return {std::string(kDeviceText) + kProductProblemText + kWarpText +
              "namespace e3md::gpu {\n\nusing real = " + (float64 ? "double" : "float") +
              ";\nconstexpr int n_warps = " + to_string(kWarps) + ", n_together = " +
              to_string(n_together) + ", n_channels = " + to_string(n_channels) +
              ", n_components = " + to_string(n_components) + ", n_rows = " + to_string(n_rows) +
              ";\n\nstruct Program {\n  template <class V>\n  DEVICE static void visit(V&& v) {" +
              program + "\n  }\n};\n\n}  // namespace e3md::gpu\n\n" + kSymmetricContractionText,
          n_together};
}

}  // namespace e3md::gpu

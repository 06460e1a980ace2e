// From the typed path table that the CPU's kernels read to the text of kernels for one convolution.
#include "gpu/specialise.h"

#include <algorithm>
#include <array>
#include <map>

#include "gpu/products.h"
#include "gpu/text.h"

namespace e3md::gpu {
namespace {

using std::to_string;

/// Results that a lane keeps in registers beside all else, without spilling.
constexpr size_t kMostResults = 48;
/// Bytes of static shared memory of a block.
constexpr int64_t kShared = 48 << 10;
constexpr int64_t kMostStaged = 16;

/// The paths in groups: those of one gradient, in order, as many as a kernel takes.
struct Group {
  int64_t gradient;
  Products products;
};

std::vector<Group> grouped(const conv::Tables<double>& tables, bool has_features,
                           int64_t n_gradients) {
  const auto n_paths = static_cast<int64_t>(tables.paths.size());
  TORCH_CHECK(n_gradients == 1 || (n_gradients > 0 && n_paths % n_gradients == 0),
              "edge_conv_radial: ", n_paths, " paths cannot be shared out among ", n_gradients,
              " gradients");
  std::vector<Group> groups;
  for (int64_t gradient = 0; gradient < n_gradients; ++gradient) {
    groups.push_back({gradient, Products(has_features)});
    for (int64_t k = gradient; k < n_paths; k += n_gradients) {
      const kernels::Path& path = tables.paths[k];
      Products& products = groups.back().products;
      if (!products.empty() && products.results_with(path) > kMostResults)
        groups.push_back({gradient, Products(has_features)});
      groups.back().products.add(path, tables.terms);
    }
    if (groups.back().products.empty()) groups.pop_back();
  }
  return groups;
}

/// Whether results of all groups cover dim_out columns; none may be written twice.
bool fills(const std::vector<Group>& groups, int64_t dim_out) {
  std::vector<Column> all;
  for (const Group& group : groups)
    all.insert(all.end(), group.products.results().begin(), group.products.results().end());
  std::sort(all.begin(), all.end(),
            [](const Column& a, const Column& b) { return a.first < b.first; });
  int64_t covered = 0, end = 0;
  for (const Column& column : all) {
    TORCH_CHECK(column.first >= end, "edge_conv_radial: no GPU kernel for paths that share column ",
                column.first, " of the results");
    covered += column.channels;
    end = column.first + column.channels;
  }
  return covered == dim_out;
}

std::string harmonics(const RadialTables& tables) {
  std::string text = "DEVICE void harmonics(const real* d, real* y) {\n  y[0] = 1;\n";
  const double* value = tables.harmonic_value.const_data_ptr<double>();
  std::array<bool, kMaxHarmonics> begun{};
  for (const HarmonicRow& row : tables.harmonics) {
    text += "  y[" + to_string(row.out) + (begun[row.out] ? "] += " : "] = ") + literal(*value++) +
            " * y[" + to_string(row.lower) + "] * d[" + to_string(row.component) + "];\n";
    begun[row.out] = true;
  }
  return text + "}\n";
}

std::string harmonics_backward(const RadialTables& tables) {
  std::string text =
      "DEVICE void harmonics_backward(const real* d, const real* y, real* to_y, real* to_d) {\n"
      "  real g;\n";
  const double* value = tables.harmonic_value.const_data_ptr<double>();
  for (int64_t n = tables.harmonics.size() - 1; n >= 0; --n) {
    const HarmonicRow& row = tables.harmonics[n];
    const std::string lower = to_string(row.lower), component = to_string(row.component);
    text += "  g = " + literal(value[n]) + " * to_y[" + to_string(row.out) + "];\n  to_y[" + lower +
            "] += g * d[" + component + "];\n  to_d[" + component + "] += g * y[" + lower + "];\n";
  }
  return text + "}\n";
}

/// Edges that a warp stages at a time: as many as shared memory holds, for the largest group.
int64_t staged(const std::vector<Group>& groups, int64_t n_harmonics, bool float64) {
  size_t most = 0;
  for (const Group& group : groups) most = std::max(most, group.products.n_coefficients());
  const int64_t numbers = int64_t(most) + 2 * kernels::kSplineTerms + n_harmonics;
  const int64_t bytes = numbers * (float64 ? 8 : 4) + 16;  // and rows, and what aligns them
  int64_t n = kMostStaged;
  while (n > 1 && n * kWarps * bytes > kShared) n /= 2;
  return n;
}

std::string kernel(const char* name, const char* body, const std::string& number) {
  return "KERNEL void __launch_bounds__(" + to_string(32 * kWarps) + ") " + name + "_" + number +
         "(e3md::gpu::Problem p) {\n  e3md::gpu::" + body + "<e3md::gpu::Products" + number +
         ">(p);\n}\n";
}

}  // namespace

Specialised specialise(const RadialTables& tables, bool solid, int64_t dim_in, int64_t dim_out,
                       int64_t n_gradients, bool float64) {
  const auto groups = grouped(conv::read_tables<double>(tables.products(dim_in, dim_out), false),
                              dim_in > 0, n_gradients);
  Specialised made;
  made.fills = fills(groups, dim_out);
  std::string products, kernels;
  std::map<std::string, int64_t> number;
  for (const auto& [gradient, group] : groups) {
    const auto [found, is_new] = number.emplace(group.text(), number.size());
    const std::string k = to_string(found->second);
    if (is_new) {
      products += "struct Products" + k + " {\n" + found->first + "};\n";
      kernels += kernel("forward", "convolve", k) + kernel("backward", "differentiate", k);
    }
    made.launches.push_back({found->second, group.first_feature(), group.first_result(),
                             group.first_weight() * kernels::kTableValues, gradient,
                             group.n_tiles()});
  }
  made.text =
      std::string(kDeviceText) + kEdgeMathText + kRadialProblemText + kWarpText +
      "namespace e3md::gpu {\n\nusing real = " + (float64 ? "double" : "float") +
      ";\nusing Sum = Accumulated<real>;\nconstexpr bool solid = " + (solid ? "true" : "false") +
      ";\nconstexpr int n_warps = " + to_string(kWarps) +
      ", n_staged = " + to_string(staged(groups, tables.n_harmonics, float64)) +
      ", n_harmonics = " + to_string(tables.n_harmonics) + ";\n\n" + harmonics(tables) +
      harmonics_backward(tables) + products + "\n}  // namespace e3md::gpu\n\n" +
      kEdgeConvRadialText + "\n" + kernels;
  return made;
}

}  // namespace e3md::gpu

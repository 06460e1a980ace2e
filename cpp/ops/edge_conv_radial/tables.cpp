// The argument `tables` of edge_conv_radial, checked.
#include <array>
#include <cmath>

#include "edge_conv_radial/kernel.h"
#include "edge_conv_radial/op.h"

namespace e3md {
namespace {

constexpr const char* kOp = "edge_conv_radial";
constexpr int64_t kMaxTypes = 1024;   // more than there are elements
constexpr double kMinSpacing = 1e-6;  // Å: no float32 overflows when divided by it

const at::Tensor& one_of(at::TensorList tables, size_t n) {
  TORCH_CHECK(tables.size() == 8, kOp, ": expected 8 tables, not ", tables.size());
  return tables[n];
}

at::Tensor checked_values(const at::Tensor& values) {
  TORCH_CHECK(values.dim() == 5 && values.size(1) >= 2 && values.size(3) == kernels::kTableValues &&
                  values.size(4) == kernels::kTableGroup,
              kOp, ": the table must be (tables, knots, groups, 3, 16), not ", values.sizes(),
              ". Was the model loaded without making its tables?");
  check_size(kOp, "number of columns of the table", values.size(2), 0,
             kMaxColumns / kernels::kTableGroup);
  return values.contiguous();
}

at::Tensor checked_choice(const at::Tensor& table_of_pair, int64_t n_tables) {
  TORCH_CHECK(table_of_pair.dim() == 2 && table_of_pair.size(0) == table_of_pair.size(1) &&
                  table_of_pair.size(0) <= kMaxTypes && table_of_pair.scalar_type() == at::kLong &&
                  table_of_pair.device().is_cpu(),
              kOp, ": `table_of_pair` must be int64 (n_types, n_types), at most ", kMaxTypes,
              " types, not ", table_of_pair.scalar_type(), " ", table_of_pair.sizes());
  const at::Tensor found = table_of_pair.contiguous();
  const int64_t n_types = found.size(0);
  const int64_t* table = found.const_data_ptr<int64_t>();
  for (int64_t n = 0; n < found.numel(); ++n)
    TORCH_CHECK(table[n] >= 0 && table[n] < n_tables, kOp, ": table_of_pair[", n / n_types, ", ",
                n % n_types, "] is ", table[n], ", expected 0 to ", n_tables - 1);
  return found;
}

double checked_knot(const at::Tensor& grid, int64_t which) {
  const at::Tensor numbers = host_numbers(kOp, "grid", grid, grid.numel() == 3 ? 3 : 2);
  const double* knot = numbers.const_data_ptr<double>();
  TORCH_CHECK(std::isfinite(knot[0]) && std::isfinite(knot[1]) && knot[1] >= kMinSpacing, kOp,
              ": grid is (", knot[0], ", ", knot[1],
              "), expected a finite first knot and a spacing "
              "of at least ",
              kMinSpacing, " Å");
  return knot[which];
}

/// Of n_rows; there is a polynomial on either side of a knot that is stored twice.
int64_t checked_doubled(const at::Tensor& grid, int64_t n_rows) {
  if (grid.numel() != 3) return kernels::kNoKnot;
  const double knot = checked_knot(grid, 2);
  TORCH_CHECK(knot >= 1 && knot <= double(n_rows - 3) && knot == std::floor(knot), kOp,
              ": grid[2] is ", knot, ", expected which knot is stored twice, 1 to ", n_rows - 3);
  return static_cast<int64_t>(knot);
}

/// How many harmonics the recursion makes: every row once, of rows that are complete.
int64_t count_harmonics(const Table<HarmonicRow>& terms) {
  std::array<bool, kMaxHarmonics> made{true}, read{};
  int64_t most = 0;
  for (int64_t n = 0; n < terms.size(); ++n) {
    const HarmonicRow& term = terms[n];
    check_entry(kOp, "harmonic_index", n, "out", term.out, 1, kMaxHarmonics - 1);
    check_entry(kOp, "harmonic_index", n, "lower", term.lower, 0, term.out - 1);
    check_entry(kOp, "harmonic_index", n, "component", term.component, 0, 2);
    TORCH_CHECK(made[term.lower] && !read[term.out], kOp, ": harmonic_index[", n,
                "] is out of order: row ", term.lower, " must be complete before row ", term.out,
                " is made of it");
    made[term.out] = read[term.lower] = true;
    most = std::max(most, term.out);
  }
  for (int64_t k = 0; k < most; ++k)
    TORCH_CHECK(made[k], kOp, ": harmonic_index makes row ", most, " but not row ", k);
  return most + 1;
}

}  // namespace

RadialTables::RadialTables(at::TensorList tables)
    : values(checked_values(one_of(tables, 0))),
      table_of_pair(checked_choice(one_of(tables, 1), values.size(0))),
      first(checked_knot(one_of(tables, 2), 0)),
      spacing(checked_knot(one_of(tables, 2), 1)),
      doubled(checked_doubled(one_of(tables, 2), values.size(1))),
      harmonics(kOp, "harmonic_index", one_of(tables, 3)),
      harmonic_value(host_numbers(kOp, "harmonic_value", one_of(tables, 4), harmonics.size())),
      paths(one_of(tables, 5)),
      cg_index(one_of(tables, 6)),
      cg_value(one_of(tables, 7)),
      n_harmonics(count_harmonics(harmonics)) {}

PathTable RadialTables::products(int64_t dim_in, int64_t dim_out) const {
  // Features that are all ones have as many columns as are asked for.
  const int64_t width_in = dim_in > 0 ? dim_in : 2 * kMaxColumns;
  PathTable table(paths, cg_index, cg_value, {width_in, n_harmonics, n_columns(), dim_out});
  for (int64_t n = 0; n < table.paths.size(); ++n)
    TORCH_CHECK(table.paths[n].weight_offset % kernels::kTableGroup == 0 &&
                    (dim_in > 0 || table.extents[n].n_in <= 1),
                kOp, ": path ", n, " begins inside a group of ", kernels::kTableGroup,
                " columns, or needs features");
  return table;
}

}  // namespace e3md

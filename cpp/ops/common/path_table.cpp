#include "common/path_table.h"

#include <algorithm>

#include "edge_conv/kernel.h"

namespace e3md {
namespace {

constexpr const char* kOp = "edge_conv";

void check_range(const char* what, int64_t path, int64_t begin, int64_t end, int64_t width) {
  TORCH_CHECK(begin >= 0 && end <= width, "edge_conv: path ", path, " needs columns [", begin, ", ",
              end, ") of ", what, ", which has ", width);
}

}  // namespace

PathTable::PathTable(const at::Tensor& paths_, const at::Tensor& cg_index,
                     const at::Tensor& cg_value, const Widths& widths)
    : paths(kOp, "paths", paths_),
      couplings(kOp, "cg_index", cg_index),
      values(host_numbers(kOp, "cg_value", cg_value, couplings.size())) {
  for (int64_t n = 0; n < couplings.size(); ++n) {
    const CouplingRow& m = couplings[n];
    check_entry(kOp, "cg_index", n, "m1", m.m_in, 0, kernels::kMaxComponents - 1);
    check_entry(kOp, "cg_index", n, "m2", m.m_sh, 0, kernels::kMaxComponents - 1);
    check_entry(kOp, "cg_index", n, "m3", m.m_out, 0, kernels::kMaxComponents - 1);
  }
  extents.reserve(paths.size());
  int64_t n_terms = 0;
  for (int64_t n = 0; n < paths.size(); ++n) {
    const PathRow& path = paths[n];
    check_entry(kOp, "paths", n, "cg_end", path.cg_end, 0, couplings.size());
    check_entry(kOp, "paths", n, "cg_begin", path.cg_begin, 0, path.cg_end);
    check_entry(kOp, "paths", n, "in_offset", path.in_offset, 0, kMaxColumns);
    check_entry(kOp, "paths", n, "in_stride", path.in_stride, 0, kMaxColumns);
    check_entry(kOp, "paths", n, "sh_offset", path.sh_offset, 0, kMaxColumns);
    check_entry(kOp, "paths", n, "out_offset", path.out_offset, 0, kMaxColumns);
    check_entry(kOp, "paths", n, "out_stride", path.out_stride, 0, kMaxColumns);
    check_entry(kOp, "paths", n, "weight_offset", path.weight_offset, 0, kMaxColumns);
    check_entry(kOp, "paths", n, "mul", path.mul, 0, kMaxColumns);
    n_terms += path.cg_end - path.cg_begin;  // paths may share couplings
    check_size(kOp, "number of terms of all paths", n_terms, 0, kMaxRows);
    extents.push_back(extent(n));
    check_columns(n, widths);
  }
}

PathTable::Extent PathTable::extent(int64_t number) const {
  Extent found;
  for (int64_t n = paths[number].cg_begin; n < paths[number].cg_end; ++n) {
    const CouplingRow& m = couplings[n];
    found.n_in = std::max(found.n_in, m.m_in + 1);
    found.n_sh = std::max(found.n_sh, m.m_sh + 1);
    found.n_out = std::max(found.n_out, m.m_out + 1);
    found.diagonal = found.diagonal && m.m_in == m.m_out;
  }
  return found;
}

void PathTable::check_columns(int64_t number, const Widths& widths) const {
  const PathRow& path = paths[number];
  const Extent& n = extents[number];
  if (path.mul == 0 || n.n_in == 0) return;
  check_range("h", number, path.in_offset,
              path.in_offset + (n.n_in - 1) * path.in_stride + path.mul, widths.in);
  check_range("sh", number, path.sh_offset, path.sh_offset + n.n_sh, widths.sh);
  check_range("the output", number, path.out_offset,
              path.out_offset + (n.n_out - 1) * path.out_stride + path.mul, widths.out);
  check_range("weights", number, path.weight_offset, path.weight_offset + path.mul, widths.weights);
}

int64_t PathTable::widest() const {
  int64_t most = 0;
  for (const PathRow& path : paths) most = std::max(most, path.mul);
  return most;
}

}  // namespace e3md

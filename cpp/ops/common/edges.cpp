#include "common/edges.h"

#include "common/table.h"
#include "edge_conv/kernel.h"

namespace e3md {
namespace {

/// Harmonics up to the largest degree that a path can have: every thread keeps rows of them.
constexpr int64_t kMaxHarmonicColumns = kernels::kMaxComponents * kernels::kMaxComponents / 4;

}  // namespace

void check_edges(const at::Tensor& sh, const at::Tensor& weights, const at::Tensor& edge_index) {
  TORCH_CHECK(
      edge_index.scalar_type() == at::kLong && edge_index.dim() == 2 && edge_index.size(0) == 2,
      "edge_conv: edge_index must be int64 (2, n_edges), not ", edge_index.scalar_type(), " ",
      edge_index.sizes());
  for (const at::Tensor& t : {sh, weights})
    TORCH_CHECK(t.dim() == 2 && t.size(0) == edge_index.size(1),
                "edge_conv: sh and weights must have one row per edge (", edge_index.size(1),
                "), but one is ", t.sizes());
  check_size("edge_conv", "number of columns of sh", sh.size(1), 0, kMaxHarmonicColumns);
  check_size("edge_conv", "number of columns of weights", weights.size(1), 0, kMaxColumns);
}

void check_features(const at::Tensor& rows, const at::Tensor& sh, const at::Tensor& weights) {
  TORCH_CHECK(rows.dim() == 2, "edge_conv: features must be (nodes, columns), not ", rows.sizes());
  check_size("edge_conv", "number of columns of features", rows.size(1), 0, kMaxColumns);
  TORCH_CHECK(rows.scalar_type() == at::kFloat || rows.scalar_type() == at::kDouble,
              "edge_conv: features must be float32 or float64, not ", rows.scalar_type());
  for (const at::Tensor& t : {sh, weights})
    TORCH_CHECK(t.scalar_type() == rows.scalar_type(),
                "edge_conv: features, sh and weights must have one dtype, but these are ",
                rows.scalar_type(), ", ", sh.scalar_type(), ", ", weights.scalar_type());
}

std::vector<int64_t> receiver_begin(const at::Tensor& edge_index, int64_t n_local,
                                    int64_t n_nodes) {
  check_size("edge_conv", "n_nodes", n_nodes, 0, kMaxNodes);
  check_size("edge_conv", "n_local", n_local, 0, n_nodes);
  const int64_t n_edges = edge_index.size(1);
  const int64_t* receiver = edge_index.const_data_ptr<int64_t>();
  const int64_t* sender = receiver + n_edges;
  std::vector<int64_t> begin(n_local + 1, 0);
  int64_t previous = 0;
  for (int64_t e = 0; e < n_edges; ++e) {
    TORCH_CHECK(receiver[e] >= previous,
                "edge_conv: edge_index must be sorted by receiver, but edge ", e, " has receiver ",
                receiver[e], " after ", previous);
    TORCH_CHECK(receiver[e] < n_local, "edge_conv: edge ", e, " has receiver ", receiver[e],
                ", expected less than n_local = ", n_local);
    TORCH_CHECK(sender[e] >= 0 && sender[e] < n_nodes, "edge_conv: edge ", e, " has neighbor ",
                sender[e], ", expected 0 to ", n_nodes - 1);
    previous = receiver[e];
    ++begin[receiver[e] + 1];
  }
  for (int64_t i = 0; i < n_local; ++i) begin[i + 1] += begin[i];
  return begin;
}

}  // namespace e3md

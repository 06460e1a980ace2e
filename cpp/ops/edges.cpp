#include "edges.h"

#include "table.h"

namespace e3md {

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

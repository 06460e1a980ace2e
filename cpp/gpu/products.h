#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "edge_conv/tables.h"

namespace e3md::gpu {

/// A column of rows, and how many channels begin there.
struct Column {
  int64_t first, channels;
  bool operator==(const Column&) const = default;
};

/// Paths that one kernel takes together: their features, results and coefficients each once.
/// Columns count from the least of the group, so that groups of the same form have one text.
class Products {
 public:
  using Path = kernels::Path;
  using Terms = std::vector<kernels::Term<double>>;

  explicit Products(bool has_features) : has_features_(has_features) {}

  /// How many results there would be with another path.
  size_t results_with(const Path& path) const;
  void add(const Path& path, const Terms& terms);
  bool empty() const { return paths_.empty(); }

  int64_t first_feature() const;
  int64_t first_result() const;
  int64_t first_weight() const;
  int64_t n_tiles() const;
  size_t n_coefficients() const { return coefficients_.size(); }
  const std::vector<Column>& results() const { return results_; }

  /// The body of `struct Products`, as edge_conv_radial.cuh wants it.
  std::string text() const;

 private:
  struct Product {
    int64_t m_in, coefficient, result;
  };
  struct Visit {
    Path path;
    std::vector<Product> products;  ///< by m_in
  };

  bool has_features_;
  std::vector<Visit> paths_;
  std::vector<Column> features_, results_;
  std::vector<Terms> coefficients_;

  std::string columns(const char* name, const std::vector<Column>& columns, int64_t first) const;
  std::string coefficients() const;
  std::string visits() const;
  std::string visit(const Visit& visit) const;
};

/// A number as CUDA reads it back, to the last bit.
std::string literal(double value);

}  // namespace e3md::gpu

#include "gpu/products.h"

#include <algorithm>
#include <cstdio>

namespace e3md::gpu {
namespace {

using std::to_string;

/// Where `wanted` lies in `all`, after adding it if it is new.
template <class T, class Equal>
int64_t place(std::vector<T>& all, const T& wanted, Equal equal) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const T& one) { return equal(one, wanted); });
  const int64_t number = found - all.begin();
  if (found == all.end()) all.push_back(wanted);
  return number;
}

int64_t place(std::vector<Column>& all, const Column& wanted) {
  return place(all, wanted, std::equal_to<>());
}

bool same(const Products::Terms& a, const Products::Terms& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.column == y.column && x.value == y.value;
  });
}

Column feature(const kernels::Path& path, int64_t m) {
  return {path.in_offset + m * path.in_stride, path.mul};
}

Column result(const kernels::Path& path, int64_t m) {
  return {path.out_offset + m * path.out_stride, path.mul};
}

template <class List, class Value>
int64_t least(const List& list, Value value) {
  int64_t found = INT64_MAX;
  for (const auto& one : list) found = std::min<int64_t>(found, value(one));
  return list.empty() ? 0 : found;
}

}  // namespace

std::string literal(double value) {
  char text[40];
  std::snprintf(text, sizeof(text), "real(%.17g)", value);
  return text;
}

size_t Products::results_with(const Path& path) const {
  std::vector<Column> all = results_;
  for (int64_t m = 0; m < path.n_out; ++m) place(all, result(path, m));
  return all.size();
}

void Products::add(const Path& path, const Terms& terms) {
  Visit visit{path, {}};
  for (int64_t pair = 0; pair < path.n_in * path.n_out; ++pair) {
    Terms of_pair;
    for (int32_t t = path.term_begin; t < path.term_end; ++t)
      if (terms[t].pair == pair) of_pair.push_back(terms[t]);
    if (of_pair.empty()) continue;
    const int64_t m_in = pair / path.n_out;
    visit.products.push_back({has_features_ ? place(features_, feature(path, m_in)) : 0,
                              place(coefficients_, of_pair, same),
                              place(results_, result(path, pair % path.n_out))});
  }
  paths_.push_back(visit);
}

int64_t Products::first_feature() const {
  return least(features_, [](const Column& c) { return c.first; });
}

int64_t Products::first_result() const {
  return least(results_, [](const Column& c) { return c.first; });
}

int64_t Products::first_weight() const {
  return least(paths_, [](const Visit& v) { return v.path.weight_offset; });
}

int64_t Products::n_tiles() const {
  int64_t widest = 0;
  for (const Visit& v : paths_) widest = std::max(widest, v.path.mul);
  return (widest + 31) / 32;
}

std::string Products::columns(const char* name, const std::vector<Column>& columns,
                              int64_t first) const {
  std::string text =
      "  template <class V>\n  DEVICE static void " + std::string(name) + "(V&& v) {";
  for (size_t k = 0; k < columns.size(); ++k)
    text += "\n    v(" + to_string(k) + ", " + to_string(columns[k].first - first) + ", " +
            to_string(columns[k].channels) + ");";
  return text + "\n  }\n";
}

std::string Products::coefficients() const {
  std::string text = "  DEVICE static void coefficients(const real* y, real* c) {";
  for (size_t k = 0; k < coefficients_.size(); ++k) {
    text += "\n    c[" + to_string(k) + "] = ";
    for (size_t t = 0; t < coefficients_[k].size(); ++t)
      text += (t ? " + " : "") + literal(coefficients_[k][t].value) + " * y[" +
              to_string(coefficients_[k][t].column) + "]";
    text += ";";
  }
  return text + "\n  }\n";
}

std::string Products::visit(const Visit& visit) const {
  std::string text = "\n    v.path(" + to_string(visit.path.weight_offset - first_weight()) + ", " +
                     to_string(visit.path.mul) + ");";
  const auto& products = visit.products;
  for (size_t n = 0; n < products.size(); ++n) {
    const auto [m, coefficient, result] = products[n];
    const bool begins = n == 0 || products[n - 1].m_in != m;
    const bool ends = n + 1 == products.size() || products[n + 1].m_in != m;
    if (begins) text += "\n    v.begin(" + to_string(m) + ");";
    text += "\n    v.product(" + to_string(coefficient) + ", " + to_string(result) + ");";
    for (const auto& term : coefficients_[coefficient])
      if (term.column > 0)  // the first harmonic is a constant
        text += " v.term(" + to_string(term.column) + ", " + literal(term.value) + ");";
    if (ends) text += "\n    v.end(" + to_string(m) + ");";
  }
  return text;
}

std::string Products::visits() const {
  std::string text = "  template <class V>\n  DEVICE static void products(V&& v) {";
  for (const Visit& one : paths_) text += visit(one);
  return text + "\n  }\n";
}

std::string Products::text() const {
  return "  static constexpr int n_features = " + to_string(features_.size()) +
         ", n_results = " + to_string(results_.size()) +
         ", n_coefficients = " + to_string(coefficients_.size()) +
         ", n_tiles = " + to_string(n_tiles()) + ";\n" +
         columns("features", features_, first_feature()) +
         columns("results", results_, first_result()) + coefficients() + visits();
}

}  // namespace e3md::gpu

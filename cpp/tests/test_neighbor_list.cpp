// The neighbor list against all pairs and images, and its skin against a fresh list.
#include <cmath>
#include <random>
#include <set>
#include <tuple>

#include "check.h"
#include "e3md/neighbor_list.h"

namespace {

using Edge = std::tuple<int64_t, int64_t, int, int, int>;

struct Case {
  std::vector<double> positions;
  std::array<double, 9> cell;
  std::array<bool, 3> pbc;

  e3md::Structure structure() const {
    return {static_cast<int64_t>(positions.size() / 3), positions.data(), cell, pbc};
  }
};

std::set<Edge> all_pairs(const Case& c, double cutoff, int reach) {
  std::set<Edge> edges;
  const int n = static_cast<int>(c.positions.size() / 3);
  const int ra = c.pbc[0] ? reach : 0, rb = c.pbc[1] ? reach : 0, rc = c.pbc[2] ? reach : 0;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j)
      for (int s0 = -ra; s0 <= ra; ++s0)
        for (int s1 = -rb; s1 <= rb; ++s1)
          for (int s2 = -rc; s2 <= rc; ++s2) {
            double r2 = 0;
            for (int k = 0; k < 3; ++k) {
              const double d = c.positions[3 * j + k] - c.positions[3 * i + k] + s0 * c.cell[k] +
                               s1 * c.cell[3 + k] + s2 * c.cell[6 + k];
              r2 += d * d;
            }
            if (r2 < cutoff * cutoff && (i != j || s0 || s1 || s2))
              edges.insert({i, j, s0, s1, s2});
          }
  return edges;
}

std::set<Edge> listed(e3md::NeighborList& list, const Case& c) {
  std::vector<int32_t> shifts;
  const e3md::Graph graph = list.graph(c.structure(), &shifts);
  std::set<Edge> edges;
  for (int64_t e = 0; e < graph.n_edges(); ++e) {
    REQUIRE(e == 0 || graph.edge_i[e - 1] <= graph.edge_i[e]);
    edges.insert(
        {graph.edge_i[e], graph.edge_j[e], shifts[3 * e], shifts[3 * e + 1], shifts[3 * e + 2]});
  }
  REQUIRE(static_cast<int64_t>(edges.size()) == graph.n_edges());  // none twice
  return edges;
}

void test_against_all_pairs() {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> uniform(-1, 1);
  size_t n_edges = 0;
  for (int trial = 0; trial < 200; ++trial) {
    Case c{std::vector<double>(3 * (1 + trial % 8)), {}, {trial % 2 > 0, trial % 3 > 0, true}};
    for (double& x : c.positions) x = 6 * uniform(random);  // also outside the cell
    for (int k = 0; k < 9; ++k) c.cell[k] = 0.8 * uniform(random) + (k % 4 == 0 ? 3.5 : 0);
    e3md::NeighborList list(3.0, 0.3);
    const auto edges = listed(list, c);
    REQUIRE(edges == all_pairs(c, 3.0, 8));
    n_edges += edges.size();
  }
  REQUIRE(n_edges > 1000);
}

void test_skin_under_moves_and_strain() {
  std::mt19937 random(2);
  std::normal_distribution<double> normal;
  Case c{std::vector<double>(3 * 40), {7, 0, 0, 1, 7, 0, -1, 2, 7}, {true, true, true}};
  for (double& x : c.positions) x = 7 * normal(random);
  e3md::NeighborList kept(3.0, 0.5);
  for (int step = 0; step < 100; ++step) {
    for (double& x : c.positions) x += 0.02 * normal(random);
    for (double& x : c.cell) x *= 1 + 1e-3 * normal(random);
    e3md::NeighborList fresh(3.0, 0.0);
    REQUIRE(listed(kept, c) == listed(fresh, c));
  }
  REQUIRE(kept.n_rebuilds() > 1 && kept.n_rebuilds() < 100);
}

void test_errors() {
  e3md::NeighborList list(3.0, 0.0);
  Case c{{0, 0, 0, 1, NAN, 1}, {5, 0, 0, 0, 5, 0, 0, 0, 5}, {true, true, true}};
  require_error([&] { list.update(c.structure()); }, "atom 1 has a position that is not finite");
  c.positions[4] = 1;
  c.cell[8] = 0;
  require_error([&] { list.update(c.structure()); }, "vector 2 is zero");
  c.pbc[2] = false;
  REQUIRE(listed(list, c).size() == 2);
}

/// Within a second or so, and before the memory of 10^12 pairs is asked for.
void test_crowds() {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> uniform(0, 1);
  Case c{std::vector<double>(3 * 1'000'000), {1, 0, 0, 0, 1, 0, 0, 0, 1}, {true, true, true}};
  for (double& x : c.positions) x = uniform(random);
  e3md::NeighborList list(5.0, 0.5);
  for (bool periodic : {true, false}) {
    c.pbc.fill(periodic);
    require_error([&] { list.update(c.structure()); }, "denser than any matter");
  }
  Case one{{0, 0, 0}, {1, 0, 0, 0, 1, 0, 0, 0, 1}, {true, true, true}};
  e3md::NeighborList wide(6.0, 0.5);
  REQUIRE(listed(wide, one).size() > 800);  // an odd cell, but no crowd
}

void test_far_away() {
  e3md::NeighborList list(3.0, 0.0);
  Case c{{0, 0, 0, 1e300, 0, 0}, {}, {false, false, false}};
  require_error([&] { list.update(c.structure()); }, "atom 1 lies more than 1e9");
  c = {{0, 0, 0}, {1e300, 0, 0, 0, 1e300, 0, 0, 0, 1e300}, {true, true, true}};
  require_error([&] { list.update(c.structure()); }, "more than 1e9 Å");
}

}  // namespace

int main() {
  test_against_all_pairs();
  test_skin_under_moves_and_strain();
  test_errors();
  test_crowds();
  test_far_away();
}

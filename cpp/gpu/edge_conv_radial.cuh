// edge_conv_radial, forward and backward. A warp is one receiver and 32 channels. Its lanes first
// make harmonics, spline basis and coefficients of n_staged edges, an edge each, in shared memory;
// then all of them go through these edges, a channel each. `Products` is written for one model: its
// paths are calls with literal arguments, so that sums live in registers.
//
// Included after radial_problem.h, edge_math.h, warp.cuh and the model's text, which defines: real,
// solid, n_warps, n_staged, n_harmonics, harmonics(), harmonics_backward().

namespace e3md::gpu {

using kernels::hermite;
using kernels::interval;
using kernels::kSplineTerms;
using kernels::kTableGroup;
using kernels::kTableValues;
using kernels::to_component;

using Problem = RadialProblem<real, Sum>;

/// At least one, for arrays.
DEVICE constexpr int some(int n) { return n > 0 ? n : 1; }

/// What the lanes of a warp read of one edge. An odd number of words: lanes that write edges of
/// theirs meet in no bank.
template <class Products, bool BACKWARD>
struct Staged {
  static constexpr int n_slopes = BACKWARD ? kSplineTerms : 1;
  static constexpr int n_sums = BACKWARD ? n_harmonics : 1;
  real coefficient[Products::n_coefficients];
  real basis[kSplineTerms];
  real slope[n_slopes];
  real sums[n_sums];  ///< derivatives to r and to all harmonics but the first
  int knot, sender;   ///< rows of the table and of h
  int unused[1 + (Products::n_coefficients + n_slopes + n_sums) % 2];
};

struct Geometry {
  real r, inverse_r;
  real d[3];  ///< what harmonics are made of
  real y[n_harmonics];
};

DEVICE void measure(const Problem& p, long long edge, Geometry& made) {
  const real* v = p.edge_vec + 3 * edge;
  made.r = square_root(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
  made.inverse_r = 1 / made.r;
  for (int a = 0; a < 3; ++a) made.d[a] = solid ? v[a] : v[a] * made.inverse_r;
  harmonics(made.d, made.y);
}

template <class Products, bool BACKWARD>
DEVICE void stage(const Problem& p, int receiver, long long edge, Staged<Products, BACKWARD>& s) {
  const long long sender = p.sender[edge];
  check(p.receiver[edge] == receiver && sender >= 0 && sender < p.n_nodes);
  const long long from = p.types[receiver], to = p.types[sender];
  check(from >= 0 && from < p.n_types && to >= 0 && to < p.n_types);
  Geometry made;
  measure(p, edge, made);
  Products::coefficients(made.y, s.coefficient);
  const real u = (made.r - p.first) * p.inverse_spacing;
  const int last = int(p.n_rows) - 2 - (p.doubled < p.n_rows), k = interval(u, last);
  real slope[kSplineTerms];
  hermite(u - k, p.inverse_spacing, s.basis, slope);
  if constexpr (BACKWARD)
    for (int q = 0; q < kSplineTerms; ++q) s.slope[q] = slope[q];
  s.knot = int(p.table_of_pair[from * p.n_types + to] * p.n_rows) + k + (k >= p.doubled);
  s.sender = int(sender);
}

/// Where a lane finds its channel: in rows of features, and in a knot of the table.
struct Channel {
  int number, in_knot;
  DEVICE explicit Channel(int c)
      : number(c), in_knot(c / kTableGroup * (kTableValues * kTableGroup) + c % kTableGroup) {}
  /// Whether there is this channel in rows of n; known when compiled for most.
  template <class Products>
  DEVICE bool among(int n) const {
    return n >= Products::n_tiles * kLanes || number < n;
  }
};

/// The numbers at both knots of the weight at `column`, and what is made of them.
struct Weight {
  real at[kSplineTerms];
  DEVICE Weight(const real* knot, long long row, int column) {
    const real* f = knot + column * kTableValues;  // columns begin a group
    UNROLL for (int q = 0; q < kTableValues; ++q) {
      at[q] = read(f + q * kTableGroup);
      at[q + kTableValues] = read(f + row + q * kTableGroup);
    }
  }
  DEVICE real times(const real* basis) const {
    real sum = basis[0] * at[0];
    UNROLL for (int q = 1; q < kSplineTerms; ++q) sum += basis[q] * at[q];
    return sum;
  }
};

/// Numbers of a row at columns that a list of the model names.
template <class Products>
struct Load {
  const real* row;
  const Channel& channel;
  real* to;
  DEVICE void operator()(int k, int column, int channels) {
    to[k] = channel.among<Products>(channels) ? read(row + column) : real(0);
  }
};
template <class Products>
struct Store {
  real* row;
  const Channel& channel;
  const real* from;
  DEVICE void operator()(int k, int column, int channels) {
    if (channel.among<Products>(channels)) row[column] = from[k];
  }
};
template <class Products>
struct Add {
  Sum* row;
  const Channel& channel;
  const real* from;
  DEVICE void operator()(int k, int column, int channels) {
    if (channel.among<Products>(channels)) atomicAdd(row + column, from[k]);
  }
};

/// Visits the products of one edge: results += coefficient * weight * feature.
template <class Products>
struct Convolve {
  const Staged<Products, false>& s;
  const real* knot;
  long long row;
  const Channel& channel;
  const real* x;
  real* results;
  real w, wx;

  DEVICE void path(int column, int channels) {
    w = 0;
    if (channel.among<Products>(channels)) w = Weight(knot, row, column).times(s.basis);
  }
  DEVICE void begin(int m) { wx = Products::n_features ? w * x[m] : w; }
  DEVICE void product(int coefficient, int k) { results[k] += s.coefficient[coefficient] * wx; }
  DEVICE void term(int, real) {}
  DEVICE void end(int) {}
};

/// Visits the same: derivatives of sum(g * results) to features, harmonics and r.
template <class Products>
struct Differentiate {
  const Staged<Products, true>& s;
  const real* knot;
  long long row;
  const Channel& channel;
  const real *x, *g;
  real* to_x;
  real* sums;  ///< (n_harmonics): to r and to all harmonics but the first
  real w, dw, wx, message, pair;

  DEVICE void path(int column, int channels) {
    w = dw = 0;
    if (!channel.among<Products>(channels)) return;
    const Weight weight(knot, row, column);
    w = weight.times(s.basis);
    dw = weight.times(s.slope);
  }
  DEVICE void begin(int m) {
    wx = Products::n_features ? w * x[m] : w;
    message = 0;
  }
  DEVICE void product(int coefficient, int k) {
    message += s.coefficient[coefficient] * g[k];
    pair = wx * g[k];
  }
  /// The last product's coefficient holds value * harmonic.
  DEVICE void term(int harmonic, real value) { sums[harmonic] += value * pair; }
  DEVICE void end(int m) {
    sums[0] += (Products::n_features ? dw * x[m] : dw) * message;
    if (Products::n_features) to_x[m] += w * message;
  }
};

/// Sums of N values over the lanes of a warp, one for each lane: halves of the values change
/// places.
template <int N, int BIT = kLanes / 2>
DEVICE void fold(real* v, int lane) {
  if constexpr (N == 1) {
    v[0] += __shfl_xor_sync(kAllLanes, v[0], BIT);
  } else {
    constexpr int half = (N + 1) / 2;
    const bool upper = lane & BIT;
    UNROLL for (int k = 0; k < half; ++k) {
      const real high = k + half < N ? v[k + half] : real(0);
      const real kept = upper ? high : v[k], given = upper ? v[k] : high;
      v[k] = kept + __shfl_xor_sync(kAllLanes, given, BIT);
    }
  }
  if constexpr (BIT > 1) fold<(N + 1) / 2, BIT / 2>(v, lane);
}

/// Which sum a lane ends with after folding n values; -1: none, or another lane has it, too.
DEVICE int folded(int n, int lane) {
  int value = 0, left = n;
  for (int bit = kLanes / 2; bit > 0; bit /= 2) {
    const bool upper = lane & bit;
    const int half = (n + 1) / 2;
    if (n == 1 && upper) return -1;
    if (upper) {
      value += half;
      left -= half;
    } else if (left > half) {
      left = half;
    }
    n = half;
  }
  return left > 0 ? value : -1;
}

/// Adds one edge's gradient, from the sums over channels.
DEVICE void chain_rule(const Problem& p, long long edge, const real* sums) {
  Geometry made;
  measure(p, edge, made);
  real to_y[n_harmonics], to_d[3] = {};
  to_y[0] = 0;
  UNROLL for (int m = 1; m < n_harmonics; ++m) to_y[m] = sums[m];
  harmonics_backward(made.d, made.y, to_y, to_d);
  const real along = to_d[0] * made.d[0] + to_d[1] * made.d[1] + to_d[2] * made.d[2];
  for (int a = 0; a < 3; ++a)
    atomicAdd(p.grad_vec + 3 * edge + a,
              to_component(solid, made.d[a], made.inverse_r, along, to_d[a], sums[0]));
}

/// A warp's part of the work.
struct Place {
  int lane, warp;
  long long receiver, begin, end;
  Channel channel;
  DEVICE explicit Place(const Problem& p)
      : lane(threadIdx.x % kLanes),
        warp(threadIdx.x / kLanes),
        receiver((long long)(blockIdx.x) * n_warps + warp),
        begin(0),
        end(0),
        channel(int(blockIdx.y) * kLanes + lane) {
    if (receiver >= p.n_local) return;
    begin = p.begin[receiver];
    end = p.begin[receiver + 1];
    check((receiver > 0 || begin == 0) && (receiver + 1 < p.n_local || end == p.n_edges));
  }
};

template <class Products>
DEVICE void convolve(const Problem& p) {
  __shared__ Staged<Products, false> staged[n_warps][n_staged];
  const Place at(p);
  if (at.receiver >= p.n_local) return;
  real results[Products::n_results] = {};
  for (long long first = at.begin; first < at.end; first += n_staged) {
    const int n = at.end - first < n_staged ? int(at.end - first) : n_staged;
    if (at.lane < n) stage(p, int(at.receiver), first + at.lane, staged[at.warp][at.lane]);
    __syncwarp();
    for (int b = 0; b < n; ++b) {
      const auto& s = staged[at.warp][b];
      real x[some(Products::n_features)];
      Products::features(
          Load<Products>{p.h + s.sender * p.dim_in + at.channel.number, at.channel, x});
      Products::products(Convolve<Products>{s, p.table + s.knot * p.row + at.channel.in_knot, p.row,
                                            at.channel, x, results, 0, 0});
    }
    __syncwarp();
  }
  Products::results(
      Store<Products>{p.out + at.receiver * p.dim_out + at.channel.number, at.channel, results});
}

template <class Products>
DEVICE void differentiate(const Problem& p) {
  __shared__ Staged<Products, true> staged[n_warps][n_staged];
  const Place at(p);
  if (at.receiver >= p.n_local) return;
  const int own = folded(n_harmonics, at.lane);
  real g[Products::n_results];
  Products::results(
      Load<Products>{p.g + at.receiver * p.dim_out + at.channel.number, at.channel, g});
  for (long long first = at.begin; first < at.end; first += n_staged) {
    const int n = at.end - first < n_staged ? int(at.end - first) : n_staged;
    if (at.lane < n) stage(p, int(at.receiver), first + at.lane, staged[at.warp][at.lane]);
    __syncwarp();
    for (int b = 0; b < n; ++b) {
      auto& s = staged[at.warp][b];
      const long long sender = s.sender * p.dim_in + at.channel.number;
      real x[some(Products::n_features)], to_x[some(Products::n_features)] = {};
      real sums[n_harmonics] = {};
      Products::features(Load<Products>{p.h + sender, at.channel, x});
      Products::products(Differentiate<Products>{s, p.table + s.knot * p.row + at.channel.in_knot,
                                                 p.row, at.channel, x, g, to_x, sums, 0, 0, 0, 0,
                                                 0});
      if (Products::n_features && p.grad_h)
        Products::features(Add<Products>{p.grad_h + sender, at.channel, to_x});
      fold<n_harmonics>(sums, at.lane);
      if (own >= 0) s.sums[own] = sums[0];
    }
    __syncwarp();
    if (at.lane < n) chain_rule(p, first + at.lane, staged[at.warp][at.lane].sums);
    __syncwarp();
  }
}

}  // namespace e3md::gpu

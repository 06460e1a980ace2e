#include "edge_conv_radial/hessian_kernel.h"

#include "edge_conv_radial/moved_edges.h"
#include "edge_conv_radial/still_edges.h"

namespace e3md::kernels::E3MD_ISA {
namespace {

/// Of a block's edges in each copy: those that move, and of the others those whose features change.
struct Motions {
  uint32_t moved[kMaxCopies], still[kMaxCopies], any_moved = 0, any_still = 0;

  template <class T>
  Motions(const RadialProblem<T>& p, const RadialHessian<T>& hessian, int64_t at, int n) {
    const Copies& copies = hessian.copies;
    for (int64_t copy = 0; copy < copies.n; ++copy) {
      moved[copy] = still[copy] = 0;
      for (int b = 0; b < n; ++b) {
        const T* v = hessian.edge_dot + 3 * (copy * copies.n_edges + at + b);
        const int64_t row = copy * copies.n_nodes + p.neighbor[at + b];
        if (v[0] != 0 || v[1] != 0 || v[2] != 0)
          moved[copy] |= 1u << b;
        else if (hessian.has_in_dot && hessian.rows_dot[row])
          still[copy] |= 1u << b;
      }
      any_moved |= moved[copy];
      any_still |= still[copy];
    }
  }
};

template <class T>
struct HessianScratch {
  Scratch<T> s;
  Tangent<T> tangent;
  UnitTangents<T> unit;
  Bends<T> bends;
  T* turns;  ///< (kBlock, 3, dim_in)
  T* lanes;  ///< (kMaxCopies, kBlock, 3, kMaxLanes)
  T* sums;   ///< (kMaxCopies, kBlock, 3)

  HessianScratch(const RadialProblem<T>& p, T* memory)
      : s(memory, p.dim_sh, p.max_pairs, 2),
        tangent(memory + radial_scratch_size(p.dim_sh, p.max_pairs, 2), p.dim_sh),
        unit(tangent.direction + tangent_size(p.dim_sh, p.max_pairs), p.dim_sh, p.max_pairs),
        bends(tangent.direction + 4 * tangent_size(p.dim_sh, p.max_pairs), p.dim_sh),
        turns(bends.curvature + kBlock * (kSplineTerms + 2 * p.dim_sh + 1)),
        lanes(turns + kBlock * 3 * p.dim_in),
        sums(lanes + kMaxCopies * kBlock * 3 * kMaxLanes) {}
};

/// All paths of a block in one copy, for the edges that move there; sums of its edges go to s.sums
/// and bends.sums_dot.
template <class T>
void bend_paths(const RadialProblem<T>& p, const RadialHessian<T>& hessian, int64_t copy,
                uint32_t edges, int64_t i, int64_t at, const RadialBlock<T>& block,
                const HessianScratch<T>& h) {
  const int64_t width = p.dim_sh + 1, size = kBlock * width * Simd<T>::kWidth;
  const int64_t first = copy * hessian.copies.n_nodes;
  T *lanes = h.s.lanes, *lanes_dot = h.s.lanes + size;
  for (int64_t k = 0; k < 2 * size; ++k) lanes[k] = 0;
  for (int64_t k = 0, n; k < p.n_paths; k += n) {
    n = same_terms(p, k);
    contract_sh(p.terms, p.paths[k], h.s.sh, h.s.coefficient);
    contract_sh(p.terms, p.paths[k], h.tangent.sh, h.tangent.coefficient);
    for (int b = 0; b < block.n; ++b) {
      if (!(edges >> b & 1)) continue;
      const int64_t row = (first + p.neighbor[at + b]) * p.dim_in;
      const HessianEdge<T> edge{b,
                                &block,
                                hessian.has_in_dot ? hessian.in_dot + row : nullptr,
                                hessian.to_g + (first + i) * p.dim_out,
                                hessian.need_in ? hessian.to_in + row : nullptr,
                                &h.s,
                                &h.tangent,
                                &h.bends,
                                p.dim_in > 0};
      for_components<T, BendRadial>(p.paths[k], edge, h.s.coefficient, hessian.g + i * p.dim_out,
                                    p.terms, p.dim_sh, n,
                                    reinterpret_cast<Vec<T>*>(lanes) + b * width,
                                    reinterpret_cast<Vec<T>*>(lanes_dot) + b * width);
    }
  }
  sum_lanes(lanes, block.n * width, h.s.sums);
  sum_lanes(lanes_dot, block.n * width, h.bends.sums_dot);
}

template <class T>
StillBlock<T> still_block(const RadialProblem<T>& p, const Copies& copies, int64_t at,
                          const RadialBlock<T>& block, const HessianScratch<T>& h) {
  return {&block,
          &h.s,
          &h.unit,
          p.neighbor + at,
          p.dim_in,
          copies.n_nodes * p.dim_in,
          copies.n_nodes * p.dim_out,
          copies.n};
}

template <class T>
void convolve_still(const RadialProblem<T>& p, const RadialHessian<T>& hessian,
                    const Motions& motions, int64_t i, int64_t at, const RadialBlock<T>& block,
                    const HessianScratch<T>& h) {
  const StillFeatures<T> f{still_block(p, hessian.copies, at, block, h),
                           motions.still,
                           motions.any_still,
                           hessian.in_dot,
                           hessian.to_g + i * p.dim_out,
                           h.turns};
  h.unit.measure(p, block.n, h.s);
  for (int64_t k = 0; k < kBlock * 3 * p.dim_in; ++k) h.turns[k] = 0;
  for (int64_t k = 0, n; k < p.n_paths; k += n) {
    n = same_terms(p, k);
    contract_sh(p.terms, p.paths[k], h.s.sh, h.s.coefficient);
    h.unit.contract(p, p.paths[k]);
    for (int64_t same = k; same < k + n; ++same)
      for_components<T, ConvolveStill>(p.paths[same], f, h.s.coefficient,
                                       hessian.g + i * p.dim_out);
  }
  turn_still(f, hessian.copies.n_edges, hessian.to_vec + 3 * at);
}

template <class T>
void bend(const RadialProblem<T>& p, const RadialHessian<T>& hessian, int64_t begin, int64_t end,
          T* memory) {
  const HessianScratch<T> h(p, memory);
  const Copies& copies = hessian.copies;
  for (int64_t i = begin; i < end; ++i) {
    for (int64_t copy = 0; copy < copies.n; ++copy)
      for (int64_t k = 0; k < p.dim_out; ++k)
        hessian.to_g[(copy * copies.n_nodes + i) * p.dim_out + k] = 0;
    for (int64_t at = p.owner_begin[i]; at < p.owner_begin[i + 1]; at += kBlock) {
      const auto block = make_block(p, i, at, p.owner_begin[i + 1], h.s);
      const Motions motions(p, hessian, at, block.n);
      for (int64_t copy = 0; copy < copies.n; ++copy)
        for (int64_t k = 0; k < 3 * block.n; ++k)
          hessian.to_vec[3 * (copy * copies.n_edges + at) + k] = 0;
      if (motions.any_still) convolve_still(p, hessian, motions, i, at, block, h);
      if (motions.any_moved) hermite_curvature(h.s.t, p.table.inverse_spacing, h.bends.curvature);
      for (int64_t copy = 0; copy < copies.n; ++copy) {
        if (!motions.moved[copy]) continue;
        const int64_t edge = 3 * (copy * copies.n_edges + at);
        measure_tangent(p, hessian.edge_dot + edge, block.n, h.s, h.tangent);
        bend_paths(p, hessian, copy, motions.moved[copy], i, at, block, h);
        bend_edges(p, motions.moved[copy], block.n, h.s, h.tangent, h.bends,
                   hessian.edge_dot + edge, hessian.to_vec + edge);
      }
    }
  }
}

template <class T>
void differentiate(const RadialProblem<T>& p, const RadialCotangents<T>& cotangents, int64_t begin,
                   int64_t end, T* memory) {
  const HessianScratch<T> h(p, memory);
  const Copies& copies = cotangents.copies;
  const int64_t n_sums = copies.n * kBlock * 3;
  for (int64_t i = begin; i < end; ++i)
    for (int64_t at = p.owner_begin[i]; at < p.owner_begin[i + 1]; at += kBlock) {
      const auto block = make_block(p, i, at, p.owner_begin[i + 1], h.s);
      const StillCotangents<T> f{still_block(p, copies, at, block, h),
                                 p.dim_in > 0,
                                 cotangents.need_in,
                                 cotangents.g + i * p.dim_out,
                                 cotangents.to_in,
                                 reinterpret_cast<Vec<T>*>(h.lanes)};
      for (int64_t k = 0; k < n_sums * Simd<T>::kWidth; ++k) h.lanes[k] = 0;
      h.unit.measure(p, block.n, h.s);
      for (int64_t k = 0, n; k < p.n_paths; k += n) {
        n = same_terms(p, k);
        contract_sh(p.terms, p.paths[k], h.s.sh, h.s.coefficient);
        h.unit.contract(p, p.paths[k]);
        for (int64_t same = k; same < k + n; ++same)
          for_components<T, DifferentiateStill>(p.paths[same], f, h.s.coefficient);
      }
      sum_lanes(h.lanes, n_sums, h.sums);
      for (int64_t copy = 0; copy < copies.n; ++copy)
        for (int64_t k = 0; k < 3 * block.n; ++k)
          cotangents.to_vec[3 * (copy * copies.n_edges + at) + k] = h.sums[copy * kBlock * 3 + k];
    }
}

}  // namespace

RadialHessianLoops<float> radial_hessian_loops_f32() { return {bend<float>, differentiate<float>}; }
RadialHessianLoops<double> radial_hessian_loops_f64() {
  return {bend<double>, differentiate<double>};
}

}  // namespace e3md::kernels::E3MD_ISA

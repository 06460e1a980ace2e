#pragma once

namespace e3md::gpu {

/// Files of this folder and of the CPU's kernels that the text of GPU kernels holds.
extern const char* const kDeviceText;                ///< device.cuh
extern const char* const kWarpText;                  ///< warp.cuh
extern const char* const kEdgeMathText;              ///< edge_math.h
extern const char* const kRadialProblemText;         ///< radial_problem.h
extern const char* const kEdgeConvRadialText;        ///< edge_conv_radial.cuh
extern const char* const kProductProblemText;        ///< product_problem.h
extern const char* const kSymmetricContractionText;  ///< symmetric_contraction.cuh

}  // namespace e3md::gpu

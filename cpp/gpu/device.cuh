// What kernels need of CUDA beyond its own words, in the text before all else: an emulation of a
// block on the host has other definitions of the same.
#ifndef E3MD_EMULATED

#define DEVICE __device__ __forceinline__
#define KERNEL extern "C" __global__
#define UNROLL _Pragma("unroll")

namespace e3md::gpu {

DEVICE float square_root(float x) { return sqrtf(x); }
DEVICE double square_root(double x) { return sqrt(x); }
template <class T>
DEVICE T read(const T* p) {
  return __ldg(p);
}
DEVICE void stop() { __trap(); }
/// Numbers that only atomic additions change.
template <class T>
using Accumulated = T;

}  // namespace e3md::gpu

#endif

// What kernels share.

namespace e3md::gpu {

constexpr int kLanes = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

/// Indices that lead outside end the run: nothing on the way here has looked at them.
DEVICE void check(bool right) {
  if (!right) stop();
}

}  // namespace e3md::gpu

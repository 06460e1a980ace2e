// After the text of kernels: what starts them from outside.

namespace {
e3md::gpu::Problem problem;
void (*kernel)(e3md::gpu::Problem);
}  // namespace

/// Runs a grid of blocks; whether no thread stopped.
extern "C" bool launch(void (*which)(e3md::gpu::Problem), const e3md::gpu::Problem* with, int n_x,
                       int n_y, int n_threads, unsigned seed) {
  kernel = which;
  problem = *with;
  emulation::order.seed(seed);
  emulation::stopped = false;
  emulation::body = [] { kernel(problem); };
  emulation::fibers.resize(n_threads);
  for (blockIdx.y = 0; blockIdx.y < unsigned(n_y); ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < unsigned(n_x); ++blockIdx.x) emulation::run_block();
  return !emulation::stopped;
}

"""What a GPU can do at most: copies, reads that hit L2 and L1, multiplications, additions in memory."""

import ctypes
from collections.abc import Callable
from statistics import median

import nvrtc
import torch
from driver import Module

TEXT = r"""
extern "C" __global__ void read(const float* p, float* out, int n, int rounds, int own) {
  // n: a power of two
  // own: each block goes round in n numbers of its own, which L1 holds; else all in the same ones
  const float* from = p + (own ? (size_t)blockIdx.x % 64 * n : 0);
  float sum = 0;
  for (int k = 0; k < rounds; ++k) {
    int at = (int)(threadIdx.x + blockDim.x * (own ? 0 : (blockIdx.x * 7 + k))) & (n - 1);
#pragma unroll 8
    for (int i = 0; i < 64; ++i) {
      sum += own ? __ldca(from + at) : __ldcg(from + at);
      at += blockDim.x * (own ? 1 : 97);
      at &= n - 1;
    }
  }
  if (sum == 1e30f) *out = sum;
}
extern "C" __global__ void multiply(float* out, int rounds) {
  float a[8];
  for (int k = 0; k < 8; ++k) a[k] = threadIdx.x + k;
  for (int r = 0; r < rounds; ++r)
#pragma unroll
    for (int i = 0; i < 16; ++i)
#pragma unroll
      for (int k = 0; k < 8; ++k) a[k] = a[k] * 0.999f + 0.001f;
  float sum = 0;
  for (int k = 0; k < 8; ++k) sum += a[k];
  if (sum == 1e30f) *out = sum;
}
extern "C" __global__ void add(float* p, int n, int rounds) {
  unsigned row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  for (int k = 0; k < rounds; ++k) {
    row = row * 1664525u + 1013904223u;
    atomicAdd(p + (size_t)(row % n) * 32 + threadIdx.x % 32, 1.0f);
  }
}
"""


def level() -> str:
    return "sm_{}{}".format(*torch.cuda.get_device_capability())


def seconds(call: Callable[[], None], n: int = 9) -> float:
    """Median of n, after three."""
    for _ in range(3):
        call()
    spent = []
    for _ in range(n):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        spent.append(begin.elapsed_time(end) / 1e3)
    return median(spent)


def ceilings() -> dict[str, float]:
    """GB/s; multiplications and additions in 1e12/s."""
    module = Module(nvrtc.compiled(TEXT, level()).code)
    n_blocks = 16 * torch.cuda.get_device_properties(0).multi_processor_count
    big = torch.zeros(1 << 28, device="cuda")
    other, out = torch.empty_like(big), torch.zeros(1, device="cuda")
    integer, pointer = ctypes.c_int, lambda t: ctypes.c_void_p(t.data_ptr())

    def read(n: int, own: int) -> float:
        rounds = 50
        spent = seconds(
            lambda: module.launch("read", (n_blocks, 1), 256, pointer(big), pointer(out),
                                  integer(n), integer(rounds), integer(own))
        )  # fmt: skip
        return n_blocks * 256 * rounds * 64 * 4 / spent / 1e9

    rounds = 2000
    multiply = seconds(
        lambda: module.launch("multiply", (n_blocks, 1), 256, pointer(out), integer(rounds))
    )
    rows, adds = 50_000 * 4, 200
    add = seconds(
        lambda: module.launch("add", (n_blocks, 1), 256, pointer(big), integer(rows), integer(adds))
    )
    return {
        "copy": 2 * 4 * big.numel() / seconds(lambda: other.copy_(big)) / 1e9,
        "L2 read": read(4 << 20, 0),
        "L1 read": read(4 << 10, 1),
        "atomic additions": n_blocks * 256 * adds * 4 / add / 1e9,
        "multiply-adds": n_blocks * 256 * rounds * 128 / multiply / 1e12,
    }

// CUDA's block on one thread of the host: a fiber for each of its threads, which run in random
// order from barrier to barrier. What a kernel may not do is done to its harm: a sum that is no
// atomic addition lets others run between its reading and its writing.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#define E3MD_EMULATED
#define DEVICE inline
#define KERNEL extern "C"
#define UNROLL
#define __shared__ static
#define __launch_bounds__(...)

struct Index {
  unsigned x, y;
};
inline Index threadIdx, blockIdx;

namespace emulation {

constexpr int kWarp = 32;
enum class State { ready, at_barrier, done };

struct Fiber {
  State state;
  bool started;
  jmp_buf jump;
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(1 << 16);
};

inline std::vector<Fiber> fibers;
inline std::mt19937 order;
inline jmp_buf scheduler;
inline unsigned now;
inline bool stopped;
inline void (*body)();

[[noreturn]] inline void leave() { _longjmp(scheduler, 1); }

inline void wait(State state) {
  Fiber& fiber = fibers[now];
  fiber.state = state;
  if (!_setjmp(fiber.jump)) leave();
}

inline void start() {
  body();
  fibers[now].state = State::done;
  leave();
}

inline void resume(unsigned thread) {
  Fiber& fiber = fibers[thread];
  threadIdx.x = now = thread;
  if (_setjmp(scheduler)) return;
  if (fiber.started) _longjmp(fiber.jump, 1);
  fiber.started = true;
  setcontext(&fiber.context);
}

inline void prepare(Fiber& fiber) {
  fiber.state = State::ready;
  fiber.started = false;
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.data();
  fiber.context.uc_stack.ss_size = fiber.stack.size();
  makecontext(&fiber.context, start, 0);
}

/// Lets warps go on that have wholly arrived; whether there was one.
inline bool release_warps() {
  bool any = false;
  for (size_t first = 0; first < fibers.size(); first += kWarp) {
    const auto begin = fibers.begin() + first, end = begin + kWarp;
    const auto is = [&](State s) {
      return std::count_if(begin, end, [s](const Fiber& f) { return f.state == s; });
    };
    if (is(State::ready) > 0 || is(State::at_barrier) == 0) continue;
    std::for_each(begin, end, [](Fiber& f) {
      if (f.state == State::at_barrier) f.state = State::ready;
    });
    any = true;
  }
  return any;
}

inline void run_block() {
  for (Fiber& fiber : fibers) prepare(fiber);
  std::vector<unsigned> turn(fibers.size());
  std::iota(turn.begin(), turn.end(), 0);
  do {
    std::shuffle(turn.begin(), turn.end(), order);
    for (unsigned thread : turn)
      if (fibers[thread].state == State::ready) resume(thread);
  } while (release_warps() || std::any_of(fibers.begin(), fibers.end(),
                                          [](const Fiber& f) { return f.state == State::ready; }));
}

}  // namespace emulation

inline void __syncwarp() { emulation::wait(emulation::State::at_barrier); }

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  static T slots[1024];
  const unsigned thread = threadIdx.x;
  slots[thread] = value;
  __syncwarp();
  const T got = slots[thread ^ unsigned(mask)];
  __syncwarp();
  return got;
}

namespace e3md::gpu {

inline float square_root(float x) { return std::sqrt(x); }
inline double square_root(double x) { return std::sqrt(x); }
template <class T>
T read(const T* p) {
  return *p;
}
inline void stop() {
  emulation::stopped = true;
  emulation::wait(emulation::State::done);
}

template <class T>
struct Accumulated {
  T value;
  void operator+=(T x) {
    const T old = value;
    emulation::wait(emulation::State::ready);
    value = old + x;
  }
};

}  // namespace e3md::gpu

template <class T>
void atomicAdd(e3md::gpu::Accumulated<T>* sum, T x) {
  sum->value += x;
}

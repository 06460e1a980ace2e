#pragma once

namespace e3md {

/// Instruction sets the kernels are compiled for.
enum class Isa { baseline, avx2, avx512 };

/// The widest the CPU has, or what the environment variable E3MD_ISA asks for.
Isa isa();

/// As E3MD_ISA has it.
const char* isa_name();

/// One of three things, by instruction set.
template <class Loops>
Loops for_isa(Loops (*baseline)(), Loops (*avx2)(), Loops (*avx512)()) {
  switch (isa()) {
    case Isa::avx512:
      return avx512();
    case Isa::avx2:
      return avx2();
    default:
      return baseline();
  }
}

}  // namespace e3md

/// kernels::<level>::get(), of the level of this CPU. Others than x86-64 have the baseline alone.
#if defined(__x86_64__)
#define E3MD_FOR_ISA(get) \
  ::e3md::for_isa(kernels::baseline::get, kernels::avx2::get, kernels::avx512::get)
#else
#define E3MD_FOR_ISA(get) \
  ::e3md::for_isa(kernels::baseline::get, kernels::baseline::get, kernels::baseline::get)
#endif

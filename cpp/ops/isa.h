#pragma once

namespace e3md {

/// Instruction sets the kernels are compiled for.
enum class Isa { baseline, avx2, avx512 };

/// The widest the CPU has, or what the environment variable E3MD_ISA asks for.
Isa isa();

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

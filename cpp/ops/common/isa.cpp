#include "common/isa.h"

#include <c10/util/Exception.h>

#include <cstdlib>
#include <string>

namespace e3md {
namespace {

#if defined(__x86_64__)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
#endif

Isa choose_isa() {
  const char* wish = std::getenv("E3MD_ISA");
  if (!wish || !*wish) return has_avx512() ? Isa::avx512 : has_avx2() ? Isa::avx2 : Isa::baseline;
  const std::string name = wish;
  if (name == "baseline") return Isa::baseline;
  TORCH_CHECK(name == "avx2" || name == "avx512", "E3MD_ISA=", name,
              " is unknown: use baseline, avx2 or avx512, or unset it.");
  TORCH_CHECK(name == "avx2" ? has_avx2() : has_avx512(), "E3MD_ISA=", name,
              ": this CPU does not have these instructions. Unset it, or use baseline.");
  return name == "avx2" ? Isa::avx2 : Isa::avx512;
}

}  // namespace

Isa isa() {
  static const Isa chosen = choose_isa();
  return chosen;
}

const char* isa_name() {
  constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};
  return kNames[static_cast<int>(isa())];
}

}  // namespace e3md

#pragma once
#include <string>
#include <vector>

namespace e3md {

/// The libtorch this process runs on, for hosts that include no torch header.

/// Throws Error if the loaded libtorch is not the version this library was compiled with: its C++
/// interface changes from release to release, and a mismatch crashes at random places.
void check_libtorch_version();

/// Has glibc's malloc keep memory that is freed, for the whole process: a step of molecular
/// dynamics asks for the same arrays again, and pages fresh from the kernel would cost more than a
/// tenth of it.
void keep_freed_memory();

/// Number of CUDA devices libtorch can use; 0 where there is none.
int n_cuda_devices();

/// The ops of e3md that have no kernel for a kind of device ("cpu" or "cuda"), by name, sorted.
/// Throws Error for another kind.
std::vector<std::string> ops_without_kernel(const std::string& kind);

/// Whether every op runs its reference, in torch operations, instead of its kernel: slow, for
/// comparisons. At the start as the environment variable E3MD_REFERENCE says (1: yes).
void force_references(bool on);
bool references_forced();

/// Whether a device may be used although references stand in for some of its kernels: they are
/// forced, or E3MD_REFERENCE is "missing".
bool references_stand_in();

/// What evaluates models on the CPU, for logs: "kernels (avx512)".
std::string ops_in_use();

/// What keeps models from running on CUDA here, as the end of a sentence ("torch finds no GPU");
/// empty if nothing does. The one place that this is asked.
std::string missing_cuda();

/// Whether CUDA is there with every kernel, so that it may be chosen unasked.
bool prefers_cuda();

/// Compute threads of this process.
int n_threads();
void set_n_threads(int n);

}  // namespace e3md

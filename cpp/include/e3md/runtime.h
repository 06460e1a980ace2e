#pragma once

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

/// Compute threads of this process.
int n_threads();
void set_n_threads(int n);

}  // namespace e3md

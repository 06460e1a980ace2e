#pragma once

namespace e3md {

/// The libtorch this process runs on, for hosts that include no torch header.

/// Throws Error if the loaded libtorch is not the version this library was compiled with: its C++
/// interface changes from release to release, and a mismatch crashes at random places.
void check_libtorch_version();

/// Number of CUDA devices libtorch can use; 0 where there is none.
int n_cuda_devices();

/// Compute threads of this process.
int n_threads();
void set_n_threads(int n);

}  // namespace e3md

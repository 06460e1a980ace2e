# What compilers write of file names (errors by __FILE__, debug information) is relative to the
# project, the build or site-packages: a binary is the same wherever it was built.
cmake_path(SET site_packages NORMALIZE ${E3MD_TORCH_INCLUDE}/../../)
# of several that fit, compilers take the last
add_compile_options(
  -ffile-prefix-map=${site_packages}= -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=
  -ffile-prefix-map=${CMAKE_BINARY_DIR}/=build/)

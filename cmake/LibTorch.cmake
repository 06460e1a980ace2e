# Target e3md::torch, from CMAKE_PREFIX_PATH=<torch> or the Python package torch.
# Not find_package(Torch): for a CUDA wheel that asks for a CUDA toolkit, which a user of the
# plain CPU path need not have.
e3md_python_package_dir(torch E3MD_TORCH_PACKAGE)
find_path(E3MD_TORCH_INCLUDE torch/script.h
  HINTS ${CMAKE_PREFIX_PATH} ${E3MD_TORCH_PACKAGE} PATH_SUFFIXES include)
find_library(E3MD_TORCH_CPU torch_cpu
  HINTS ${CMAKE_PREFIX_PATH} ${E3MD_TORCH_PACKAGE} PATH_SUFFIXES lib)
if(NOT E3MD_TORCH_INCLUDE OR NOT E3MD_TORCH_CPU)
  message(FATAL_ERROR "e3md: libtorch not found. Install it with 'pip install torch==2.13.0', "
    "or give -DCMAKE_PREFIX_PATH=<folder with include/torch/script.h and lib/libtorch_cpu.so>.")
endif()
get_filename_component(E3MD_TORCH_LIB_DIR ${E3MD_TORCH_CPU} DIRECTORY)
find_library(E3MD_TORCH_C10 c10 HINTS ${E3MD_TORCH_LIB_DIR} NO_DEFAULT_PATH REQUIRED)
find_library(E3MD_TORCH_MAIN torch HINTS ${E3MD_TORCH_LIB_DIR} NO_DEFAULT_PATH REQUIRED)

add_library(e3md_torch INTERFACE)
add_library(e3md::torch ALIAS e3md_torch)
target_include_directories(e3md_torch SYSTEM INTERFACE
  ${E3MD_TORCH_INCLUDE} ${E3MD_TORCH_INCLUDE}/torch/csrc/api/include)
# libtorch.so registers the CUDA backend where there is one: keep it although no symbol asks for it.
target_link_libraries(e3md_torch INTERFACE
  -Wl,--no-as-needed ${E3MD_TORCH_MAIN} -Wl,--as-needed ${E3MD_TORCH_CPU} ${E3MD_TORCH_C10})
message(STATUS "e3md: libtorch in ${E3MD_TORCH_LIB_DIR}")

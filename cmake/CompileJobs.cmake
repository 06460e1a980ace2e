# As many compilers at a time as there are cores and memory for: the headers of libtorch take up to
# 1.6 GB in each. CMAKE_BUILD_PARALLEL_LEVEL in the environment overrides it. Ninja only; make runs
# one compiler at a time unless told otherwise.
set(compiler_mb 1600)
cmake_host_system_information(RESULT cores QUERY NUMBER_OF_LOGICAL_CORES)
cmake_host_system_information(RESULT free_mb QUERY AVAILABLE_PHYSICAL_MEMORY)

# A container may have less than its host: cgroup v2, then v1.
foreach(file IN ITEMS /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes)
  if(EXISTS ${file})
    file(STRINGS ${file} limit LIMIT_COUNT 1)
    if(limit MATCHES "^[0-9]+$")
      math(EXPR limit_mb "${limit} / 1048576")
      if(limit_mb LESS free_mb)
        set(free_mb ${limit_mb})
      endif()
    endif()
  endif()
endforeach()

math(EXPR jobs "${free_mb} / ${compiler_mb}")
if(jobs GREATER cores)
  set(jobs ${cores})
elseif(jobs LESS 1)
  set(jobs 1)
endif()
if("$ENV{CMAKE_BUILD_PARALLEL_LEVEL}" MATCHES "^[1-9][0-9]*$")
  set(jobs $ENV{CMAKE_BUILD_PARALLEL_LEVEL})
endif()
message(STATUS "e3md: ${jobs} compile jobs (${cores} cores, ${free_mb} MB of memory)")
set_property(GLOBAL APPEND PROPERTY JOB_POOLS e3md_compile=${jobs})
set(CMAKE_JOB_POOL_COMPILE e3md_compile)

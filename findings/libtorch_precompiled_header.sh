#!/usr/bin/env bash
# libtorch 2.13.0 and GCC: a precompiled header of <torch/torch.h>, meant to make a build faster, takes 0.7 GB, and
# GCC reads it all for every file that it is forced on. CMake's target_precompile_headers forces it on all files
# of a target: those that need nothing of torch then take seconds instead of milliseconds, and a target
# with few files that include torch is slower as a whole.
# Seen (GCC 12.2): 715 MB; a file of one line takes 34 ms without it and 8,051 ms with it.
set -euo pipefail
command -v g++ >/dev/null || { echo "needs g++"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-deps torch==2.13.0
cd "$folder"
include=$(echo venv/lib/python3*/site-packages/torch/include)
flags=(-std=c++20 -O2 -fPIC -I"$include" -I"$include/torch/csrc/api/include")
mkdir with
echo '#include <torch/torch.h>' >with/pch.h
g++ "${flags[@]}" -x c++-header with/pch.h -o with/pch.h.gch
megabytes=$(($(stat -c %s with/pch.h.gch) / 1000000))
echo 'int answer() { return 42; }' >line.cpp

seconds() {
  local start
  start=$(date +%s%N)
  g++ "${flags[@]}" "$@" -c line.cpp -o line.o
  echo $((($(date +%s%N) - start) / 1000000))
}
seconds >/dev/null # the compiler is in memory then
without=$(seconds)
with=$(seconds -Winvalid-pch -include with/pch.h)
echo "precompiled header: $megabytes MB; a file of one line: $without ms without it, $with ms with it"
[ "$megabytes" -gt 300 ]
[ "$with" -gt $((10 * without)) ]

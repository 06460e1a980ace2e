#pragma once
#include <torch/script.h>

#include <string>

namespace e3md {

/// Whether exported models need an operator, by its name without the overload ("aten::add").
bool is_allowed_operator(const std::string& name);

/// Checks everything that a loaded module could run, before any of it runs: operators against the
/// list of what exported models need; loops, which may only go over lists and tensors that the file
/// holds; and calls, whose number without loops is bounded.
/// Throws std::runtime_error naming the first thing that is refused and where it stands.
void check_operators(const torch::jit::Module& module);

}  // namespace e3md

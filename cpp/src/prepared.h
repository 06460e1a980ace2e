#pragma once
#include <torch/script.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "e3md/metadata.h"
#include "plan/plan.h"

namespace e3md {

/// A model that can be evaluated, for the species in use.
struct Prepared {
  std::vector<int64_t> species;
  torch::jit::Module module;
  std::vector<torch::jit::Module> members;         ///< whose energies are averaged
  std::optional<torch::jit::Method> together;      ///< energies of all members in one pass
  std::vector<std::unique_ptr<plan::Plan>> plans;  ///< what evaluates; none: TorchScript does
  std::string runs;                                ///< what evaluates, in words
};

/// Prepares a module as species come into use: tables of all pairs of 89 elements would take
/// gigabytes. May be asked in several threads at once.
class Preparation {
 public:
  /// module: as it was read. plan: use the module's plan if there is one.
  Preparation(torch::jit::Module module, const Metadata& metadata, torch::Device device,
              torch::ScalarType dtype, bool plan);

  /// For these species at least.
  std::shared_ptr<Prepared> of(const std::vector<int64_t>& types) const;
  /// What was prepared last.
  std::shared_ptr<Prepared> current() const;

 private:
  torch::jit::Module source_;
  Metadata metadata_;
  torch::Device device_;
  torch::ScalarType dtype_;
  bool plan_;
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
  mutable std::shared_ptr<Prepared> current_;

  std::shared_ptr<Prepared> prepare_for(std::vector<int64_t> species) const;
};

}  // namespace e3md

#include "prepared.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "e3md/error.h"
#include "e3md/runtime.h"
#include "model_file.h"
#include "one_line.h"

namespace e3md {
namespace {

constexpr size_t kFew = 8;  // species that are prepared at once, used or not
// Beyond, species that were met before are given up: tables of all would fill memory.
constexpr size_t kMany = 16;

/// The modules whose energies are averaged: that of the file, or those of its committee.
std::vector<torch::jit::Module> members_of(const torch::jit::Module& module,
                                           const Metadata& metadata) {
  if (metadata.members == 1) return {module};
  std::vector<torch::jit::Module> members;
  if (module.hasattr("members"))
    for (const auto& member : module.attr("members").toModule().children())
      members.push_back(member);
  if (members.size() != static_cast<size_t>(metadata.members))
    throw Error("model file '" + metadata.path + "' holds " + std::to_string(members.size()) +
                " members, but its e3md.json says " + std::to_string(metadata.members) +
                ". Export the model again.");
  return members;
}

/// Into a sorted list of species, each once.
void insert(std::vector<int64_t>& species, int64_t one) {
  const auto at = std::lower_bound(species.begin(), species.end(), one);
  if (at == species.end() || *at != one) species.insert(at, one);
}

/// Every tensor of the module by its name.
plan::Tensors tensors_of(const torch::jit::Module& module) {
  auto named = std::make_shared<std::map<std::string, at::Tensor>>();
  for (const auto& item : module.named_parameters()) named->emplace(item.name, item.value);
  for (const auto& item : module.named_buffers()) named->emplace(item.name, item.value);
  return [named](const std::string& name) {
    const auto found = named->find(name);
    return found == named->end() ? at::Tensor() : found->second;
  };
}

/// The plans that the module brings, or why there are none.
std::string read_plans(Prepared& prepared, const Metadata& metadata, torch::Device device,
                       torch::ScalarType dtype) {
  if (!device.is_cpu()) return "there are no kernels of a plan for this device";
  if (references_forced()) return "E3MD_REFERENCE asks for references";
  if (!prepared.module.hasattr("plan") || !prepared.module.attr("plan").isString())
    return "the file has no plan";
  const std::string& text = prepared.module.attr("plan").toStringRef();
  if (text.empty()) return "the model has no plan";
  const auto parsed = nlohmann::json::parse(text);
  if (!plan::is_known(parsed)) return "the file has a plan for a later version of e3md";
  prepared.plans =
      plan::read_plans(parsed, tensors_of(prepared.module), dtype == at::kFloat,
                       static_cast<int64_t>(metadata.species.size()), prepared.species);
  int64_t n_members = 0;
  for (const auto& plan : prepared.plans) n_members += plan->n_members();
  if (n_members != metadata.members) throw std::runtime_error("its plan is of other members");
  return "";
}

std::string in_words(const Prepared& prepared, const std::string& why_not) {
  if (prepared.plans.empty()) return "TorchScript, as " + why_not;
  size_t n_steps = 0;
  for (const auto& plan : prepared.plans) n_steps += plan->n_steps();
  return "a plan of " + std::to_string(n_steps) + " steps";
}

}  // namespace

Preparation::Preparation(torch::jit::Module module, const Metadata& metadata, torch::Device device,
                         torch::ScalarType dtype, bool plan)
    : source_(std::move(module)), metadata_(metadata), device_(device), dtype_(dtype), plan_(plan) {
  std::vector<int64_t> species(metadata.species.size());
  std::iota(species.begin(), species.end(), 0);
  if (species.size() > kFew && source_.find_method("use")) species.resize(1);
  current_ = prepare_for(std::move(species));
}

std::shared_ptr<Prepared> Preparation::of(const std::vector<int64_t>& types) const {
  const std::lock_guard lock(*mutex_);
  const std::vector<int64_t>& ready = current_->species;
  std::vector<int64_t> wanted = ready;
  for (const int64_t type : types) insert(wanted, type);
  if (wanted.size() == ready.size()) return current_;
  if (wanted.size() > kMany) {
    wanted.clear();
    for (const int64_t type : types) insert(wanted, type);
  }
  current_ = prepare_for(std::move(wanted));
  return current_;
}

std::shared_ptr<Prepared> Preparation::current() const {
  const std::lock_guard lock(*mutex_);
  return current_;
}

std::shared_ptr<Prepared> Preparation::prepare_for(std::vector<int64_t> species) const {
  auto prepared = std::make_shared<Prepared>();
  const bool all = species.size() == metadata_.species.size();
  prepared->species = std::move(species);
  prepared->module = all ? source_ : source_.deepcopy();
  prepare(prepared->module, metadata_, device_, dtype_,
          all ? std::nullopt : std::optional(prepared->species));
  prepared->members = members_of(prepared->module, metadata_);
  prepared->together = prepared->module.find_method("member_energies");
  std::string why_not = "it was asked for";
  try {
    if (plan_) why_not = read_plans(*prepared, metadata_, device_, dtype_);
  } catch (const std::exception& error) {
    throw Error("model file '" + metadata_.path + "' does not load: " + one_line(error));
  }
  prepared->runs = in_words(*prepared, why_not);
  return prepared;
}

}  // namespace e3md

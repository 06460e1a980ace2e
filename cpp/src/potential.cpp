#include "e3md/potential.h"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/copies.h"
#include "e3md/error.h"
#include "e3md/runtime.h"
#include "graph_checks.h"
#include "hessian_columns.h"
#include "model_file.h"
#include "one_line.h"
#include "prepared.h"

namespace e3md {
namespace {

/// What every call into the module needs: gradients on whatever the caller has set, and no
/// profiling by TorchScript, which would make the first calls slow and specialize them to the first
/// shapes.
struct CallScope {
  c10::InferenceMode no_inference_mode{false};
  torch::AutoGradMode with_gradients{true};
  torch::jit::GraphOptimizerEnabledGuard no_profiling{false};
};

/// The graph as the module's arguments. The tensors of types borrow the graph's memory.
struct Inputs {
  at::Tensor edge_vec;  // (n_edges, 3) or (copies, n_edges, 3), leaf that requires a gradient
  std::vector<c10::IValue> arguments;
};

/// copies: how often the edge vectors come, each with a gradient of its own; 0: once, as a matrix.
Inputs make_inputs(const Graph& graph, torch::ScalarType dtype, torch::Device device,
                   int64_t copies = 0) {
  const int64_t n_edges = graph.n_edges();
  at::Tensor edge_index = at::empty({2, n_edges}, at::kLong);
  std::copy(graph.edge_i.begin(), graph.edge_i.end(), edge_index.data_ptr<int64_t>());
  std::copy(graph.edge_j.begin(), graph.edge_j.end(), edge_index.data_ptr<int64_t>() + n_edges);
  at::Tensor edge_vec =
      at::from_blob(const_cast<double*>(graph.edge_vec.data()), {n_edges, 3}, at::kDouble);
  const at::Tensor types =
      at::from_blob(const_cast<int64_t*>(graph.types.data()), {graph.n_nodes}, at::kLong);
  Inputs inputs;
  edge_vec = edge_vec.to(device, dtype);
  if (copies > 0) edge_vec = edge_vec.expand({copies, n_edges, 3});
  inputs.edge_vec = edge_vec.detach().set_requires_grad(true);
  inputs.arguments = {types.to(device), edge_index.to(device), inputs.edge_vec, graph.n_local};
  return inputs;
}

/// A gradient on the host in double; zeros where the energy does not depend on the argument.
at::Tensor host_gradient(const at::Tensor& gradient, const at::Tensor& like) {
  const at::Tensor defined = gradient.defined() ? gradient : at::zeros_like(like);
  return defined.detach().to(at::kCPU, at::kDouble).contiguous();
}

std::vector<double> to_vector(const at::Tensor& tensor) {
  const double* values = tensor.const_data_ptr<double>();
  return {values, values + tensor.numel()};
}

/// g = dE/d edge_vec, of its shape; undefined if the energy does not depend on it.
at::Tensor edge_gradient(const at::Tensor& energies, const Inputs& inputs, bool create_graph) {
  if (!energies.requires_grad()) return {};
  return torch::autograd::grad({energies.sum()}, {inputs.edge_vec}, {}, std::nullopt, create_graph,
                               /*allow_unused=*/true)[0];
}

/// Adds the forces of g = dE/d edge_vec, (n_edges, 3), to rows that are `stride` apart.
void add_forces(const Graph& graph, const double* g, double* forces, int64_t stride) {
  for (int64_t e = 0; e < graph.n_edges(); ++e) {
    double* force_i = forces + stride * graph.edge_i[e];
    double* force_j = forces + stride * graph.edge_j[e];
    for (int a = 0; a < 3; ++a) {
      force_i[a] += g[3 * e + a];
      force_j[a] -= g[3 * e + a];
    }
  }
}

/// To the mean over n_members members: energies of the atoms, and g.
void add_mean(const Outcome& found, int64_t n_members, std::vector<double>& energies,
              std::vector<double>& g) {
  for (size_t k = 0; k < found.energies.size(); ++k)
    energies[k / found.n_members] += found.energies[k] / n_members;
  for (size_t k = 0; k < found.g.size(); ++k) g[k % g.size()] += found.g[k] / n_members;
}

/// What each of its members says.
void add_members(const Graph& graph, const Outcome& found, int64_t n_members, Result& result) {
  for (int64_t k = 0; k < found.n_members; ++k) {
    double* forces = result.member_forces.data() + 3 * result.member_energies.size();
    double energy = 0;
    for (int64_t i = 0; i < graph.n_local; ++i) energy += found.energies[i * found.n_members + k];
    result.member_energies.push_back(energy);
    add_forces(graph, found.g.data() + 3 * k * graph.n_edges(), forces, 3 * n_members);
  }
}

/// The virial of g = dE/d edge_vec, (n_edges, 3); by atom where result has room for it.
void add_virials(const Graph& graph, const double* g, Result& result) {
  for (int64_t e = 0; e < graph.n_edges(); ++e) {
    const double* r = graph.edge_vec.data() + 3 * e;
    double virial[9];
    for (int k = 0; k < 9; ++k) virial[k] = -r[k / 3] * g[3 * e + k % 3];
    for (int k = 0; k < 9; ++k) result.virial[k] += virial[k];
    if (result.atomic_virials.empty()) continue;
    double* virial_j = result.atomic_virials.data() + 9 * graph.edge_j[e];
    for (int k = 0; k < 9; ++k) virial_j[k] += virial[k];
  }
}

}  // namespace

struct Potential::Impl {
  Metadata metadata;
  std::string dtype;
  std::string device_name;
  torch::Device device;
  torch::ScalarType scalar_type;
  Preparation preparation;

  /// Atomic energies of the file's module or of a member, (n_local) float64, still attached to
  /// inputs.edge_vec.
  at::Tensor energies(torch::jit::Module& of, const Inputs& inputs, int64_t n_local) const {
    const at::Tensor energies = of.forward(inputs.arguments).toTensor();
    if (energies.dim() != 1 || energies.size(0) != n_local || energies.scalar_type() != at::kDouble)
      throw Error("the model '" + metadata.path + "' does not return a float64 energy per atom");
    return energies;
  }

  /// Of all members, through TorchScript.
  Outcome together(const Prepared& prepared, const Graph& graph, bool apart) const {
    const auto n_members = static_cast<int64_t>(metadata.members);
    const Inputs inputs = make_inputs(graph, scalar_type, device, apart ? n_members : 0);
    const at::Tensor found = (*prepared.together)(inputs.arguments).toTensor();
    if (found.dim() != 2 || found.size(0) != graph.n_local || found.size(1) != n_members ||
        found.scalar_type() != at::kDouble)
      throw Error("the model '" + metadata.path + "' does not return float64 energies per member");
    return outcome(found, inputs, n_members);
  }

  /// What a module gives for each group of members that it evaluates at once. Also without edges or
  /// atoms: exchanges are collective, those of the backward pass too.
  std::vector<Outcome> outcomes(const Graph& graph, bool apart, GhostExchanger* exchanger) const {
    const auto prepared = preparation.of(graph.types);
    std::vector<Outcome> found;
    for (const auto& plan : prepared->plans)
      found.push_back(plan->evaluate(graph, apart, exchanger));
    if (!found.empty()) return found;
    const CallScope scope;
    const GhostExchangeScope lend(exchanger, graph.n_local, graph.n_nodes);
    if (prepared->together) return {together(*prepared, graph, apart)};
    const Inputs inputs = make_inputs(graph, scalar_type, device);
    for (torch::jit::Module& member : prepared->members)
      found.push_back(outcome(energies(member, inputs, graph.n_local), inputs, 1));
    return found;
  }

  static Outcome outcome(const at::Tensor& energies, const Inputs& inputs, int64_t n_members) {
    const at::Tensor g = host_gradient(edge_gradient(energies, inputs, false), inputs.edge_vec);
    return {n_members, to_vector(energies.detach().to(at::kCPU).contiguous()), to_vector(g)};
  }

  /// Runs `work`; whatever torch throws becomes an Error of one line.
  template <class Work>
  auto guarded(Work work) const {
    try {
      return work();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      throw Error("the model '" + metadata.path + "' failed: " + one_line(error));
    }
  }
};

Potential::Potential(const std::string& path, const std::string& device,
                     const std::optional<std::string>& dtype, bool plan) {
  keep_freed_memory();
  auto [archive, metadata] = open_model(path);
  const std::string used = dtype.value_or(metadata.dtype);
  if (used != "float32" && used != "float64")
    throw Error("dtype must be float32 or float64, not '" + used + "'");
  const auto scalar_type = used == "float32" ? at::kFloat : at::kDouble;
  const torch::Device found = find_device(device);
  Preparation preparation(read_module(archive, metadata), metadata, found, scalar_type, plan);
  impl_.reset(
      new Impl{std::move(metadata), used, device, found, scalar_type, std::move(preparation)});
  // Two atoms once through the model: a file whose code does not run here says so now.
  const double r = 0.5 * impl_->metadata.cutoff;
  const Graph dimer{2, 2, {0, 0}, {0, 1}, {0, 1}, {1, 0}, {r, 0, 0, -r, 0, 0}};
  impl_->guarded([&] { impl_->outcomes(dimer, true, nullptr); });
}

Potential::~Potential() = default;
Potential::Potential(Potential&&) noexcept = default;

const Metadata& Potential::metadata() const { return impl_->metadata; }
const std::string& Potential::dtype() const { return impl_->dtype; }
const std::string& Potential::device() const { return impl_->device_name; }
std::string Potential::runs() const { return impl_->preparation.current()->runs; }
void Potential::use(const std::vector<int64_t>& types) const { impl_->preparation.of(types); }

Result Potential::evaluate(const Graph& graph, Wanted wanted, GhostExchanger* exchanger) const {
  check_graph(graph, impl_->metadata);
  const auto n_members = static_cast<int64_t>(impl_->metadata.members);
  Result result;
  result.energies.assign(graph.n_local, 0.0);
  result.forces.assign(3 * graph.n_nodes, 0.0);
  if (wanted.atomic_virials) result.atomic_virials.assign(9 * graph.n_nodes, 0.0);
  if (wanted.members) result.member_forces.assign(3 * n_members * graph.n_nodes, 0.0);
  std::vector<double> g(3 * graph.n_edges(), 0.0);  // dE/d edge_vec, mean over the members
  for (const Outcome& found :
       impl_->guarded([&] { return impl_->outcomes(graph, wanted.members, exchanger); })) {
    add_mean(found, n_members, result.energies, g);
    if (wanted.members) add_members(graph, found, n_members, result);
  }
  for (int64_t i = 0; i < graph.n_local; ++i) {
    if (!std::isfinite(result.energies[i])) fail_not_finite(graph, "an energy", i);
    result.energy += result.energies[i];
  }
  add_forces(graph, g.data(), result.forces.data(), 3);
  add_virials(graph, g.data(), result);
  check_finite(graph, result.forces, "a force");
  return result;
}

std::vector<StepTime> Potential::step_times(const Graph& graph) const {
  check_graph(graph, impl_->metadata);
  std::vector<StepTime> times;
  const auto prepared = impl_->preparation.of(graph.types);
  for (const auto& plan : prepared->plans)
    for (StepTime& time : plan->time(graph)) times.push_back(std::move(time));
  return times;
}

std::vector<double> Potential::hessian(const Graph& graph) const {
  check_graph(graph, impl_->metadata);
  if (graph.n_nodes != graph.n_local)
    throw Error("a Hessian needs a graph without ghost atoms: evaluate it in one process");
  const int64_t n = 3 * graph.n_local;
  std::vector<double> hessian(n * n, 0.0);
  impl_->guarded([&] {
    const CallScope scope;
    const auto prepared = impl_->preparation.of(graph.types);
    const int64_t n_copies = reads_tables(prepared->module) ? copies_for_hessian(graph) : 1;
    const Graph copies = repeat(graph, n_copies);
    const Inputs inputs = make_inputs(copies, impl_->scalar_type, impl_->device);
    const at::Tensor energies = impl_->energies(prepared->module, inputs, copies.n_local);
    const at::Tensor g = edge_gradient(energies, inputs, true);
    if (!g.defined() || !g.requires_grad()) return;
    for (int64_t first = 0; first < n; first += n_copies) {
      const int64_t n_columns = std::min(n_copies, n - first);
      // dE/dx moved along coordinates: how these move the edges, then the Hessian of the edges.
      std::vector<double> motions = edge_motions(graph, n_copies, first, n_columns);
      const at::Tensor direction =
          at::from_blob(motions.data(), g.sizes(), at::kDouble).to(g.options());
      const CopiesScope alike(n_copies);
      const at::Tensor moved =
          torch::autograd::grad({g}, {inputs.edge_vec}, {direction}, true, false, true)[0];
      const at::Tensor rows = host_gradient(moved, inputs.edge_vec);
      add_columns(graph, rows.data_ptr<double>(), first, n_columns, hessian);
    }
  });
  check_finite(graph, hessian, "a second derivative");
  return hessian;
}

std::vector<double> Potential::descriptors(const Graph& graph, int64_t& n_features) const {
  check_graph(graph, impl_->metadata);
  return impl_->guarded([&] {
    const CallScope scope;
    const torch::NoGradGuard no_grad;
    const auto prepared = impl_->preparation.of(graph.types);
    const Inputs inputs = make_inputs(graph, impl_->scalar_type, impl_->device);
    const auto method = prepared->module.find_method("descriptors");
    if (!method) throw Error("the model '" + impl_->metadata.path + "' has no descriptors");
    const at::Tensor features = (*method)(inputs.arguments).toTensor();
    const at::Tensor host = features.to(at::kCPU, at::kDouble).contiguous();
    n_features = host.size(1);
    return std::vector<double>(host.data_ptr<double>(), host.data_ptr<double>() + host.numel());
  });
}

}  // namespace e3md

#include "model_file.h"

#include <caffe2/serialize/in_memory_adapter.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <map>

#include "code_text.h"
#include "e3md/error.h"
#include "e3md/runtime.h"
#include "one_line.h"
#include "operators.h"

namespace e3md {
namespace {

/// Reference energies, scale and shift, and the coefficients that the ops take in double; as in
/// python/e3md/model/build.py.
bool stays_double(const std::string& name) {
  const std::string last = name.substr(name.rfind('.') + 1);
  return ("." + name).find(".reference.") != std::string::npos || last == "cg_value" ||
         last == "harmonic_value" || last == "product_value" || last == "grid";
}

/// A line for the user where a part of the file vouches for no other, "" where all do.
std::string not_bound(const Archive& archive, const Metadata& metadata) {
  if (metadata.format_version > 1 && archive.has_list()) return "";
  const std::string what =
      metadata.format_version > 1
          ? "has no list of its records: it was written by something else than e3md"
          : "is of format_version 1: its cutoff and species are not bound to the network";
  return "model file '" + metadata.path + "' " + what +
         ". Export it again to be safe from mix-ups.";
}

}  // namespace

std::pair<Archive, Metadata> open_model(const std::string& path) {
  const std::string record = "extra/e3md.json";
  Archive archive(path, "e3md model");
  if (!archive.has(record))
    throw Error("'" + path +
                "' is not an e3md model: the archive has no e3md.json. Write model "
                "files with `e3md export` or `e3md convert`.");
  Metadata metadata = parse_metadata(archive.read(record), path);  // first: newer files may differ
  archive.check_list();
  metadata.remark = not_bound(archive, metadata);
  return {std::move(archive), std::move(metadata)};
}

Metadata read_metadata(const std::string& path) { return open_model(path).second; }

torch::Device find_device(const std::string& name) {
  torch::Device device(torch::kCPU);
  try {
    device = torch::Device(name);
  } catch (const std::exception&) {
    throw Error("unknown device '" + name + "': use cpu, cuda or cuda:N");
  }
  if (device.is_cpu()) return device;
  if (!device.is_cuda()) throw Error("unknown device '" + name + "': use cpu, cuda or cuda:N");
  const std::string missing = missing_cuda();
  if (!missing.empty())
    throw Error("device '" + name + "' is not available: " + missing + ". Use device cpu.");
  const int n_devices = n_cuda_devices();
  if (device.has_index() && device.index() >= n_devices)
    throw Error("device '" + name + "' does not exist: this machine has " +
                std::to_string(n_devices) + " CUDA devices, counted from 0");
  return device;
}

namespace {

/// What the file holds and what was made of it, to the precision of a run.
void cast(torch::jit::Module& module, torch::ScalarType dtype) {
  const auto one = [&](const std::string& name, at::Tensor tensor) {
    tensor.set_requires_grad(false);
    if (tensor.is_floating_point() && !stays_double(name)) tensor.set_data(tensor.to(dtype));
  };
  for (const auto& item : module.named_parameters()) one(item.name, item.value);
  for (const auto& item : module.named_buffers()) one(item.name, item.value);
}

void check_text(const Archive& archive) {
  std::map<std::string, std::string> texts;
  for (const Archive::Record& record : archive.records())
    if (record.name.rfind("code/", 0) == 0 && record.name.size() > 3 &&
        record.name.compare(record.name.size() - 3, 3, ".py") == 0)
      texts[record.name] = archive.read(record.name);
  CodeText(is_allowed_operator).check(texts);
}

/// Tensors may claim more numbers than the file has, by strides of zero, and would take memory only
/// when they are cast.
void check_sizes(const torch::jit::Module& module, size_t file_size) {
  double total = 0;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    const double size = double(tensor.numel()) * tensor.element_size();
    total += size;
    if (!tensor.device().is_cpu() || tensor.layout() != at::kStrided || tensor.is_quantized() ||
        size > double(tensor.storage().nbytes()) || total > 4.0 * file_size)
      throw std::runtime_error("the tensor " + name + " is no plain array of numbers in the file");
  };
  for (const auto& item : module.named_parameters()) add(item.name, item.value);
  for (const auto& item : module.named_buffers()) add(item.name, item.value);
}

}  // namespace

torch::jit::Module read_module(const Archive& archive, const Metadata& metadata) {
  const std::string& path = metadata.path;
  try {
    check_text(archive);
    auto module = torch::jit::load(std::make_shared<caffe2::serialize::MemoryReadAdapter>(
                                       archive.bytes().data(), archive.bytes().size()),
                                   torch::kCPU, /*load_debug_files=*/false);
    check_operators(module);
    check_sizes(module, archive.bytes().size());
    if (metadata.format_version > 1) {
      if (!module.hasattr("bound") || !module.attr("bound").isString())
        throw std::runtime_error("its network does not say what e3md.json must agree with");
      check_binding(metadata, module.attr("bound").toStringRef());
    }
    return module;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error("model file '" + path + "' does not load: " + one_line(error));
  }
}

void check_model_file(const std::string& path) {
  const auto [archive, metadata] = open_model(path);
  read_module(archive, metadata);
}

void prepare(torch::jit::Module& module, const Metadata& metadata, torch::Device device,
             torch::ScalarType dtype, const std::optional<std::vector<int64_t>>& species) {
  try {
    // No profiling by TorchScript, which takes seconds to specialize what runs once.
    const torch::jit::GraphOptimizerEnabledGuard no_profiling(false);
    module.eval();
    if (const auto use = module.find_method("use"); use && species)
      (*use)({torch::tensor(*species, torch::kLong)});
    if (const auto tabulate = module.find_method("tabulate")) {
      cast(module, torch::kDouble);
      const torch::AutoGradMode with_gradients(true);
      (*tabulate)({dtype == torch::kFloat});
    }
    cast(module, dtype);
    module.to(device);
  } catch (const std::exception& error) {
    throw Error("model file '" + metadata.path + "' does not load: " + one_line(error));
  }
}

/// edges.
bool reads_tables(const torch::jit::Module& module) {
  for (const auto& buffer : module.named_buffers())
    if (buffer.name.ends_with("knots") && buffer.value.numel() > 0) return true;
  return false;
}

}  // namespace e3md

#include "model_file.h"

#include <caffe2/serialize/inline_container.h>

#include <filesystem>
#include <fstream>

#include "e3md/error.h"
#include "e3md/runtime.h"

namespace e3md {
namespace {

/// Reference energies, scale and shift, and the coefficients that the ops take in double; as in
/// python/e3md/model/build.py.
bool stays_double(const std::string& name) {
  const std::string last = name.substr(name.rfind('.') + 1);
  return ("." + name).find(".reference.") != std::string::npos || last == "cg_value" ||
         last == "harmonic_value" || last == "product_value" || last == "grid";
}

}  // namespace

std::string one_line(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  std::string text = torch_error ? torch_error->what_without_backtrace() : error.what();
  // TorchScript puts the cause last, after a listing of the model's code.
  const std::string mark = "Error: ";
  const size_t found = text.rfind("\nRuntimeError: ");
  if (found != std::string::npos) text = text.substr(text.find(mark, found) + mark.size());
  return text.substr(0, text.find('\n'));
}

Metadata read_metadata(const std::string& path) {
  const std::string record = "extra/e3md.json";
  std::error_code code;
  if (!std::filesystem::exists(path, code)) throw Error("model file '" + path + "' does not exist");
  if (std::filesystem::is_directory(path, code))
    throw Error("model file '" + path + "' is a folder: give the file that `e3md export` wrote");
  if (!std::ifstream(path)) throw Error("model file '" + path + "' cannot be opened for reading");
  std::string json;
  try {
    caffe2::serialize::PyTorchStreamReader reader(path);
    if (!reader.hasRecord(record))
      throw Error("'" + path +
                  "' is not an e3md model: the archive has no e3md.json. Write model "
                  "files with `e3md export` or `e3md convert`.");
    const auto [data, size] = reader.getRecord(record);
    json.assign(static_cast<const char*>(data.get()), size);
  } catch (const c10::Error& error) {
    const std::string cause = one_line(error);  // goes on for sentences
    throw Error("'" + path +
                "' is not an e3md model, or it is truncated: " + cause.substr(0, cause.find(". ")));
  }
  return parse_metadata(json, path);
}

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

}  // namespace

torch::jit::Module load_module(const std::string& path, torch::Device device,
                               torch::ScalarType dtype) {
  try {
    auto module = torch::jit::load(path, torch::kCPU);
    module.eval();
    if (const auto tabulate = module.find_method("tabulate")) {
      cast(module, torch::kDouble);
      const torch::AutoGradMode with_gradients(true);
      (*tabulate)({dtype == torch::kFloat});
    }
    cast(module, dtype);
    module.to(device);
    return module;
  } catch (const std::exception& error) {
    throw Error("model file '" + path + "' does not load: " + one_line(error));
  }
}

}  // namespace e3md

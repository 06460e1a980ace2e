#include "gpu/radial_kernels.h"

#include <algorithm>
#include <list>
#include <map>
#include <mutex>

#include "common/reference.h"
#include "gpu/compiler.h"

namespace e3md::gpu {
namespace {

/// The index that driver and torch count a GPU by.
int index_of(const at::Tensor& x) { return x.is_cuda() ? x.device().index() : 0; }

/// One for each text and GPU. What the cache held may be damaged: then it is made anew.
std::shared_ptr<const Module> module_of(const std::string& text, int index) {
  static std::map<std::pair<std::string, int>, std::shared_ptr<const Module>> modules;
  std::shared_ptr<const Module>& module = modules[{text, index}];
  if (module) return module;
  const Device& device = Device::get(index);
  try {
    module = std::make_shared<Module>(compiled(text, device.capability()), device);
  } catch (const c10::Error&) {
    module = std::make_shared<Module>(compiled_anew(text, device.capability()), device);
  }
  return module;
}

/// What kernels were made for: tensors that are told apart by which they are, not by their numbers.
struct Key {
  std::vector<at::Tensor> tables;  ///< all but the values
  std::vector<int64_t> versions;   ///< how often they were written
  std::vector<int64_t> numbers;

  Key(at::TensorList list, const std::vector<int64_t>& others)
      : tables(list.begin() + 1, list.end()), numbers(others) {
    for (const at::Tensor& table : tables)
      versions.push_back(table.is_inference() ? 0 : table._version());
  }

  bool operator==(const Key& other) const {
    return numbers == other.numbers && versions == other.versions &&
           std::equal(tables.begin(), tables.end(), other.tables.begin(), other.tables.end(),
                      [](const at::Tensor& a, const at::Tensor& b) { return a.is_same(b); });
  }
};

using Shared = std::shared_ptr<const RadialKernels>;

Shared make(at::TensorList list, bool solid, int64_t dim_in, int64_t dim_out, int64_t n_gradients) {
  std::vector<at::Tensor> host = on_host(list.slice(1));
  host.insert(host.begin(), list[0]);
  const RadialTables tables(host);
  const bool float64 = list[0].scalar_type() == at::kDouble;
  Specialised made = specialise(tables, solid, dim_in, dim_out, n_gradients, float64);
  const auto module = module_of(made.text, index_of(list[0]));
  return std::make_shared<RadialKernels>(
      RadialKernels{std::move(made), module, tables.table_of_pair.to(list[0].device()),
                    tables.first, tables.spacing, tables.doubled});
}

}  // namespace

Shared RadialKernels::of(at::TensorList tables, bool solid, int64_t dim_in, int64_t dim_out,
                         int64_t n_gradients) {
  constexpr size_t kMost = 64;  // layers of models in use
  static std::mutex mutex;
  static std::list<std::pair<Key, Shared>> known;  // the latest first
  TORCH_CHECK(tables.size() == 8, "edge_conv_radial: expected 8 tables, not ", tables.size());
  const at::Tensor& values = tables[0];
  const Key key(tables, {solid, dim_in, dim_out, n_gradients, int64_t(values.scalar_type()),
                         index_of(values), values.size(0)});
  const std::lock_guard lock(mutex);
  auto found = std::find_if(known.begin(), known.end(),
                            [&](const auto& entry) { return entry.first == key; });
  if (found == known.end()) {
    known.emplace_front(key, make(tables, solid, dim_in, dim_out, n_gradients));
    if (known.size() > kMost) known.pop_back();
  } else {
    known.splice(known.begin(), known, found);
  }
  return known.front().second;
}

}  // namespace e3md::gpu

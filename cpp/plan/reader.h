#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/table.h"
#include "plan/step.h"

// The text of a plan, checked: python/e3md/model/plan.py writes it.

namespace e3md::plan {

/// A tensor of the model by its name, in the precision of the run.
using Tensors = std::function<at::Tensor(const std::string&)>;

/// What all steps of a plan are read with.
struct Context {
  std::vector<Register> registers;
  Tensors tensors;
  int64_t n_species = 0;
  int64_t n_members = 1;
  std::vector<int64_t> in_use;  ///< species that will be evaluated
};

/// One step of the text. Everything throws std::runtime_error, naming the step and the key.
class Reader {
 public:
  Reader(const nlohmann::json& step, size_t number, const Context& context)
      : context(context), step_(step), number_(number) {}

  const Context& context;

  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error("step " + std::to_string(number_) + " of its plan, " + kind() + ": " +
                             why);
  }
  void require(bool holds, const char* why) const {
    if (!holds) fail(why);
  }

  std::string kind() const { return text("step"); }

  const nlohmann::json& at(const char* key) const {
    const auto found = step_.is_object() ? step_.find(key) : step_.end();
    if (!step_.is_object() || found == step_.end())
      throw std::runtime_error("step " + std::to_string(number_) + " of its plan has no " + key);
    return *found;
  }
  bool has(const char* key) const {
    return step_.is_object() && step_.contains(key) && !step_[key].is_null();
  }
  std::string text(const char* key) const {
    const auto& value = at(key);
    if (!value.is_string()) throw std::runtime_error(std::string(key) + " of its plan is no text");
    return value.get<std::string>();
  }
  int64_t integer(const nlohmann::json& value, const char* key, int64_t least, int64_t most) const {
    if (!value.is_number_integer()) fail(std::string(key) + " is no integer");
    const auto n = value.get<int64_t>();
    if (n < least || n > most) fail(std::string(key) + " is out of range");
    return n;
  }
  int64_t integer(const char* key, int64_t least, int64_t most) const {
    return integer(at(key), key, least, most);
  }
  double number(const char* key) const {
    if (!at(key).is_number()) fail(std::string(key) + " is no number");
    return at(key).get<double>();
  }
  bool flag(const char* key) const {
    if (!at(key).is_boolean()) fail(std::string(key) + " is neither true nor false");
    return at(key).get<bool>();
  }
  const nlohmann::json& list(const char* key) const {
    if (!at(key).is_array()) fail(std::string(key) + " is no list");
    return at(key);
  }
  std::vector<double> numbers(const char* key) const {
    std::vector<double> found;
    for (const auto& value : list(key)) {
      if (!value.is_number()) fail(std::string(key) + " holds something else than numbers");
      found.push_back(value.get<double>());
    }
    return found;
  }
  std::vector<int64_t> integers(const char* key, int64_t least, int64_t most) const {
    std::vector<int64_t> found;
    for (const auto& value : list(key)) found.push_back(integer(value, key, least, most));
    return found;
  }

  /// Columns of a register, as [register, offset, width].
  Place place(const char* key) const {
    const auto n = integers(key, 0, kMaxColumns);
    require(n.size() == 3 && n[0] < static_cast<int64_t>(context.registers.size()) &&
                n[1] + n[2] <= context.registers[n[0]].width,
            "columns outside of a register");
    return {n[0], n[1], n[2]};
  }
  const Register& register_of(const Place& place) const { return context.registers[place.number]; }
  bool is_whole(const Place& place) const {
    return place.offset == 0 && place.width == register_of(place).width;
  }

  at::Tensor tensor(const char* key) const { return named(at(key), key); }
  std::vector<at::Tensor> tensors(const char* key) const {
    std::vector<at::Tensor> found;
    for (const auto& name : list(key)) found.push_back(named(name, key));
    return found;
  }
  at::Tensor named(const nlohmann::json& name, const char* key) const {
    if (!name.is_string()) fail(std::string(key) + " names no tensor");
    const at::Tensor found = context.tensors(name.get<std::string>());
    if (!found.defined()) fail("the model has no tensor " + name.get<std::string>());
    return found.contiguous();
  }
  /// Floating numbers of a tensor, of n of them.
  template <class T>
  std::vector<T> values(const char* key, int64_t n) const {
    return values<T>(tensor(key), key, n);
  }
  template <class T>
  std::vector<T> values(const at::Tensor& tensor, const char* key, int64_t n) const {
    if (tensor.numel() != n || !tensor.is_floating_point())
      fail(std::string(key) + " has another size");
    const at::Tensor cast = tensor.to(sizeof(T) == 4 ? at::kFloat : at::kDouble).contiguous();
    return {cast.const_data_ptr<T>(), cast.const_data_ptr<T>() + n};
  }

 private:
  const nlohmann::json& step_;
  size_t number_;
};

template <class T>
std::unique_ptr<Step<T>> make_linear(const Reader& reader);
template <class T>
std::unique_ptr<Step<T>> make_convolution(const Reader& reader);
template <class T>
std::unique_ptr<Step<T>> make_exchange(const Reader& reader);
template <class T>
std::unique_ptr<Step<T>> make_product(const Reader& reader);
template <class T>
std::unique_ptr<Step<T>> make_repulsion(const Reader& reader);
/// Null: of a kind that is not known.
template <class T>
std::unique_ptr<Step<T>> make_row_step(const Reader& reader);

}  // namespace e3md::plan

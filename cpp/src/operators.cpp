#include "operators.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>

#include <map>
#include <set>
#include <stdexcept>

#include "allowed_operators.h"

namespace e3md {
namespace {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;

/// Nodes that one call may run, loops counted once: the largest exported committee has some 1e5.
constexpr int64_t kMostNodes = 20'000'000;

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw std::runtime_error("its code " + where + " has " + what);
}

/// "aten::add.Tensor", or the name alone of what has no schema.
std::string full_name(const Node& node) {
  const auto* schema = node.maybeSchema();
  if (!schema) return node.kind().toQualString();
  return schema->name() + (schema->overload_name().empty() ? "" : "." + schema->overload_name());
}

class Checker {
 public:
  explicit Checker(const torch::jit::Module& module) {
    const auto unit = module._ivalue()->compilation_unit();
    for (torch::jit::Function* function : unit->get_functions())
      for (const Node* node : nodes_of(*function))
        if (node->kind() == c10::prim::SetAttr) written_.insert(node->s(c10::attr::name));
    for (torch::jit::Function* function : unit->get_functions()) cost_of(*function);
  }

 private:
  static const torch::jit::Graph& graph_of(torch::jit::Function& function) {
    auto* with_graph = torch::jit::tryToGraphFunction(function);
    if (!with_graph) fail(function.qualname().qualifiedName(), "a function without code");
    function.ensure_defined();
    return *with_graph->graph();
  }

  static std::vector<const Node*> nodes_of(torch::jit::Function& function) {
    std::vector<const Node*> nodes;
    std::vector<const Block*> blocks{graph_of(function).block()};
    while (!blocks.empty()) {
      const Block* block = blocks.back();
      blocks.pop_back();
      for (const Node* node : block->nodes()) {
        nodes.push_back(node);
        blocks.insert(blocks.end(), node->blocks().begin(), node->blocks().end());
      }
    }
    return nodes;
  }

  /// Checks a function once; the nodes it may run, calls included.
  int64_t cost_of(torch::jit::Function& function) {
    const auto known = costs_.find(&function);
    const std::string name = function.qualname().qualifiedName();
    if (known != costs_.end()) {
      if (known->second < 0) fail(name, "a function that calls itself");
      return known->second;
    }
    costs_[&function] = -1;
    int64_t cost = 0;
    for (const Node* node : nodes_of(function)) {
      check_node(*node, name);
      cost += 1 + cost_of_call(*node, name);
      if (cost > kMostNodes) fail(name, "more calls within calls than any model needs");
    }
    return costs_[&function] = cost;
  }

  int64_t cost_of_call(const Node& node, const std::string& where) {
    if (node.kind() == c10::prim::CallFunction)
      return cost_of(*node.input(0)->type()->expect<c10::FunctionType>()->function());
    if (node.kind() != c10::prim::CallMethod) return 0;
    const std::string& name = node.s(c10::attr::name);
    const auto type = node.input(0)->type()->cast<c10::ClassType>();
    if (!type) fail(where, "the call " + name + " of something that is no module");
    return cost_of(type->getMethod(name));
  }

  void check_node(const Node& node, const std::string& where) const {
    const std::string name = full_name(node);
    if (!kAllowedOperators.count(name))
      fail(where, "the operator " + name + ", which no model needs");
    if (node.kind() == c10::prim::Loop && !is_counted(node))
      fail(where, "a loop (prim::Loop) over something else than a list or tensor of the file");
  }

  /// Whether a loop ends: `for` over what the file holds, or `while` an index that every round
  /// raises by one is below such a number (what torch makes of a `for` with `continue`).
  bool is_counted(const Node& loop) const {
    if (is_size(loop.input(0))) return true;
    const Block& body = *loop.blocks().at(0);
    const Value* condition = body.outputs().at(0);
    if (condition->node()->kind() == c10::aten::__and__) {
      const auto inputs = condition->node()->inputs();
      return is_below(inputs[0], loop) || is_below(inputs[1], loop);
    }
    return is_below(condition, loop);
  }

  /// value: "index < size", where index is a variable of the loop plus one.
  bool is_below(const Value* value, const Node& loop) const {
    const Node* compared = value->node();
    if (compared->kind() != c10::aten::lt || !is_size(compared->input(1))) return false;
    const Value* next = compared->input(0);
    if (next->node()->kind() != c10::aten::add) return false;
    const Block& body = *loop.blocks().at(0);
    for (size_t k = 1; k < body.outputs().size(); ++k)  // outputs: condition, variables
      if (body.outputs()[k] == next && next->node()->input(0) == body.inputs()[k])
        return torch::jit::toIValue(next->node()->input(1)) == c10::IValue(1);
    return false;
  }

  /// A number of things that the file holds: rows of a tensor, items of a list, species.
  bool is_size(const Value* value) const {
    const Node* node = value->node();
    const std::string name = full_name(*node);
    if (name == "prim::min.self_int" || name == "prim::min.int_list" || name == "prim::min") {
      if (node->inputs().size() == 2) return is_size(node->input(0)) || is_size(node->input(1));
      for (const Value* item : items_of(node->input(0)))
        if (is_size(item)) return true;
      return false;
    }
    if (name == "aten::__range_length") return is_size(node->input(1)) && is_one(node->input(2));
    if (name == "aten::__getitem__.t") return is_sizes(node->input(0));
    if (name == "aten::len.t") return is_list(node->input(0));
    return false;
  }

  static bool is_one(const Value* value) { return torch::jit::toIValue(value) == c10::IValue(1); }

  static std::vector<const Value*> items_of(const Value* list) {
    if (list->node()->kind() != c10::prim::ListConstruct) return {};
    const auto inputs = list->node()->inputs();
    return {inputs.begin(), inputs.end()};
  }

  bool is_sizes(const Value* value) const {
    return value->node()->kind() == c10::aten::size && is_attribute(value->node()->input(0));
  }

  /// An attribute, an argument, or the numbers or rows of a tensor as a list: not one written in
  /// the code.
  bool is_list(const Value* value) const {
    const Node* node = value->node();
    return is_attribute(value) || node->kind() == c10::prim::Param ||
           node->kind() == c10::prim::tolist || node->kind() == c10::aten::unbind ||
           is_collected(value);
  }

  /// A list that begins empty and to which this block itself, no loop, appends.
  static bool is_collected(const Value* list) {
    const Node* node = list->node();
    if (node->kind() != c10::prim::ListConstruct || !node->inputs().empty()) return false;
    for (const auto& use : list->uses()) {
      const auto kind = use.user->kind();
      const bool appends = kind == c10::aten::append && use.offset == 0 &&
                           use.user->owningBlock() == node->owningBlock();
      if (!appends && kind != c10::aten::len && kind != c10::aten::__getitem__) return false;
    }
    return true;
  }

  bool is_attribute(const Value* value) const {
    const Node* node = value->node();
    return node->kind() == c10::prim::GetAttr && !written_.count(node->s(c10::attr::name));
  }

  std::set<std::string> written_;  // attributes that the code itself sets
  std::map<torch::jit::Function*, int64_t> costs_;
};

}  // namespace

bool is_allowed_operator(const std::string& name) {
  const auto found = kAllowedOperators.lower_bound(name);
  return found != kAllowedOperators.end() &&
         (*found == name || found->compare(0, name.size() + 1, name + ".") == 0);
}

void check_operators(const torch::jit::Module& module) { const Checker checked(module); }

}  // namespace e3md

#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>

namespace e3md {

/// Reads the texts of a model file's code before torch compiles them. Compiling may run what has
/// only constants, values of defaults and `__setstate__`; so nothing of these is let through, and
/// no operator that is not allowed. The compiled graphs are checked exactly afterwards
/// (operators.h): this reading may refuse more than it must, not less.
class CodeText {
 public:
  /// allowed: whether an operator such as "aten::add" may be used.
  explicit CodeText(std::function<bool(const std::string&)> allowed)
      : allowed_(std::move(allowed)) {}

  /// texts: by name. Throws std::runtime_error naming what is refused first, and where.
  void check(const std::map<std::string, std::string>& texts);

 private:
  friend class CodeReader;
  std::function<bool(const std::string&)> allowed_;
  std::set<std::string> defined_;  // functions, methods and classes of these texts
};

}  // namespace e3md

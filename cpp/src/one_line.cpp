#include "one_line.h"

#include <c10/util/Exception.h>

namespace e3md {

std::string one_line(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  std::string text = torch_error ? torch_error->what_without_backtrace() : error.what();
  // TorchScript puts the cause last, after a listing of the model's code.
  const std::string mark = "Error: ";
  const size_t found = text.rfind("\nRuntimeError: ");
  if (found != std::string::npos) text = text.substr(text.find(mark, found) + mark.size());
  return text.substr(0, text.find('\n'));
}

}  // namespace e3md

#pragma once
#include <exception>
#include <string>

namespace e3md {

/// The cause of what torch threw, without the call stacks that it appends.
std::string one_line(const std::exception& error);

}  // namespace e3md

#include "common/copies.h"

namespace e3md {

thread_local int64_t CopiesScope::current_ = 1;

}  // namespace e3md

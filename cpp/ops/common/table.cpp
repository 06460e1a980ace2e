#include "common/table.h"

namespace e3md {

void check_types(const char* op, const at::Tensor& types, int64_t n_types) {
  const int64_t* type = types.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < types.numel(); ++i)
    TORCH_CHECK(type[i] >= 0 && type[i] < n_types, op, ": atom ", i, " has type ", type[i],
                ", expected 0 to ", n_types - 1);
}

at::Tensor host_table(const char* op, const char* name, const at::Tensor& table, int64_t n_fields) {
  TORCH_CHECK(table.defined() && table.scalar_type() == at::kLong && table.device().is_cpu() &&
                  (table.numel() == 0 || (table.dim() == 2 && table.size(1) == n_fields)),
              op, ": ", name, " must be int64 (n, ", n_fields, ") on the host, not ",
              table.scalar_type(), " ", table.sizes());
  // Before the copy: rows of a strided tensor may all be one and the same.
  check_size(op, name, table.numel() / n_fields, 0, kMaxRows);
  return table.contiguous();
}

at::Tensor host_numbers(const char* op, const char* name, const at::Tensor& numbers, int64_t n) {
  TORCH_CHECK(numbers.defined() && numbers.scalar_type() == at::kDouble &&
                  numbers.device().is_cpu() && numbers.numel() == n,
              op, ": ", name, " must be float64 (", n, ") on the host, not ", numbers.scalar_type(),
              " ", numbers.sizes());
  return numbers.contiguous();
}

}  // namespace e3md

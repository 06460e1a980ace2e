#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>

// How the ops read what they are told in integers: a table is a tensor int64 (n, fields), read in
// place as rows with named fields; the order of the fields is written in the row's struct alone.
// Tables come with model files, so that whoever reads one checks every entry.

namespace e3md {

/// Beyond any model, and small enough that offset + count * stride of such numbers overflows no
/// int64, and that one wrong number asks for no memory that a machine lacks.
inline constexpr int64_t kMaxColumns = 1 << 24;  ///< of features, weights, a result
inline constexpr int64_t kMaxRows = 1 << 20;     ///< of a table
inline constexpr int64_t kMaxNodes = 1 << 28;

/// `value` of a field in row `row` must lie in [least, most].
inline void check_entry(const char* op, const char* table, int64_t row, const char* field,
                        int64_t value, int64_t least, int64_t most) {
  TORCH_CHECK(least <= value && value <= most, op, ": ", field, " of ", table, "[", row, "] is ",
              value, ", expected ", least, " to ", most);
}

/// An argument that is one number must lie in [least, most].
inline void check_size(const char* op, const char* name, int64_t value, int64_t least,
                       int64_t most) {
  TORCH_CHECK(least <= value && value <= most, op, ": ", name, " is ", value, ", expected ", least,
              " to ", most);
}

/// `types`, int64 (n) and contiguous, must all lie in [0, n_types).
void check_types(const char* op, const at::Tensor& types, int64_t n_types);

/// A table, contiguous on the host; empty ones may have any shape.
at::Tensor host_table(const char* op, const char* name, const at::Tensor& table, int64_t n_fields);

/// Numbers that stay float64 (n), contiguous on the host.
at::Tensor host_numbers(const char* op, const char* name, const at::Tensor& numbers, int64_t n);

/// Rows of a table. Row: a struct of int64_t alone.
template <class Row>
class Table {
 public:
  Table(const char* op, const char* name, const at::Tensor& table)
      : tensor_(host_table(op, name, table, kFields)),
        rows_(reinterpret_cast<const Row*>(tensor_.const_data_ptr<int64_t>())),
        size_(tensor_.numel() / kFields) {}

  int64_t size() const { return size_; }
  const Row* begin() const { return rows_; }
  const Row* end() const { return rows_ + size_; }
  const Row& operator[](int64_t n) const { return rows_[n]; }

 private:
  static constexpr int64_t kFields = sizeof(Row) / sizeof(int64_t);
  at::Tensor tensor_;
  const Row* rows_;  // kept: a tensor asked for its memory compares types every time
  int64_t size_;
};

}  // namespace e3md

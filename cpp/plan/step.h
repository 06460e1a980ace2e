#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plan/run.h"

namespace e3md::plan {

/// Where a step reads or writes. Each register is written, and its gradient made, by one step or by
/// several that add to it: whoever comes first need not add, but clears what it leaves out.
struct Operand {
  Place place;
  bool active = false;  ///< read: gradients go to it
  bool first = false;   ///< write without adding; read: its gradient likewise
  bool clears = false;  ///< first, but of a part of the register
  bool adds() const { return !first; }
};

/// One step of a model, and its hand-written reverse.
template <class T>
class Step {
 public:
  virtual ~Step() = default;

  std::string kind;   ///< as the text calls it
  size_t number = 0;  ///< in the order of evaluation
  std::vector<Operand> reads;
  std::vector<Operand> writes;  ///< none or one
  bool goes_back = true;        ///< takes part in the reverse

  /// Rows of what it writes. Whole steps get all rows at once, outside of slices.
  virtual void forward(const Run<T>& run, const Slice<T>& rows) const = 0;
  /// Of what the reads that are active get from the gradient of what it wrote.
  virtual void reverse(const Run<T>& run, const Slice<T>& rows) const = 0;

  /// Between slices: it needs rows of other atoms.
  virtual bool is_whole() const { return false; }
  /// Depends on edge vectors themselves.
  virtual bool reads_edges() const { return false; }
  /// Its results cannot be added to others, nor its gradients.
  virtual bool overwrites() const { return false; }
  /// Elements of scratch memory for slices of n rows.
  virtual int64_t scratch_size(int64_t n) const {
    (void)n;
    return 0;
  }

 protected:
  kernels::Rows<const T> input(const Run<T>& run, size_t k, int64_t row) const {
    return read_only(run.value(reads[k].place, row));
  }
  kernels::Target<T> output(const Run<T>& run, int64_t row) const {
    return {run.value(writes[0].place, row), writes[0].adds()};
  }
  kernels::Rows<const T> cotangent(const Run<T>& run, int64_t row) const {
    return read_only(run.gradient(writes[0].place, row));
  }
  kernels::Target<T> to_input(const Run<T>& run, size_t k, int64_t row) const {
    return {run.gradient(reads[k].place, row), reads[k].adds()};
  }
};

template <class T>
using Steps = std::vector<std::unique_ptr<Step<T>>>;

}  // namespace e3md::plan

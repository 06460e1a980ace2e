// ghost_exchange with a communicator: ghosts filled from their owners, and the exact adjoint.
#include <torch/autograd.h>
#include <torch/types.h>

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "e3md/ghost_exchange.h"

namespace {

#define REQUIRE(condition)                                                           \
  do {                                                                               \
    if (!(condition)) {                                                              \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                  \
    }                                                                                \
  } while (0)

/// All ghosts are images of local atoms: ghost k copies row owner[k].
class ImageExchanger : public e3md::GhostExchanger {
 public:
  ImageExchanger(int64_t n_local, std::vector<int64_t> owner)
      : n_local_(n_local), owner_(std::move(owner)) {}
  void forward(double* rows, int64_t width) override { fill(rows, width); }
  void forward(float* rows, int64_t width) override { fill(rows, width); }
  void reverse(double* rows, int64_t width) override { add(rows, width); }
  void reverse(float* rows, int64_t width) override { add(rows, width); }
  int n_calls = 0;

 private:
  template <class T>
  void fill(T* rows, int64_t width) {
    ++n_calls;
    for (size_t k = 0; k < owner_.size(); ++k)
      for (int64_t c = 0; c < width; ++c)
        rows[(n_local_ + k) * width + c] = rows[owner_[k] * width + c];
  }
  template <class T>
  void add(T* rows, int64_t width) {
    ++n_calls;
    for (size_t k = 0; k < owner_.size(); ++k)
      for (int64_t c = 0; c < width; ++c)
        rows[owner_[k] * width + c] += rows[(n_local_ + k) * width + c];
  }
  int64_t n_local_;
  std::vector<int64_t> owner_;
};

at::Tensor exchange(const at::Tensor& h, int64_t n_nodes) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("e3md::ghost_exchange", "")
      .typed<at::Tensor(const at::Tensor&, int64_t)>()
      .call(h, n_nodes);
}

void test_values_and_derivatives(at::ScalarType dtype) {
  ImageExchanger exchanger(3, {2, 0, 2, 1});
  const e3md::GhostExchangeScope scope(&exchanger, 3, 7);
  const auto index = torch::tensor({0, 1, 2, 2, 0, 2, 1}, at::kLong);
  const auto u = torch::randn({7, 4}, dtype), v = torch::randn({3, 4}, dtype);
  auto h = torch::randn({3, 4}, dtype).requires_grad_();
  auto copy = h.detach().clone().requires_grad_();
  const auto ours = exchange(h, 7), expected = copy.index_select(0, index);
  REQUIRE(at::equal(ours, expected));
  // First derivative, then the derivative of that: both against index_select's own.
  using torch::autograd::grad;
  const auto first = grad({(ours.pow(3) * u).sum()}, {h}, {}, true, true)[0];
  const auto first_expected = grad({(expected.pow(3) * u).sum()}, {copy}, {}, true, true)[0];
  REQUIRE(at::allclose(first, first_expected));
  const auto second = grad({(first * v).sum()}, {h})[0];
  const auto second_expected = grad({(first_expected * v).sum()}, {copy})[0];
  REQUIRE(at::allclose(second, second_expected));
  REQUIRE(exchanger.n_calls == 4);
}

void test_called_without_ghosts_and_without_atoms() {
  ImageExchanger exchanger(0, {});
  const e3md::GhostExchangeScope scope(&exchanger, 0, 0);
  auto h = torch::zeros({0, 5}, at::kDouble).requires_grad_();
  const auto rows = exchange(h, 0);  // collective: other ranks wait for this one
  REQUIRE(exchanger.n_calls == 1 && rows.size(0) == 0 && rows.size(1) == 5);
  rows.sum().backward();
  REQUIRE(exchanger.n_calls == 2 && h.grad().size(1) == 5);
}

void test_zero_width() {
  ImageExchanger exchanger(2, {1});
  const e3md::GhostExchangeScope scope(&exchanger, 2, 3);
  REQUIRE(exchange(torch::zeros({2, 0}), 3).size(0) == 3);
}

bool refuses(int64_t n_local, int64_t n_nodes) {
  try {
    exchange(torch::zeros({n_local, 1}), n_nodes);
  } catch (const c10::Error&) {
    return true;
  }
  return false;
}

/// The exchanger writes rows of the host's atoms, whatever the model asked for.
void test_other_numbers_of_rows_are_refused() {
  ImageExchanger exchanger(2, {1, 0});
  const e3md::GhostExchangeScope scope(&exchanger, 2, 4);
  REQUIRE(!refuses(2, 4));
  REQUIRE(refuses(2, 3) && refuses(2, 5) && refuses(1, 4) && refuses(3, 4));
  REQUIRE(exchanger.n_calls == 1);
}

void test_scope_ends() {
  {
    ImageExchanger exchanger(1, {0});
    const e3md::GhostExchangeScope scope(&exchanger, 1, 2);
    exchange(torch::zeros({1, 1}), 2);
  }
  REQUIRE(refuses(1, 2));
}

void test_threads_do_not_see_each_others_exchanger() {
  ImageExchanger exchanger(1, {0});
  const e3md::GhostExchangeScope scope(&exchanger, 1, 2);
  std::thread([] {
    REQUIRE(refuses(1, 2));   // nothing is lent here
    REQUIRE(!refuses(5, 5));  // and nobody's sizes hold
  }).join();
  REQUIRE(exchanger.n_calls == 0);
}

/// As with a GPU, whose backward pass runs in a thread of autograd's.
void test_backward_in_another_thread() {
  ImageExchanger exchanger(2, {1});
  const e3md::GhostExchangeScope scope(&exchanger, 2, 3);
  auto h = torch::ones({2, 1}, at::kDouble).requires_grad_();
  const auto rows = exchange(h, 3);
  std::thread([&] { rows.sum().backward(); }).join();
  REQUIRE(exchanger.n_calls == 2);
  REQUIRE(at::equal(h.grad(), torch::tensor({{1.0}, {2.0}}, at::kDouble)));
}

}  // namespace

int main() {
  test_values_and_derivatives(at::kDouble);
  test_values_and_derivatives(at::kFloat);
  test_called_without_ghosts_and_without_atoms();
  test_zero_width();
  test_other_numbers_of_rows_are_refused();
  test_scope_ends();
  test_threads_do_not_see_each_others_exchanger();
  test_backward_in_another_thread();
}

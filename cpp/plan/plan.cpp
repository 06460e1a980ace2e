// Runs the steps of a plan, slice by slice, forwards and backwards.
#include "plan/plan.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <numeric>

#include "common/edges.h"
#include "e3md/error.h"
#include "plan/build.h"

namespace e3md::plan {
namespace {

constexpr int64_t kSlice = 64;  ///< rows that go through the steps together, in the cache

/// Memory of one evaluation at a time, kept from one to the next.
template <class T>
struct Workspace {
  std::unique_ptr<T[]> arena;
  size_t size = 0;
  std::vector<T> edge_vec, grad_vec;
  std::vector<int64_t> owner_begin, order;
  std::vector<Group> groups;
  std::vector<size_t> group_begin;  ///< of each slice
  T* scratch = nullptr;             ///< of all threads, in the arena

  T* at_least(size_t n) {
    if (n > size) {
      arena.reset(new T[n]);
      size = n;
    }
    return arena.get();
  }
};

/// Adds the time of its life to that of a step.
class Stopwatch {
 public:
  template <class T>
  Stopwatch(const Run<T>& run, const Step<T>& step, double StepTime::* part) {
    if (!run.times) return;
    StepTime& time = (*run.times)[step.number];
    time.kind = step.kind;
    sum_ = &(time.*part);
    begin_ = Clock::now();
  }
  ~Stopwatch() {
    if (sum_) *sum_ += std::chrono::duration<double>(Clock::now() - begin_).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  double* sum_ = nullptr;
  Clock::time_point begin_;
};

template <class T>
class PlanOf final : public Plan {
 public:
  explicit PlanOf(Sequence<T> sequence, int64_t n_steps)
      : sequence_(std::move(sequence)), n_steps_(n_steps) {
    for (const Phase<T>& phase : sequence_.phases)
      for (const auto& step : phase.sliced)
        scratch_size_ = std::max(scratch_size_, step->scratch_size(kSlice));
  }

  int64_t n_members() const override { return sequence_.n_members; }
  size_t n_steps() const override { return n_steps_; }

  Outcome evaluate(const Graph& graph, bool apart, GhostExchanger* exchanger) const override {
    if (sequence_.exchanges && !exchanger && graph.n_nodes != graph.n_local)
      throw Error(no_exchanger(graph.n_nodes - graph.n_local));
    return evaluate(graph, apart ? sequence_.n_members : 1, exchanger, nullptr);
  }

  std::vector<StepTime> time(const Graph& graph) const override {
    std::vector<StepTime> times(sequence_.n_evaluated);
    evaluate(graph, 1, nullptr, &times);
    return times;
  }

 private:
  const Sequence<T> sequence_;
  const size_t n_steps_;
  int64_t scratch_size_ = 0;  ///< of each thread
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace<T>>> idle_;

  std::unique_ptr<Workspace<T>> take() const {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Workspace<T>>();
    auto work = std::move(idle_.back());
    idle_.pop_back();
    return work;
  }

  Outcome evaluate(const Graph& graph, int64_t n_gradients, GhostExchanger* exchanger,
                   std::vector<StepTime>* times) const {
    std::unique_ptr<Workspace<T>> work = take();
    Outcome outcome = evaluate(graph, n_gradients, exchanger, times, *work);
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(work));
    return outcome;
  }

  Outcome evaluate(const Graph& graph, int64_t n_gradients, GhostExchanger* exchanger,
                   std::vector<StepTime>* times, Workspace<T>& work) const {
    Outcome outcome{sequence_.n_members, {}, {}};
    outcome.energies.resize(graph.n_local * sequence_.n_members);
    Run<T> run = prepare(graph, n_gradients, work);
    run.energies = outcome.energies.data();
    run.exchanger = exchanger;
    run.times = times;
    const int n_threads = times ? 1 : threads_for(graph.n_local);
    place_registers(run, n_threads, work);
    sort_slices(graph, n_threads, work);
    for (const Phase<T>& phase : sequence_.phases) forward(run, phase, n_threads, work);
    for (auto phase = sequence_.phases.rbegin(); phase != sequence_.phases.rend(); ++phase)
      reverse(run, *phase, n_threads, work);
    outcome.g.assign(work.grad_vec.begin(), work.grad_vec.end());
    return outcome;
  }

  static int threads_for(int64_t n_local) {
    return static_cast<int>(std::clamp<int64_t>(n_local / 8, 1, loop_threads()));
  }

  Run<T> prepare(const Graph& graph, int64_t n_gradients, Workspace<T>& work) const {
    Run<T> run;
    run.n_local = graph.n_local, run.n_nodes = graph.n_nodes, run.n_edges = graph.n_edges();
    run.types = graph.types.data();
    run.neighbor = graph.edge_j.data();
    run.n_gradients = n_gradients;
    run.registers = &sequence_.registers;
    work.edge_vec.assign(graph.edge_vec.begin(), graph.edge_vec.end());
    work.grad_vec.assign(n_gradients * graph.edge_vec.size(), T(0));
    work.owner_begin.assign(graph.n_local + 1, 0);
    int64_t previous = 0;
    for (const int64_t i : graph.edge_i) {
      if (i < previous) throw Error("the edges of the graph are not sorted by receiver");
      ++work.owner_begin[(previous = i) + 1];
    }
    for (int64_t i = 0; i < graph.n_local; ++i) work.owner_begin[i + 1] += work.owner_begin[i];
    run.owner_begin = work.owner_begin.data();
    run.edge_vec = work.edge_vec.data();
    run.grad_vec = work.grad_vec.data();
    return run;
  }

  /// Memory for the values and gradients of all registers, and for the steps.
  void place_registers(Run<T>& run, int n_threads, Workspace<T>& work) const {
    const auto n = sequence_.registers.size();
    std::vector<size_t> begin;
    size_t size = 0;
    const auto reserve = [&](size_t numbers) {
      begin.push_back(size);
      size += (numbers + 15) / 16 * 16;
    };
    size_t widest = 0;
    for (const Phase<T>& phase : sequence_.phases)
      if (phase.gathered >= 0)
        widest = std::max<size_t>(widest, run.n_nodes * sequence_.registers[phase.gathered].width);
    for (const Register& one : sequence_.registers) {
      const size_t rows = one.kind == Kind::local   ? run.n_local
                          : one.kind == Kind::nodes ? run.n_nodes
                                                    : 0;
      reserve(rows * one.width);
      reserve(one.active ? rows * one.width : 0);
    }
    for (int t = 1; t < n_threads; ++t) reserve(widest);
    reserve(n_threads * scratch_size_);
    T* arena = work.at_least(size);
    for (size_t k = 0; k < n; ++k) {
      const bool constant = sequence_.registers[k].kind == Kind::species;
      run.values.push_back(constant ? const_cast<T*>(sequence_.constants[k].data())
                                    : arena + begin[2 * k]);
      run.gradients.push_back(arena + begin[2 * k + 1]);
    }
    for (int t = 1; t < n_threads; ++t) run.copies.push_back(arena + begin[2 * n + t - 1]);
    work.scratch = arena + begin.back();
  }

  /// The slices of each thread, one after the other, and the rows of each by species.
  static void sort_slices(const Graph& graph, int n_threads, Workspace<T>& work) {
    work.order.resize(graph.n_local);
    work.groups.clear();
    work.group_begin.assign(1, 0);
    for (int t = 0; t < n_threads; ++t)
      for_slices(graph.n_local, t, n_threads, [&](int64_t begin, int64_t end) {
        const auto first = work.order.begin() + begin, last = work.order.begin() + end;
        std::iota(first, last, begin);
        const auto type = [&](int64_t i) { return graph.types[i]; };
        std::stable_sort(first, last, [&](int64_t a, int64_t b) { return type(a) < type(b); });
        for (int64_t k = begin; k < end; ++k) {
          const int64_t species = type(work.order[k]);
          if (k == begin || species != work.groups.back().species)
            work.groups.push_back({species, k - begin, k - begin});
          ++work.groups.back().end;
        }
        work.group_begin.push_back(work.groups.size());
      });
  }

  template <class Body>
  static void for_slices(int64_t n, int64_t thread, int64_t n_threads, Body body) {
    const int64_t end = n * (thread + 1) / n_threads;
    for (int64_t begin = n * thread / n_threads; begin < end; begin += kSlice)
      body(begin, std::min(end, begin + kSlice));
  }

  static int64_t slices_before(int64_t n, int64_t thread, int64_t n_threads) {
    int64_t count = 0;
    for (int64_t t = 0; t < thread; ++t)
      for_slices(n, t, n_threads, [&](int64_t, int64_t) { ++count; });
    return count;
  }

  static Slice<T> all_rows(int64_t n) { return {0, n, nullptr, nullptr, 0, nullptr, 0}; }

  /// Runs `body(slice)` over all slices, each thread its own.
  template <class Body>
  void for_all(const Run<T>& run, int n_threads, const Workspace<T>& work, Body body) const {
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
      const int64_t thread = omp_get_thread_num();
      T* scratch = work.scratch + thread * scratch_size_;
      auto number = slices_before(run.n_local, thread, n_threads);
      for_slices(run.n_local, thread, n_threads, [&](int64_t begin, int64_t end) {
        const size_t group = work.group_begin[number];
        const auto n_groups = static_cast<int64_t>(work.group_begin[++number] - group);
        body(Slice<T>{begin, end, work.order.data() + begin, work.groups.data() + group, n_groups,
                      scratch, thread});
      });
    }
  }

  void clear(const Run<T>& run, const std::vector<T*>& of, const Operand& operand,
             const Slice<T>& rows) const {
    if (!operand.clears) return;
    const int64_t width = run.stride(operand.place);
    std::memset(of[operand.place.number] + rows.begin * width, 0, rows.size() * width * sizeof(T));
  }

  void forward(const Run<T>& run, const Phase<T>& phase, int n_threads,
               const Workspace<T>& work) const {
    for (const auto& step : phase.whole) {
      const Slice<T> rows = all_rows(run.n_nodes);
      forward(run, *step, rows);
    }
    for_all(run, n_threads, work, [&](const Slice<T>& rows) {
      for (const auto& step : phase.sliced) forward(run, *step, rows);
    });
  }

  void forward(const Run<T>& run, const Step<T>& step, const Slice<T>& rows) const {
    const Stopwatch watch(run, step, &StepTime::forward);
    for (const Operand& write : step.writes) clear(run, run.values, write, rows);
    step.forward(run, rows);
  }

  void reverse(const Run<T>& run, const Phase<T>& phase, int n_threads,
               const Workspace<T>& work) const {
    const size_t gathered =
        phase.gathered < 0 ? 0 : run.n_nodes * sequence_.registers[phase.gathered].width;
    T* sum = phase.gathered < 0 ? nullptr : run.gradients[phase.gathered];
    if (gathered) std::memset(sum, 0, gathered * sizeof(T));
    for (T* copy : run.copies)
      if (gathered) std::memset(copy, 0, gathered * sizeof(T));
    for_all(run, n_threads, work, [&](const Slice<T>& rows) {
      for (auto step = phase.sliced.rbegin(); step != phase.sliced.rend(); ++step)
        reverse(run, **step, rows);
    });
    for (const T* copy : run.copies)
      for (size_t k = 0; k < gathered; ++k) sum[k] += copy[k];
    for (auto step = phase.whole.rbegin(); step != phase.whole.rend(); ++step)
      reverse(run, **step, all_rows(run.n_local));
  }

  void reverse(const Run<T>& run, const Step<T>& step, const Slice<T>& rows) const {
    if (!step.goes_back) return;
    const Stopwatch watch(run, step, &StepTime::reverse);
    for (const Operand& read : step.reads)
      if (read.active) clear(run, run.gradients, read, rows);
    step.reverse(run, rows);
  }
};

template <class T>
std::unique_ptr<Plan> read_plan(const nlohmann::json& text, const Context& context) {
  Sequence<T> sequence = read_sequence<T>(text, context);
  return std::make_unique<PlanOf<T>>(std::move(sequence), text["steps"].size());
}

/// The plans of the first choice whose needs the model meets.
const nlohmann::json& choose(const nlohmann::json& text, const Tensors& tensors) {
  const auto is_filled = [&](const nlohmann::json& name) {
    const at::Tensor found = name.is_string() ? tensors(name.get<std::string>()) : at::Tensor();
    return found.defined() && found.numel() > 0;
  };
  if (text.contains("choices") && text["choices"].is_array())
    for (const nlohmann::json& choice : text["choices"])
      if (choice.is_object() && choice.contains("needs") && choice["needs"].is_array() &&
          choice.contains("plans") && choice["plans"].is_array() &&
          std::all_of(choice["needs"].begin(), choice["needs"].end(), is_filled))
        return choice["plans"];
  throw std::runtime_error("its plan has no choice for it");
}

}  // namespace

bool is_known(const nlohmann::json& text) {
  if (!text.is_object() || !text.contains("version") || !text["version"].is_number_integer())
    throw std::runtime_error("its plan has no version");
  return text["version"].get<int64_t>() == 1;
}

std::vector<std::unique_ptr<Plan>> read_plans(const nlohmann::json& text, const Tensors& tensors,
                                              bool single, int64_t n_species,
                                              const std::vector<int64_t>& in_use) {
  std::vector<std::unique_ptr<Plan>> plans;
  for (const nlohmann::json& one : choose(text, tensors)) {
    Context context;
    context.tensors = tensors;
    context.n_species = n_species;
    context.in_use = in_use;
    if (!one.is_object() || !one.contains("members") || !one["members"].is_number_integer())
      throw std::runtime_error("its plan does not say for how many members it is");
    context.n_members = one["members"].get<int64_t>();
    if (context.n_members < 1 || context.n_members > kMaxRows)
      throw std::runtime_error("its plan is for a number of members that is out of range");
    plans.push_back(single ? read_plan<float>(one, context) : read_plan<double>(one, context));
  }
  return plans;
}

}  // namespace e3md::plan

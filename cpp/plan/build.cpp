// From the text of a plan to its steps: who writes a register first, what gradients are needed.
#include "plan/build.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <numeric>

namespace e3md::plan {
namespace {

using nlohmann::json;

constexpr size_t kMaxSteps = 10000;
constexpr int64_t kMaxWidth = 1 << 22;  // of all registers: numbers for each atom

[[noreturn]] void fail(const std::string& why) { throw std::runtime_error("its plan " + why); }

const json& list(const json& text, const char* key) {
  if (!text.is_object() || !text.contains(key) || !text[key].is_array() ||
      text[key].size() > kMaxSteps)
    fail(std::string("has no list of ") + key);
  return text[key];
}

Register read_register(const json& text) {
  if (!text.is_array() || text.size() != 2 || !text[0].is_string() || !text[1].is_number_integer())
    fail("has a register that is not [rows, width]");
  const std::string kind = text[0].get<std::string>();
  const auto width = text[1].get<int64_t>();
  if (width < 0 || width > kMaxWidth) fail("has a register that is too wide");
  if (kind == "species") return {Kind::species, width};
  if (kind == "local") return {Kind::local, width};
  if (kind == "nodes") return {Kind::nodes, width};
  fail("has a register of unknown rows");
}

std::vector<Register> read_registers(const json& text) {
  std::vector<Register> registers;
  int64_t width = 0;
  for (const json& one : list(text, "registers")) {
    registers.push_back(read_register(one));
    width += registers.back().width;
  }
  if (width > kMaxWidth) fail("has registers that are too wide");
  return registers;
}

template <class T>
std::unique_ptr<Step<T>> make_step(const Reader& reader) {
  const std::string kind = reader.kind();
  if (kind == "linear") return make_linear<T>(reader);
  if (kind == "convolution") return make_convolution<T>(reader);
  if (kind == "exchange") return make_exchange<T>(reader);
  if (kind == "product") return make_product<T>(reader);
  if (kind == "repulsion") return make_repulsion<T>(reader);
  auto step = make_row_step<T>(reader);
  if (!step) reader.fail("unknown step");
  return step;
}

bool covers(const Operand& operand, const std::vector<Register>& registers) {
  return operand.place.width == registers[operand.place.number].width;
}

/// Follows what is written and read, forwards and backwards.
class Marks {
 public:
  explicit Marks(std::vector<Register>& registers)
      : registers_(registers), seen_(registers.size(), false), read_(registers.size(), false) {}

  template <class T>
  void forward(const Reader& reader, Step<T>& step) {
    for (Operand& read : step.reads) {
      reader.require(seen_[read.place.number], "reads a register that nothing has written");
      read.active = registers_[read.place.number].active;
      read_[read.place.number] = true;
    }
    for (Operand& write : step.writes) {
      const auto n = write.place.number;
      reader.require(!read_[n], "writes a register that was read before");
      mark(write);
      registers_[n].active = registers_[n].active || is_active(step);
      reader.require(!step.overwrites() || write.first, "adds to a register");
    }
  }

  void write(const Place& place) { seen_[place.number] = true; }

  void turn() { seen_.assign(registers_.size(), false); }

  /// A step goes back if a gradient has arrived at what it wrote. Gradients of nodes are cleared
  /// before all slices, and added to.
  template <class T>
  void reverse(Step<T>& step) {
    step.goes_back = is_active(step) && (step.writes.empty() || seen_[step.writes[0].place.number]);
    if (!step.goes_back) return;
    for (Operand& read : step.reads) {
      if (!read.active) continue;
      if (registers_[read.place.number].kind == Kind::nodes) {
        seen_[read.place.number] = true;
        continue;
      }
      mark(read);
      if (step.overwrites() && !read.first) fail("adds to a gradient that can only be written");
    }
  }

 private:
  std::vector<Register>& registers_;
  std::vector<bool> seen_, read_;

  template <class T>
  static bool is_active(const Step<T>& step) {
    const auto active = [](const Operand& read) { return read.active; };
    return step.reads_edges() || std::any_of(step.reads.begin(), step.reads.end(), active);
  }

  void mark(Operand& operand) {
    const bool first = !seen_[operand.place.number];
    operand.first = first && covers(operand, registers_);
    operand.clears = first && !operand.first;
    seen_[operand.place.number] = true;
  }
};

template <class T>
void append(Sequence<T>& sequence, std::unique_ptr<Step<T>> step, const std::string& kind) {
  step->kind = kind;
  step->number = sequence.n_evaluated++;
  auto& phases = sequence.phases;
  if (phases.empty() || (step->is_whole() && !phases.back().sliced.empty())) phases.emplace_back();
  (step->is_whole() ? phases.back().whole : phases.back().sliced).push_back(std::move(step));
}

/// What depends on species alone, once and for all.
template <class T>
void run_constant(Sequence<T>& sequence, const Step<T>& step, int64_t n_species) {
  std::vector<int64_t> every(n_species);
  std::iota(every.begin(), every.end(), 0);
  std::vector<Group> groups;
  for (int64_t s = 0; s < n_species; ++s) groups.push_back({s, s, s + 1});
  Run<T> run;
  run.types = every.data();
  run.registers = &sequence.registers;
  for (auto& values : sequence.constants) run.values.push_back(values.data());
  std::vector<T> scratch(step.scratch_size(n_species));
  if (step.writes[0].clears) {
    auto& values = sequence.constants[step.writes[0].place.number];
    std::fill(values.begin(), values.end(), T(0));
  }
  step.forward(run, {0, n_species, every.data(), groups.data(), n_species, scratch.data(), 0});
}

/// Values of a parameter, (n_species, width).
template <class T>
void read_constant(Sequence<T>& sequence, const Reader& reader) {
  const Place y = reader.place("y");
  const int64_t n = reader.context.n_species;
  reader.require(reader.register_of(y).kind == Kind::species, "y is not of species");
  const std::vector<T> values = reader.values<T>("tensor", n * y.width);
  const int64_t width = reader.register_of(y).width;
  for (int64_t s = 0; s < n; ++s)
    std::copy_n(values.data() + s * y.width, y.width,
                sequence.constants[y.number].data() + s * width + y.offset);
}

/// Only where a gradient arrives there is a reverse; each phase gathers at one register of nodes.
template <class T>
void mark_reverse(Sequence<T>& sequence, Marks& marks) {
  marks.turn();
  for (auto phase = sequence.phases.rbegin(); phase != sequence.phases.rend(); ++phase)
    for (Steps<T>* steps : {&phase->sliced, &phase->whole})
      for (auto step = steps->rbegin(); step != steps->rend(); ++step) {
        for (const Operand& read : (*step)->reads) {
          if (!read.active || sequence.registers[read.place.number].kind != Kind::nodes) continue;
          if (phase->gathered >= 0 && phase->gathered != read.place.number)
            fail("reads two registers of nodes in one go");
          phase->gathered = read.place.number;
        }
        marks.reverse(**step);
      }
}

}  // namespace

template <class T>
Sequence<T> read_sequence(const json& text, Context context) {
  Sequence<T> sequence;
  sequence.registers = context.registers = read_registers(text);
  sequence.n_members = context.n_members;
  for (const Register& one : sequence.registers)
    sequence.constants.emplace_back(one.kind == Kind::species ? one.width * context.n_species : 0);
  Marks marks(sequence.registers);
  bool energies = false;
  const json& steps = list(text, "steps");
  for (size_t n = 0; n < steps.size(); ++n) {
    const Reader reader(steps[n], n, context);
    if (reader.kind() == "constant") {
      read_constant(sequence, reader);
      marks.write(reader.place("y"));
      continue;
    }
    auto step = make_step<T>(reader);
    marks.forward(reader, *step);
    energies = energies || reader.kind() == "energies";
    sequence.exchanges = sequence.exchanges || reader.kind() == "exchange";
    if (!step->writes.empty() &&
        sequence.registers[step->writes[0].place.number].kind == Kind::species)
      run_constant(sequence, *step, context.n_species);
    else
      append(sequence, std::move(step), reader.kind());
  }
  if (!energies) fail("gives no energies");
  mark_reverse(sequence, marks);
  return sequence;
}

template Sequence<float> read_sequence(const json&, Context);
template Sequence<double> read_sequence(const json&, Context);

}  // namespace e3md::plan

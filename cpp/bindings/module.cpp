// Python face of the C++ core: converts and calls, no logic. e3md::Error arrives as ValueError.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <exception>
#include <string_view>

#include "e3md/archive.h"
#include "e3md/committee.h"
#include "e3md/error.h"
#include "e3md/neighbor_list.h"
#include "e3md/potential.h"
#include "e3md/runtime.h"
#include "e3md/units.h"

namespace py = pybind11;
using namespace py::literals;

namespace {

using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;
using Integers = py::array_t<int64_t, py::array::c_style | py::array::forcecast>;

void check_shape(const py::array& array, const char* name, std::vector<py::ssize_t> expected) {
  bool right = array.ndim() == static_cast<py::ssize_t>(expected.size());
  for (size_t d = 0; right && d < expected.size(); ++d)
    right = expected[d] < 0 || array.shape(d) == expected[d];
  if (!right)
    throw py::value_error(std::string(name) + " has the wrong shape " +
                          py::str(array.attr("shape")).cast<std::string>());
}

/// positions (n, 3) Å, cell (3, 3) Å, pbc; the arrays are borrowed.
e3md::Structure to_structure(const Doubles& positions, const Doubles& cell,
                             const std::array<bool, 3>& pbc) {
  check_shape(positions, "positions", {-1, 3});
  check_shape(cell, "cell", {3, 3});
  e3md::Structure structure{positions.shape(0), positions.data(), {}, pbc};
  std::copy(cell.data(), cell.data() + 9, structure.cell.begin());
  return structure;
}

/// A numpy array that owns the vector's memory.
template <class T>
py::array to_array(std::vector<T>&& values, std::vector<py::ssize_t> shape) {
  auto* owner = new std::vector<T>(std::move(values));
  const py::capsule free(owner, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return py::array_t<T>(std::move(shape), owner->data(), free);
}

e3md::Graph to_graph(e3md::NeighborList& list, const Integers& types, const Doubles& positions,
                     const Doubles& cell, const std::array<bool, 3>& pbc) {
  const e3md::Structure structure = to_structure(positions, cell, pbc);
  check_shape(types, "types", {static_cast<py::ssize_t>(structure.n)});
  e3md::Graph graph = list.graph(structure);
  graph.types.assign(types.data(), types.data() + types.size());
  return graph;
}

py::tuple edges(e3md::NeighborList& list, const Doubles& positions, const Doubles& cell,
                const std::array<bool, 3>& pbc) {
  const e3md::Structure structure = to_structure(positions, cell, pbc);
  std::vector<int32_t> shifts;
  e3md::Graph graph;
  {
    const py::gil_scoped_release release;
    graph = list.graph(structure, &shifts);
  }
  const py::ssize_t n = graph.n_edges();
  return py::make_tuple(to_array(std::move(graph.edge_i), {n}),
                        to_array(std::move(graph.edge_j), {n}), to_array(std::move(shifts), {n, 3}),
                        to_array(std::move(graph.edge_vec), {n, 3}));
}

py::dict evaluate_structure(const e3md::Potential& potential, const Integers& types,
                            const Doubles& positions, const Doubles& cell,
                            const std::array<bool, 3>& pbc, e3md::NeighborList& list,
                            bool atomic_virials, bool members) {
  e3md::Result result;
  {
    const e3md::Graph graph = to_graph(list, types, positions, cell, pbc);
    const py::gil_scoped_release release;
    result = potential.evaluate(graph, {atomic_virials, members});
  }
  const py::ssize_t n = positions.shape(0);
  py::dict out("energy"_a = result.energy, "energies"_a = to_array(std::move(result.energies), {n}),
               "forces"_a = to_array(std::move(result.forces), {n, 3}),
               "virial"_a = py::array_t<double>({3, 3}, result.virial.data()));
  if (atomic_virials) out["atomic_virials"] = to_array(std::move(result.atomic_virials), {n, 3, 3});
  if (members) {
    const int n_members = potential.metadata().members;
    out["energy_std"] = e3md::deviation(result.member_energies, n_members, 1).front();
    out["forces_std"] = to_array(e3md::deviation(result.member_forces, n_members, 3), {n, 3});
  }
  return out;
}

py::list step_times(const e3md::Potential& potential, const Integers& types,
                    const Doubles& positions, const Doubles& cell, const std::array<bool, 3>& pbc,
                    e3md::NeighborList& list) {
  py::list out;
  for (const e3md::StepTime& time :
       potential.step_times(to_graph(list, types, positions, cell, pbc)))
    out.append(py::make_tuple(time.kind, time.forward, time.reverse));
  return out;
}

py::array hessian(const e3md::Potential& potential, const Integers& types, const Doubles& positions,
                  const Doubles& cell, const std::array<bool, 3>& pbc, e3md::NeighborList& list) {
  const e3md::Graph graph = to_graph(list, types, positions, cell, pbc);
  std::vector<double> values;
  {
    const py::gil_scoped_release release;
    values = potential.hessian(graph);
  }
  const py::ssize_t n = 3 * graph.n_local;
  return to_array(std::move(values), {n, n});
}

py::array descriptors(const e3md::Potential& potential, const Integers& types,
                      const Doubles& positions, const Doubles& cell, const std::array<bool, 3>& pbc,
                      e3md::NeighborList& list) {
  const e3md::Graph graph = to_graph(list, types, positions, cell, pbc);
  int64_t n_features = 0;
  std::vector<double> values;
  {
    const py::gil_scoped_release release;
    values = potential.descriptors(graph, n_features);
  }
  return to_array(std::move(values), {static_cast<py::ssize_t>(graph.n_local), n_features});
}

/// A ValueError whose bytes need not be UTF-8: it may quote a damaged file.
void translate(std::exception_ptr thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const e3md::Error& error) {
    const std::string_view text = error.what();
    const auto words = py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
        text.data(), static_cast<py::ssize_t>(text.size()), "backslashreplace"));
    PyErr_SetObject(PyExc_ValueError, words.ptr());
  }
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "C++ core of e3md: neighbor list, model evaluation, model-file metadata, units.";
  py::register_exception_translator(translate);

  py::class_<e3md::NeighborList>(m, "NeighborList")
      .def(py::init<double, double>(), "cutoff"_a, "skin"_a = 0.0)
      .def("edges", edges, "positions"_a, "cell"_a, "pbc"_a)
      .def_property_readonly("cutoff", &e3md::NeighborList::cutoff)
      .def_property_readonly("skin", &e3md::NeighborList::skin)
      .def_property_readonly("n_rebuilds", &e3md::NeighborList::n_rebuilds);

  py::class_<e3md::Training>(m, "Training")
      .def_readonly("quality", &e3md::Training::quality)
      .def_readonly("learned", &e3md::Training::learned)
      .def_readonly("unfinished", &e3md::Training::unfinished)
      .def_readonly("periodic", &e3md::Training::periodic)
      .def_readonly("stress_untrained", &e3md::Training::stress_untrained)
      .def("unfinished_warning", &e3md::Training::unfinished_warning, "path"_a)
      .def("stress_warning", &e3md::Training::stress_warning, "path"_a);

  py::class_<e3md::Metadata>(m, "Metadata")
      .def_readonly("format_version", &e3md::Metadata::format_version)
      .def_readonly("e3md_version", &e3md::Metadata::e3md_version)
      .def_readonly("torch_version", &e3md::Metadata::torch_version)
      .def_readonly("architecture", &e3md::Metadata::architecture)
      .def_readonly("dtype", &e3md::Metadata::dtype)
      .def_readonly("species", &e3md::Metadata::species)
      .def_readonly("cutoff", &e3md::Metadata::cutoff)
      .def_readonly("n_layers", &e3md::Metadata::n_layers)
      .def_readonly("exchange_width", &e3md::Metadata::exchange_width)
      .def_readonly("members", &e3md::Metadata::members)
      .def_readonly("training", &e3md::Metadata::training)
      .def_readonly("json", &e3md::Metadata::json)
      .def_readonly("path", &e3md::Metadata::path)
      .def_readonly("remark", &e3md::Metadata::remark)
      .def("type_of", &e3md::Metadata::type_of, "symbol"_a);
  m.def("read_metadata", &e3md::read_metadata, "path"_a);
  m.def("check_archive", &e3md::check_archive, "path"_a);
  m.def("check_model_file", &e3md::check_model_file, "path"_a);
  m.def("parse_metadata", &e3md::parse_metadata, "json"_a, "path"_a);

  py::class_<e3md::Potential>(m, "Potential")
      .def(py::init<const std::string&, const std::string&, const std::optional<std::string>&,
                    bool>(),
           "path"_a, "device"_a = "cpu", "dtype"_a = py::none(), "plan"_a = true,
           py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("metadata", &e3md::Potential::metadata)
      .def_property_readonly("dtype", &e3md::Potential::dtype)
      .def_property_readonly("device", &e3md::Potential::device)
      .def_property_readonly("runs", &e3md::Potential::runs)
      .def("use", &e3md::Potential::use, "types"_a, py::call_guard<py::gil_scoped_release>())
      .def("evaluate_structure", evaluate_structure, "types"_a, "positions"_a, "cell"_a, "pbc"_a,
           "neighbor_list"_a, "atomic_virials"_a = false, "members"_a = false)
      .def("step_times", step_times, "types"_a, "positions"_a, "cell"_a, "pbc"_a, "neighbor_list"_a)
      .def("hessian", hessian, "types"_a, "positions"_a, "cell"_a, "pbc"_a, "neighbor_list"_a)
      .def("descriptors", descriptors, "types"_a, "positions"_a, "cell"_a, "pbc"_a,
           "neighbor_list"_a);

  m.def("ops_without_kernel", &e3md::ops_without_kernel, "kind"_a);
  m.def("force_references", &e3md::force_references, "on"_a);
  m.def("references_forced", &e3md::references_forced);
  m.def("ops_in_use", &e3md::ops_in_use);
  m.def("missing_cuda", &e3md::missing_cuda);
  m.def("prefers_cuda", &e3md::prefers_cuda);
  m.def(
      "lammps_units",
      [](const std::string& style) {
        const e3md::Units units = e3md::lammps_units(style);
        return py::make_tuple(units.energy, units.length);
      },
      "style"_a);
}

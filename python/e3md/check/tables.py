"""Tabulated radial functions against the networks they were made of."""

import torch

from e3md.check.result import Bounds, CheckResult
from e3md.check.subject import Subject, force_scale
from e3md.derivatives import predict
from e3md.model.build import set_dtype
from e3md.model.choose_knots import TOLERANCES
from e3md.model_file import load_module
from e3md.neighbors import atoms_to_graph


def tables(subject: Subject) -> CheckResult:
    """Forces with the tables of the file's precision, both sides computed in float64."""
    dtype = subject.record.dtype
    bounds = Bounds(warn=10 * TOLERANCES[dtype], fail=1e-3)
    if subject.record.tables is None:
        return bounds.result("tables", 0.0, "the file has none: networks are evaluated exactly", "")
    module = load_module(str(subject.model)).eval()
    set_dtype(module, torch.float64)
    for weight in module.parameters():
        weight.requires_grad_(False)
    graph = atoms_to_graph(
        subject.rattled, subject.double.species, subject.double.cutoff, torch.float64
    )
    # files of 0.1.0 hold the network beside the module that reads tables
    exact = predict(getattr(module, "source", module), graph).forces
    if hasattr(module, "use"):  # older files make the tables of all species
        module.use(graph.types.unique())
    module.tabulate(dtype == "float32")
    found = predict(module, graph).forces
    value = float((found - exact).abs().max()) / force_scale(exact.numpy())
    figure = f"of the largest force, error of the radial tables for {dtype}"
    return bounds.result("tables", value, figure, "Write the file again with `e3md export --exact`")

"""Every number that an op is told is in range or named in an error: whatever a file says, no crash.

Each call runs in a process of its own, as a wrong index may end it.
"""

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from e3nn import o3
from torch import Tensor

from conftest import random_structure
from e3md import ops
from e3md.model.symmetric_contraction import SymmetricContraction
from fuzz.runner import Case, Verdict, run_case
from laws import CONFIGS, build, tabulated, to_graph
from test_ops_edge_conv import SMALL, make_case

Arguments = dict[str, Any]
BAD = (-1, 10**6, 2**31, 2**40, 2**62, -(2**63))  # besides one more than the largest of the table


class Op(NamedTuple):
    """An op with the numbers it is told, and the tensors it makes of them."""

    call: Callable[[Arguments], list[Tensor]]
    arguments: Arguments


def op(name: str) -> Callable[..., Any]:
    return getattr(torch.ops.e3md, name)


def edge_conv() -> Op:
    def call(a: Arguments) -> list[Tensor]:
        return [op("edge_conv")(*a.values())]

    return Op(call, make_case(SMALL)._asdict())


def edge_conv_h() -> Op:
    case = make_case(SMALL)._asdict()
    g = torch.randn(case.pop("n_local"), case.pop("dim_out"), dtype=torch.float64)
    n_nodes, dim_in = case.pop("h").shape
    arguments = {"g": g, **case, "n_nodes": n_nodes, "dim_in": dim_in}
    return Op(lambda a: [op("edge_conv_h")(*a.values())], arguments)


def edge_conv_yw() -> Op:
    case = make_case(SMALL)._asdict()
    g = torch.randn(case.pop("n_local"), case.pop("dim_out"), dtype=torch.float64)
    return Op(lambda a: list(op("edge_conv_yw")(*a.values(), True, True)), {"g": g, **case})


RADIAL = ("knots", "table_of_pair", "grid", "harmonic_index", "harmonic_value", "paths", "cg_index",
          "cg_value")  # fmt: skip


def radial_arguments(name: str, layer: int) -> tuple[Arguments, bool]:
    """The arguments of a layer's convolution, and whether its harmonics are solid."""
    first = tabulated(build(CONFIGS[name]), 16).layers[layer]
    module = getattr(first, "merged", None) or first.convolution
    graph = to_graph(random_structure(4, seed=2), CONFIGS[name])
    return {
        "h": torch.randn(graph.n_atoms, module.splines.table.dim_in, dtype=torch.float64),
        "edge_vec": graph.edge_vec,
        "types": graph.types,
        "edge_index": graph.edge_index,
        **{table: getattr(module.splines, table).detach() for table in RADIAL},
        "n_local": graph.n_atoms,
        "dim_out": module.splines.dim_out,
    }, module.splines.solid


def radial(name: str, layer: int, derivatives: str) -> Op:
    """edge_conv_radial with its derivatives, by the loops or by the differentiable composite."""
    arguments, solid = radial_arguments(name, layer)

    def call(a: Arguments) -> list[Tensor]:
        h, edge_vec = (a[x].clone().requires_grad_() for x in ("h", "edge_vec"))
        tables = [a[table] for table in RADIAL]
        if derivatives == "training":
            tables[0] = tables[0].clone().requires_grad_()
        fixed = (a["types"], a["edge_index"], tables, solid, a["n_local"], a["dim_out"])
        out = op("edge_conv_radial")(h, edge_vec, *fixed)
        first = torch.autograd.grad(
            out.square().sum(), (h, edge_vec), create_graph=derivatives != "first"
        )
        if derivatives == "first":
            return [out, *first]
        to = [h, tables[0]] if derivatives == "training" else [h, edge_vec]
        loss = sum(g.square().sum() for g in first)
        return [out, *first, *torch.autograd.grad(loss, to, allow_unused=True)]

    return Op(call, arguments)


def contraction(derivatives: str) -> Op:
    layer = SymmetricContraction(o3.Irreps("3x0e+3x1o"), o3.Irreps("3x0e+3x1o"), 3, 2)
    types = torch.tensor([0, 1, 1])

    def call(a: Arguments) -> list[Tensor]:
        x = a["a"].clone().requires_grad_()
        tables = [a["terms"], a["entries"], a["values"]]
        trained = derivatives == "training"
        weights = [w.detach().requires_grad_(trained) for w in layer.parameters()]
        out = op("symmetric_contraction")(x, a["types"], weights, tables, a["n_rows"])
        (first,) = torch.autograd.grad(out.square().sum(), x, create_graph=derivatives != "first")
        if derivatives == "first":
            return [out, first]
        to = weights if derivatives == "training" else [x]
        return [out, first, *torch.autograd.grad(first.square().sum(), to)]

    arguments = {"a": torch.randn(3, 4, 3, dtype=torch.float64), "types": types}
    tables = {"terms": layer.terms, "entries": layer.entries, "values": layer.product_value}
    return Op(call, {**arguments, **tables, "n_rows": layer.n_rows})


def linear(by_species: bool, transposed: bool) -> Op:
    lead = (3,) if by_species else ()
    weights = [torch.randn(*lead, *shape, dtype=torch.float64) for shape in ((2, 4), (1, 1))]
    dim_in, dim_out = (7, 5) if transposed else (5, 7)
    types = {"types": torch.tensor([0, 2, 2])} if by_species else {}

    def call(a: Arguments) -> list[Tensor]:
        x = a["x"].clone().requires_grad_()
        learned = [w.clone().requires_grad_() for w in weights]
        out = op("irreps_linear")(
            x, learned, [0.5, 2.0], a["blocks"], a["dim_out"], transposed, a.get("types")
        )
        return [out, *torch.autograd.grad(out.square().sum(), (x, *learned))]

    blocks = [0, 1, 3, 2, 3, 0]  # 2x0e -> 4x0e at 3, 1x1o -> 1x1o at 0
    x = torch.randn(3, dim_in, dtype=torch.float64)
    return Op(call, {"x": x, **types, "blocks": blocks, "dim_out": dim_out})


def ghost_exchange(name: str) -> Op:
    h = torch.randn(3, 2, dtype=torch.float64)
    return Op(lambda a: [op(name)(a["h"], a["n_rows"])], {"h": h, "n_rows": 3})


OPS: dict[str, Callable[[], Op]] = {
    "edge_conv": edge_conv,
    "edge_conv_h": edge_conv_h,
    "edge_conv_yw": edge_conv_yw,
    "edge_conv_radial": lambda: radial("nequip-l2-both", 1, "first"),
    "edge_conv_radial, second": lambda: radial("nequip-l2-both", 1, "second"),
    "edge_conv_radial, training": lambda: radial("nequip-l2-both", 1, "training"),
    "edge_conv_radial, solid": lambda: radial("so3net", 1, "first"),
    "edge_conv_radial of ones": lambda: radial("mace-1o", 0, "first"),
    "symmetric_contraction": lambda: contraction("first"),
    "symmetric_contraction, second": lambda: contraction("second"),
    "symmetric_contraction, training": lambda: contraction("training"),
    "irreps_linear": lambda: linear(False, False),
    "irreps_linear, transposed": lambda: linear(False, True),
    "irreps_linear by species": lambda: linear(True, False),
    "ghost_exchange": lambda: ghost_exchange("ghost_exchange"),
    "ghost_exchange_reverse": lambda: ghost_exchange("ghost_exchange_reverse"),
}


def integers(argument: Any) -> Tensor | None:
    """The numbers of an argument, (n,) int64; none for one of floats."""
    if isinstance(argument, Tensor):
        return argument.flatten() if argument.dtype == torch.int64 else None
    return torch.tensor(argument).flatten()


def like(argument: Any, numbers: Tensor) -> Any:
    """The argument that holds other numbers."""
    if isinstance(argument, Tensor):
        return numbers.view(argument.shape)
    return numbers.tolist() if isinstance(argument, list) else int(numbers)


def changes(numbers: Tensor, most: int = 12) -> Iterator[tuple[int, int]]:
    """Places spread over the numbers, and what to put there."""
    n = len(numbers)
    for place in sorted({int(k) for k in torch.linspace(0, n - 1, min(n, most))}):
        for value in (*BAD, int(numbers.max()) + 1):
            yield place, value


def every_change_is_seen(op: Op, name: str) -> bool:
    """Finite results or errors in words; at least one error."""
    refused, numbers = 0, integers(op.arguments[name])
    assert numbers is not None
    for place, value in changes(numbers):
        print(f"{name}[{place}] = {value}", file=sys.stderr, flush=True)
        changed = numbers.clone()
        changed[place] = value
        arguments = {**op.arguments, name: like(op.arguments[name], changed)}
        try:
            found = op.call(arguments)
        except RuntimeError:
            refused += 1
        else:
            assert all(x is None or x.isfinite().all() for x in found)
    return refused > 0


@pytest.mark.parametrize("name", OPS)
def test_no_integer_ends_the_process(name: str) -> None:
    op = OPS[name]()
    assert all(x is None or x.isfinite().all() for x in op.call(op.arguments))
    tables = [key for key, value in op.arguments.items() if integers(value) is not None]
    assert tables
    for table in tables:
        case = Case(0, name, Path(table), lambda table=table: every_change_is_seen(op, table))
        outcome = run_case(case)
        assert outcome.verdict is Verdict.unchanged, (table, outcome)


def refusal(op: Op, **changed: Any) -> str:
    with pytest.raises(RuntimeError) as error:
        op.call({**op.arguments, **changed})
    return str(error.value).splitlines()[0]


def with_entry(table: Tensor, row: int, column: int, value: int) -> Tensor:
    table = table.clone()
    table[row, column] = value
    return table


@pytest.mark.parametrize("derivatives", ["first", "second", "training"])
@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (0, 25, r"out of harmonic_index[3] is 25, expected 1 to 24"),
        (1, -3, r"lower of harmonic_index[3] is -3, expected 0 to"),
        (1, 2**40, r"lower of harmonic_index[3] is 1099511627776, expected 0 to"),
        (2, 3, r"component of harmonic_index[3] is 3, expected 0 to 2"),
    ],
)
def test_harmonics_out_of_range_are_named(
    derivatives: str, column: int, value: int, words: str
) -> None:
    op = radial("nequip-l2-both", 1, derivatives)
    table = with_entry(op.arguments["harmonic_index"], 3, column, value)
    assert words in refusal(op, harmonic_index=table)


def test_harmonics_are_made_of_complete_ones() -> None:
    op = radial("nequip-l2-both", 1, "first")
    index, value = op.arguments["harmonic_index"], op.arguments["harmonic_value"]
    assert "must be complete before" in refusal(
        op, harmonic_index=index.flip(0), harmonic_value=value.flip(0)
    )
    highest = int(index[:, 0].max())
    kept = index[:, 0] != highest - 1
    words = f"makes row {highest} but not row {highest - 1}"
    assert words in refusal(op, harmonic_index=index[kept], harmonic_value=value[kept])


@pytest.mark.parametrize("knot", [(0.1, 0.0), (0.1, -0.2), (0.1, math.nan), (math.inf, 0.2)])
def test_a_grid_without_steps_is_refused(knot: tuple[float, float]) -> None:
    op = radial("nequip-l2-both", 1, "first")
    words = "expected a finite first knot and a spacing"
    assert words in refusal(op, grid=torch.tensor(knot, dtype=torch.float64))
    assert "must be (tables, knots, groups, 3, 16)" in refusal(
        op, knots=op.arguments["knots"][:, :1].clone()
    )


@pytest.mark.parametrize("doubled", [0, -1, 2.5, 40, math.inf, math.nan])
def test_a_doubled_knot_lies_between_others(doubled: float) -> None:
    op = radial("nequip-xplor", 1, "first")
    grid, n_rows = op.arguments["grid"], op.arguments["knots"].shape[1]
    wrong = torch.tensor([float(grid[0]), float(grid[1]), doubled], dtype=torch.float64)
    words = f"grid[2] is {doubled:g}, expected which knot is stored twice, 1 to {n_rows - 3}"
    assert words in refusal(op, grid=wrong)


def test_a_table_that_no_pair_has_is_named() -> None:
    op = radial("nequip-l2-both", 1, "first")
    chosen = with_entry(op.arguments["table_of_pair"], 1, 0, 9)
    assert "table_of_pair[1, 0] is 9, expected 0 to" in refusal(op, table_of_pair=chosen)
    assert "atom 2 has type 7, expected 0 to" in refusal(
        op, types=op.arguments["types"].clone().index_fill(0, torch.tensor(2), 7)
    )


@pytest.mark.parametrize(
    ("row", "values", "words"),
    [
        (1, [0, 4, -1, -1], "component of terms[1] is 4, expected 0 to 3"),
        (1, [0, 1, -1, 2], "terms[1] has a third component, 2, but no second one"),
        (0, [3, 1, 1, 1], "terms[1] is out of order"),
        (2, [4, 0, 0, 0], "row of terms[2] is 4, expected 0 to 3"),
    ],
)
def test_terms_of_products_are_checked(row: int, values: list[int], words: str) -> None:
    for derivatives in ("first", "second", "training"):
        op = contraction(derivatives)
        terms = op.arguments["terms"].clone()
        terms[row] = torch.tensor(values)
        assert words in refusal(op, terms=terms)


def test_blocks_of_a_linear_map_are_named() -> None:
    op = linear(False, False)
    assert "n_m of blocks[1] is -3, expected 0 to" in refusal(op, blocks=[0, 1, 3, 2, -3, 0])
    assert "block 1 needs columns [2, 6) of x, which has 5" in refusal(
        op, blocks=[0, 1, 3, 2, 4, 0]
    )


def integer_tables() -> list[tuple[str, str]]:
    """Every op with each of its tables of rows."""
    tables = ("paths", "cg_index", "harmonic_index", "terms", "entries", "table_of_pair")
    return [(name, t) for name, make in OPS.items() for t in tables if t in make().arguments]


@pytest.mark.parametrize(("name", "table"), integer_tables())
def test_tables_of_another_make(name: str, table: str) -> None:
    """Strides do not matter; types, shapes and endless repetition of a row are refused."""
    op = OPS[name]()
    sound = op.arguments[table]
    expected = op.call(op.arguments)
    strided = torch.stack([sound, sound], 2)[:, :, 0]
    assert not strided.is_contiguous()
    for x, y in zip(op.call({**op.arguments, table: strided}), expected, strict=True):
        assert (x is None and y is None) or torch.equal(x, y)
    for other in (
        sound.int(),
        sound.double(),
        sound[:, :-1].clone(),
        sound.flatten(),
        sound[:1].expand(2**40, -1),
        sound[:1, :1].expand(2**31, 2**31),
    ):
        assert table in refusal(op, **{table: other}), other.shape


def test_empty_tables_make_nothing() -> None:
    case = make_case(SMALL)
    nothing = torch.zeros(0, 9, dtype=torch.int64)
    assert ops.edge_conv(*case._replace(paths=nothing)).abs().max() == 0
    op = contraction("first")
    tables = ("terms", "entries", "values")
    without = {table: op.arguments[table][:0] for table in tables}
    assert op.call({**op.arguments, **without})[0].abs().max() == 0
    assert "term of entries[0] is 0, expected 0 to -1" in refusal(op, terms=without["terms"])
    assert "values must be float64 (0)" in refusal(op, entries=without["entries"])

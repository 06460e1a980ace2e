"""A model as steps over registers: what the runtime evaluates without an interpreter (cpp/plan/).

Each block says by a method `steps(plan, x)` what its `forward` does, with its own weights, which the
plan names and the model file holds once. TorchScript stays the reference: a model with a part that
has no steps, or whose networks are asked for every neighbor, is evaluated by it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

if TYPE_CHECKING:
    from e3md.model.linear import IrrepsMap
    from e3md.model.splines import SplineConvolution

VERSION = 1
Rows = Literal["species", "local", "nodes"]
Function = Literal["identity", "silu", "tanh", "softplus", "sigmoid", "inverse"]

_DESCRIBED = {"steps": {"forward"}, "outcome_steps": {"outcome", "descriptors"}}


class NoPlanError(ValueError):
    """A part of a model has no steps."""


@dataclass(frozen=True)
class Value:
    """Columns of a register, which has a row for each species, local atom or node of the graph."""

    rows: Rows
    register: int
    offset: int
    width: int

    def columns(self, first: int, n: int) -> "Value":
        """Some of them."""
        return replace(self, offset=self.offset + first, width=n)

    @property
    def place(self) -> list[int]:
        return [self.register, self.offset, self.width]


class Plan:
    """Steps in the order in which they run.

    `into`: where a step adds its result to what other steps write; else it gets a register of its
    own. A register may be read only after all that write it.
    """

    def __init__(self, names: dict[int, str], n_members: int, merges: bool) -> None:
        """Begin.

        Args:
            names: of the model's tensors by identity.
            n_members: whose energies it gives.
            merges: what is merged where tables are few enough is so.
        """
        self.merges = merges
        self.needs: list[str] = []
        self._names = names
        self._members = n_members
        self._registers: list[tuple[Rows, int]] = []
        self._steps: list[dict[str, Any]] = []

    def described(self) -> dict[str, Any]:
        """As cpp/plan/build.cpp reads it."""
        return {"members": self._members, "registers": self._registers, "steps": self._steps}

    def need(self, tensor: Tensor) -> None:
        """This plan is for models in which the tensor is not empty."""
        self.needs.append(self._name(tensor))

    def new(self, rows: Rows, width: int) -> Value:
        """A register that nothing has written yet."""
        self._registers.append((rows, width))
        return Value(rows, len(self._registers) - 1, 0, width)

    def constant(self, tensor: Tensor) -> Value:
        """tensor: (n_species, width)."""
        y = self.new("species", tensor.shape[1])
        self._step("constant", None, y, tensor=self._name(tensor))
        return y

    def linear(
        self, x: Value, weights: Sequence[Tensor], irreps: "IrrepsMap", *, by_species: bool = False,
        factor: float = 1.0, into: Value | None = None,
    ) -> Value:  # fmt: skip
        """As `ops.irreps_linear`, times `factor`."""
        if into is not None and into.rows != x.rows:  # of species: found once, then taken by type
            y = self.linear(x, weights, irreps, by_species=by_species, factor=factor)
            return self.add(y, into=into)
        y = self._target(x.rows, irreps.dim_out, into)
        self._step(
            "linear", x, y, weights=[self._name(w) for w in weights], places=irreps.places,
            scales=[factor * scale for scale in irreps.scales], by_species=by_species,
        )  # fmt: skip
        return y

    def add(
        self, x: Value, factor: float = 1.0, factors: Tensor | None = None, *,
        rows: Rows | None = None, into: Value | None = None,
    ) -> Value:  # fmt: skip
        """x times a factor, and that of each species, (n_species, 1).

        x of species: taken by the type of each of the `rows`, or of those of `into`.
        """
        y = self._target(rows or x.rows, x.width, into)
        named = None if factors is None else self._name(factors)
        self._step("add", x, y, factor=factor, factors=named)
        return y

    def nodes(self, x: Value) -> Value:
        """Rows of all nodes of the graph: those of ghosts come from other processes."""
        if x.rows == "species":
            return self.add(x, rows="nodes")
        y = self.new("nodes", x.width)
        self._step("exchange", x, y)
        return y

    def convolution(self, x: Value | None, splines: "SplineConvolution") -> Value:
        """x: of nodes; None: ones."""
        y = self.new("local", splines.dim_out)
        tables = [self._name(table) for table in splines.tables(splines.knots)]
        self._step("convolution", x, y, tables=tables, solid=splines.solid)
        return y

    def product(
        self, x: Value, weights: Sequence[Sequence[Tensor]], tables: Sequence[Tensor],
        n_rows: int, channels: int,
    ) -> Value:  # fmt: skip
        """As `ops.symmetric_contraction`; weights: of each order those of all members."""
        members = len(weights[0])
        y = self.new(x.rows, members * n_rows * channels)
        self._step(
            "product", x, y, members=members, channels=channels,
            weights=[[self._name(w) for w in order] for order in weights],
            tables=[self._name(table) for table in tables],
        )  # fmt: skip
        return y

    def activate(
        self, x: Value, function: Function, gain: float = 1.0, bias: Tensor | None = None, *,
        into: Value | None = None,
    ) -> Value:  # fmt: skip
        """gain · f(x + bias)."""
        y = self._target(x.rows, x.width, into)
        named = None if bias is None else self._name(bias)
        self._step("activate", x, y, function=function, gain=gain, bias=named)
        return y

    def multiply(self, x: Value, factor: Value, *, into: Value | None = None) -> Value:
        """x[m, c] factor[c], c < the width of factor."""
        y = self._target(x.rows, x.width, into)
        self._step("multiply", x, y, factor=factor.place)
        return y

    def normalize(
        self, x: Value, weight: Tensor, channel: Tensor, share: Tensor, epsilon: float
    ) -> Value:
        """As RMSNorm."""
        y = self.new(x.rows, x.width)
        self._step(
            "normalize", x, y, weight=self._name(weight), channel=self._name(channel),
            share=self._name(share), epsilon=epsilon,
        )  # fmt: skip
        return y

    def couple(
        self, a: Value, b: Value, factors: Tensor, couplings: Tensor, channels: int, into: Value
    ) -> Value:
        """As ChannelProduct."""
        self._steps.append({
            "step": "couple", "a": a.place, "b": b.place, "y": into.place, "channels": channels,
            "factors": self._name(factors), "couplings": self._name(couplings),
        })  # fmt: skip
        return into

    def energies(self, x: Value, scale: Sequence[Tensor], offset: Sequence[Tensor]) -> None:
        """scale[type] x + offset[type], eV, of each member."""
        scales, offsets = ([self._name(t) for t in tensors] for tensors in (scale, offset))
        self._step("energies", x, None, scale=scales, offset=offsets)

    def repulsion(self, power: int, **tensors: Tensor) -> None:
        """As ZBL: its tensors."""
        named = {key: self._name(tensor) for key, tensor in tensors.items()}
        self._step("repulsion", None, None, power=power, **named)

    def side_by_side(self, values: Sequence[Value]) -> Value:
        """One register with the columns of all."""
        y, first = self.new(values[0].rows, sum(value.width for value in values)), 0
        for value in values:
            self.add(value, into=y.columns(first, value.width))
            first += value.width
        return y

    def _step(self, kind: str, x: Value | None, y: Value | None, **rest: Any) -> None:
        places = {key: value.place for key, value in (("x", x), ("y", y)) if value is not None}
        self._steps.append({"step": kind, **places, **rest})

    def _target(self, rows: Rows, width: int, into: Value | None) -> Value:
        return self.new(rows, width) if into is None else into

    def _name(self, tensor: Tensor) -> str:
        return self._names[id(tensor)]


def plan_text(models: Sequence[Any], root: nn.Module, n_members: int) -> str:
    """The plans of a module's parts that together give its energies, as the module carries them.

    models: parts of root, each for n_members. Empty where some part of them has no steps. Of several
    choices that one is for a prepared model whose needs it meets first.
    """
    named = [*root.named_parameters(), *root.named_buffers()]
    names = {id(tensor): name for name, tensor in reversed(named)}
    choices = []
    for merges in (True, False):
        plans = [Plan(names, n_members, merges) for _ in models]
        try:
            for model, plan in zip(models, plans, strict=True):
                _check_described(model)
                model.steps(plan)
        except NoPlanError:
            return ""
        needs = [name for plan in plans for name in plan.needs]
        choices.append({"needs": needs, "plans": [plan.described() for plan in plans]})
        if not needs:
            break
    return json.dumps({"version": VERSION, "choices": choices})


def _check_described(model: Any) -> None:
    """Refuse classes that do something else than the steps which they inherit."""
    if not hasattr(model, "steps"):
        raise NoPlanError(f"{type(model).__name__} has no steps")
    for module in model.modules():
        kinds = type(module).__mro__
        for steps, described in _DESCRIBED.items():
            own = next((n for n, kind in enumerate(kinds) if steps in vars(kind)), None)
            if own is not None and any(vars(kind).keys() & described for kind in kinds[:own]):
                raise NoPlanError(f"{type(module).__name__} inherits {steps} of something else")

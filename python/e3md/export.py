"""Trained weights to a model file."""

import copy
import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from e3md import __version__
from e3md.data.statistics import Statistics
from e3md.files import write_bytes
from e3md.model import ModelConfig
from e3md.model.architecture import Reach
from e3md.model.build import network_dtype, set_dtype
from e3md.model.choose_knots import TableError, Tables, choose_knots
from e3md.model.committee import Committee, StackedCommittee, members_of
from e3md.model.plan import plan_text
from e3md.model.short_range import LEARNED, Learned, ShortRange, learned, short_range
from e3md.model_file import UNFINISHED, ModelRecord, Scales, TrainingRecord, pack


def save_model(
    model: nn.Module,
    config: ModelConfig,
    statistics: Statistics,
    record: TrainingRecord,
    path: str | Path,
    exact: bool = False,
) -> str:
    """Write a model file: the scripted module and what e3md.json says of it.

    A Committee becomes one file, whose energy is the mean over its members.
    Radial networks are read from tables made on loading, unless `exact`. The file appears whole or
    not at all (written beside `path`, then renamed).

    Returns:
        A line on the tables and their error, or on why there are none.
    """
    dtype = network_dtype(model)
    shortest = record.shortest_distance
    reach = Reach(shortest, config.cutoff) if shortest else None
    model.cpu().eval()
    tables, remark = _tabulated(model, config.cutoff, statistics.species, exact, reach)
    module: nn.Module = model
    if tables and isinstance(model, Committee):
        module, apart = _together(model)
        remark += apart
    set_dtype(module, dtype)
    about = ModelRecord(
        e3md_version=__version__,
        torch_version=torch.__version__,
        architecture=config.arch,
        hyperparameters=config.model_dump(mode="json", exclude={"arch"}),
        members=len(members_of(model)),
        species=statistics.species,
        cutoff=config.cutoff,
        n_layers=config.n_layers,
        exchange_width=model.exchange_width,
        dtype=str(dtype).removeprefix("torch."),
        statistics=Scales(
            e0s=dict(zip(statistics.species, statistics.e0s, strict=True)),
            scale=statistics.scale,
            shift=statistics.shift,
            avg_num_neighbors=statistics.avg_num_neighbors,
        ),
        tables=tables,
        training=record,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )
    carrier: Any = copy.deepcopy(module.eval())  # scripting leaves its marks
    carrier.bound, carrier.plan = about.bound(), _plan(module)
    write_bytes(path, pack(torch.jit.script(carrier), about))
    return remark


def _tabulated(
    model: nn.Module, cutoff: float, species: Sequence[str], exact: bool, reach: Reach | None
) -> tuple[dict[str, Any] | None, str]:
    """Choose the knots of a model's tables: what e3md.json says of them, and the same for the user."""
    members: list[Any] = members_of(model)
    for member in members:
        member.n_knots = (0, 0)
    if exact:
        return None, "radial networks are evaluated for every neighbor (exact)"
    try:
        tables = choose_knots(model, cutoff, species)
    except TableError as error:
        return None, f"no tables, radial networks are evaluated for every neighbor: {error}"
    near = short_range(members, cutoff, len(species))
    trained = learned(members, reach, len(species)) if reach else None
    found = {
        **dataclasses.asdict(tables),
        "short_range": dataclasses.asdict(near),
        "learned": dataclasses.asdict(trained) if trained else None,
    }
    return found, _remark(tables, near, trained)


def _together(committee: Committee) -> tuple[Committee, str]:
    """One that evaluates its members at once, or the same and why it does not."""
    try:
        return StackedCommittee(members_of(committee)), ""
    except ValueError as error:
        return committee, f". Members are evaluated one after the other: {error}"


def _plan(module: nn.Module) -> str:
    """As the module carries it, see e3md.model.plan."""
    if isinstance(module, StackedCommittee):
        return plan_text([module.stacked], module, len(module.members))
    return plan_text(members_of(module), module, 1)


def _remark(tables: Tables, near: ShortRange, trained: Learned | None) -> str:
    parts = [
        f"{tables.knots[dtype]} knots in {dtype} (force error {tables.force_error[dtype]:.0e}; between "
        f"two atoms below {near.tolerance[dtype]:.0e} from {near.right_from[dtype]:.2f} Å on)"
        for dtype in tables.knots
    ]
    remark = "radial tables: " + ", ".join(parts) + " against the exact networks"
    if trained is None:
        return remark
    return (
        f"{remark}. The closest atoms of the data are {trained.shortest_distance:.2f} Å apart: down to "
        f"{trained.right_from:.2f} Å training evaluated the forces of this file (to {LEARNED:.0e} for two "
        "atoms); nearer, its continuation was another one, and nothing was learned"
    )


def export_run(run_dir: str | Path, output: str | Path, exact: bool = False) -> str:
    """Export the best weights of a training run, of all members of a committee.

    Returns as `save_model`, with a line before it if the training has not ended.

    Raises:
        FileNotFoundError: if the folder holds no finished checkpoint.
    """
    from e3md.train.checkpoint import load_run

    model, config, statistics, record = load_run(run_dir)
    remark = save_model(model, config, statistics, record, output, exact)
    return f"{record.state}\n{remark}" if record.state.startswith(UNFINISHED) else remark

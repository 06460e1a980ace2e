"""From the files of a configuration to labelled graphs and what they say about the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from e3md.data.batches import n_edges
from e3md.data.coverage import pairless_frames, rare_elements, unused_atoms
from e3md.data.dataset import Sample, build_samples
from e3md.data.domain import Domain, training_domain
from e3md.data.oddities import ABSURD_SHIFT, check_energies, far_from_atoms, odd_frames
from e3md.data.read import DataError, Frame, file_sha256, read_frames
from e3md.data.sources import short_names
from e3md.data.split import split
from e3md.data.statistics import (
    ReferenceEnergies,
    Statistics,
    collect_statistics,
    find_species,
    given_energies,
    reference_energies,
)
from e3md.model_file import DataFile
from e3md.train.config import Config, ConfigError, DataConfig
from e3md.train.initial import InitialModel, refit_e0s
from e3md.train.sizes import check_sizes

FrameSets = dict[str, list[Frame]]  # "train", "valid", "test"; empty where not given


@dataclass(frozen=True)
class TrainingData:
    """All sets of a run, ready to batch."""

    samples: dict[str, list[Sample]]  # "train", "valid", and "test" if given
    frames: FrameSets  # that the samples were made of, in the same order
    statistics: Statistics
    force_scale: float  # eV/Å, RMS force of the training set: the unit of the loss
    files: list[DataFile]
    initial: InitialModel | None  # to start from, with the species and the E0s of the data
    domain: Domain  # of the training set
    e0_source: str  # how the E0s were found


def prepare_data(config: Config, console: Console, initial: InitialModel | None) -> TrainingData:
    """Read, check, split, measure, and build graphs.

    initial: model to fine-tune; its statistics are taken, not those of the data, but for the E0s.

    Raises:
        ConfigError: for E0s that would not be used.
        DataError: for frames or files that cannot be trained on.
    """
    if initial and config.data.e0s:
        raise ConfigError(
            "data.e0s and init_from exclude each other: E0s of the file move by least squares"
        )
    frames, isolated = frame_sets(config, console)
    # frames of valid that were split off train are of its files
    files = _describe_files(config.data, [*frames["train"], *frames["valid"], *isolated])
    present = find_species(frames["train"])
    _check_species(frames, present, initial)
    if initial:
        initial = _limit(initial, present, isolated, console)
    species = initial.statistics.species if initial else present
    check_sizes(config, [f for some in frames.values() for f in some], len(species))
    samples = build_sets(frames, species, config)
    warn(console, rare_elements(frames["train"]))
    for name, some in samples.items():
        warn(console, pairless_frames(frames[name], n_edges(some), config.model.cutoff))
    if initial:
        dtype = getattr(torch, config.training.dtype)
        initial, source = refit_e0s(initial, samples["train"], dtype)
        reference = ReferenceEnergies(species, initial.statistics.e0s, source)
    else:
        reference = _reference(config.data, frames["train"], isolated, console)
    measured = collect_statistics(frames["train"], reference, n_edges(samples["train"]))
    if config.data.e0s and abs(measured.shift) > ABSURD_SHIFT:
        warn(console, [far_from_atoms(measured.shift)])
    statistics = initial.statistics if initial else measured
    console.print(_statistics_table(frames, statistics, measured.scale, reference.source))
    domain = training_domain(
        frames["train"], samples["train"], species, config.training.loss.stress > 0
    )
    if initial and not domain.stress_learned:  # what the first training learned is still there
        domain = domain.model_copy(update={"stress_learned": initial.stress_learned})
    return TrainingData(
        samples, frames, statistics, measured.scale, files, initial, domain, reference.source
    )


def frame_sets(config: Config, console: Console) -> tuple[FrameSets, list[Frame]]:
    """Read, check and split; returns the sets, and the isolated atoms of train, which define E0s.

    Raises:
        DataError: for frames or files that cannot be trained on.
    """
    frames = _read_sets(config.data, console)
    every = [f for some in frames.values() for f in some]
    if config.training.loss.energy > 0:
        check_energies(every)
    warn(console, odd_frames(every))
    frames, isolated = _set_apart(frames, console)
    for name, given in (("valid", config.data.valid), ("test", config.data.test)):
        if given and not frames[name]:
            raise DataError(f"data.{name}: its files hold no frame that can be compared")
    if not frames["valid"]:
        frames["train"], frames["valid"] = split(
            frames["train"], config.data.valid_fraction, config.training.seed
        )
    return frames, isolated


def shortest_distance(samples: dict[str, list[Sample]]) -> float | None:
    """Of the two closest atoms of all sets, Å; None if no frame has a pair within the cutoff."""
    edges = [s.graph.edge_vec for some in samples.values() for s in some if len(s.graph.edge_vec)]
    return min((float(torch.linalg.vector_norm(e, dim=1).min()) for e in edges), default=None)


def warn(console: Console, lines: Sequence[str]) -> None:
    """Say what is probably a mistake."""
    for line in lines:
        console.print(f"[yellow]warning:[/] {escape(line)}", soft_wrap=True)


def check_files(data: DataConfig) -> None:
    """Refuse a file that is given twice."""
    paths = {"train": data.train, "valid": data.valid, "test": data.test}
    every = [path.resolve() for some in paths.values() for path in some]
    for name, some in paths.items():
        twice = [str(path) for path in some if every.count(path.resolve()) > 1]
        if twice:
            raise DataError(f"data.{name}: {twice[0]} is given more than once")


def _read_sets(data: DataConfig, console: Console) -> FrameSets:
    """All files are read together, so that one error lists the bad frames of all."""
    check_files(data)
    paths = {"train": data.train, "valid": data.valid, "test": data.test}
    remarks: list[str] = []
    frames = read_frames([path for some in paths.values() for path in some], data.keys, remarks)
    for line in remarks:
        console.print(f"[yellow]note:[/] {escape(line)}", soft_wrap=True)
    return {name: [f for f in frames if f.file in some] for name, some in paths.items()}


def _describe_files(data: DataConfig, frames: Sequence[Frame]) -> list[DataFile]:
    names = short_names(data.train)
    return [
        DataFile(
            file=names[path],
            sha256=file_sha256(path),
            n_configurations=sum(f.file == path for f in frames),
        )
        for path in data.train
    ]


def _set_apart(frames: FrameSets, console: Console) -> tuple[FrameSets, list[Frame]]:
    """The sets without isolated atoms, and those of train, which define E0s.

    Raises:
        DataError: if nothing else is left to train on.
    """
    isolated = {name: [f for f in some if f.isolated] for name, some in frames.items()}
    for name in ("valid", "test"):
        if isolated[name]:
            first = isolated[name][0].label
            warn(console, [f"data.{name}: isolated atoms are left out, the first is {first}"])
    kept = {name: [f for f in some if not f.isolated] for name, some in frames.items()}
    if not kept["train"]:
        raise DataError("data.train: only isolated atoms, nothing to learn forces from")
    return kept, isolated["train"]


def _check_species(
    frames: FrameSets, present: tuple[str, ...], initial: InitialModel | None
) -> None:
    """Refuse elements that the model will not know.

    present: elements of the training frames.
    """
    known = {name: (present, "data.train") for name in ("valid", "test")}
    if initial:
        known = {"train": (initial.statistics.species, "the model of init_from"), **known}
    for name, (species, where) in known.items():
        unknown = set(find_species(frames[name])) - set(species) if frames[name] else set()
        if unknown:
            symbols = " ".join(sorted(unknown))
            raise DataError(f"data.{name}: {symbols} does not occur in {where}")


def _limit(
    initial: InitialModel, present: tuple[str, ...], isolated: Sequence[Frame], console: Console
) -> InitialModel:
    """The model to fine-tune, with the elements of the training frames only."""
    absent = [symbol for symbol in initial.statistics.species if symbol not in present]
    if absent:
        console.print(
            f"init_from: {' '.join(absent)} does not occur in data.train, and the new model will "
            "not know it: its energies would have another zero",
            soft_wrap=True,
        )
    if isolated:
        line = f"isolated atoms ({isolated[0].label}, ...) are not used with init_from"
        warn(console, [f"{line}: E0s of the file move to the data by least squares"])
    return initial.limited_to(present)


def _reference(
    data: DataConfig, train: Sequence[Frame], isolated: Sequence[Frame], console: Console
) -> ReferenceEnergies:
    """E0s of the elements of the training frames: given, of isolated atoms, or fitted."""
    species = find_species(train)
    warn(console, unused_atoms(isolated, species))
    if not data.e0s:
        found = reference_energies(train, isolated)
        if found.remark:
            console.print(f"[yellow]note:[/] {escape(found.remark)}", soft_wrap=True)
        return found
    if isolated:
        console.print("E0s are those of data.e0s: isolated atoms are not used", soft_wrap=True)
    unused = [symbol for symbol in data.e0s if symbol not in species]
    if unused:
        console.print(f"data.e0s: {' '.join(unused)} does not occur in data.train", soft_wrap=True)
    return given_energies(species, data.e0s)


def build_sets(
    frames: FrameSets, species: tuple[str, ...], config: Config
) -> dict[str, list[Sample]]:
    """Graphs of every set that has frames, in their order, from the run's cache where it has them.

    Raises:
        DataError: listing file and frame of structures without a graph.
    """
    dtype, cache = getattr(torch, config.training.dtype), config.run_dir / "cache"
    return {
        name: build_samples(some, species, config.model.cutoff, dtype, cache, f"graphs of {name}")
        for name, some in frames.items()
        if some
    }


def _statistics_table(
    frames: FrameSets, statistics: Statistics, force_scale: float, source: str
) -> Table:
    table = Table(title="data", show_header=False)
    sizes = ", ".join(f"{len(some)} {name}" for name, some in frames.items() if some)
    e0s = "  ".join(f"{s} {e:.4f}" for s, e in zip(statistics.species, statistics.e0s, strict=True))
    with_stress = sum(f.stress is not None for f in frames["train"])
    table.add_row("frames", sizes)
    table.add_row("train frames with stress", f"{with_stress} of {len(frames['train'])}")
    table.add_row("E0, eV", f"{e0s}\n({escape(source)})")
    table.add_row("RMS force, eV/Å", f"{force_scale:.4f}")
    table.add_row("shift, eV/atom", f"{statistics.shift:.4f}")
    table.add_row("neighbors per atom", f"{statistics.avg_num_neighbors:.1f}")
    return table

"""From the files of a configuration to labelled graphs and what they say about the model."""

from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table

from e3md.data.dataset import Sample, build_samples
from e3md.data.oddities import check_energies, odd_frames
from e3md.data.read import DataError, Frame, file_sha256, read_frames
from e3md.data.split import split
from e3md.data.statistics import (
    ReferenceEnergies,
    Statistics,
    collect_statistics,
    find_species,
    reference_energies,
)
from e3md.export import DataFile
from e3md.train.config import Config, DataConfig

FrameSets = dict[str, list[Frame]]  # "train", "valid", "test"; empty where not given


@dataclass(frozen=True)
class TrainingData:
    """All sets of a run, ready to batch."""

    samples: dict[str, list[Sample]]  # "train", "valid", and "test" if given
    statistics: Statistics
    force_scale: float  # eV/Å, RMS force of the training set: the unit of the loss
    files: list[DataFile]


def prepare_data(config: Config, console: Console, known: Statistics | None) -> TrainingData:
    """Read, check, split, measure, and build graphs.

    known: statistics of the model to fine-tune, in place of those of the data.

    Raises:
        DataError: for frames or files that cannot be trained on.
    """
    frames, remarks = _read_sets(config.data)
    for line in remarks:
        console.print(f"[yellow]note:[/] {line}", soft_wrap=True)
    every = [f for some in frames.values() for f in some]
    if config.training.loss.energy > 0:
        check_energies(every)
    for line in odd_frames(every):
        console.print(f"[yellow]warning:[/] {line}", soft_wrap=True)
    files = [
        DataFile(
            file=path.name,
            sha256=file_sha256(path),
            n_configurations=sum(f.file == path for f in frames["train"]),
        )
        for path in config.data.train
    ]
    if known:
        reference = ReferenceEnergies(known.species, known.e0s, f"{config.init_from}")
    else:
        reference = reference_energies(frames["train"])
    frames = {name: [f for f in some if not f.isolated] for name, some in frames.items()}
    if not frames["train"]:
        raise DataError("data.train: only isolated atoms, nothing to learn forces from")
    if not frames["valid"]:
        frames["train"], frames["valid"] = split(
            frames["train"], config.data.valid_fraction, config.training.seed
        )
    _check_species(frames, reference.species, config)
    samples = _build_sets(frames, reference.species, config)
    n_edges = [s.graph.edge_index.shape[1] for s in samples["train"]]
    statistics = collect_statistics(frames["train"], reference, n_edges)
    console.print(_statistics_table(frames, statistics, reference))
    return TrainingData(samples, known or statistics, statistics.scale, files)


def shortest_distance(samples: dict[str, list[Sample]]) -> float:
    """Of the two closest atoms of all sets, Å."""
    edges = [s.graph.edge_vec for some in samples.values() for s in some if len(s.graph.edge_vec)]
    return min((float(torch.linalg.vector_norm(e, dim=1).min()) for e in edges), default=1.0)


def _read_sets(data: DataConfig) -> tuple[FrameSets, list[str]]:
    """Frames, and what reading them has to say; together, so that one error lists all bad frames."""
    paths = {"train": data.train, "valid": data.valid, "test": data.test}
    every = [path for some in paths.values() for path in some]
    for name, some in paths.items():
        twice = [str(path) for path in some if every.count(path) > 1]
        if twice:
            raise DataError(f"data.{name}: {twice[0]} is given more than once")
    remarks: list[str] = []
    frames = read_frames(every, data.keys, remarks)
    return {name: [f for f in frames if f.file in some] for name, some in paths.items()}, remarks


def _build_sets(
    frames: FrameSets, species: tuple[str, ...], config: Config
) -> dict[str, list[Sample]]:
    dtype, cache = getattr(torch, config.training.dtype), config.run_dir / "cache"
    return {
        name: build_samples(some, species, config.model.cutoff, dtype, cache, f"graphs of {name}")
        for name, some in frames.items()
        if some
    }


def _check_species(frames: FrameSets, species: tuple[str, ...], config: Config) -> None:
    for name, some in frames.items():
        unknown = set(find_species(some)) - set(species) if some else set()
        if unknown:
            raise DataError(
                f"data.{name}: {' '.join(sorted(unknown))} does not occur in "
                + ("the model of init_from" if config.init_from else "data.train")
            )


def _statistics_table(
    frames: FrameSets, statistics: Statistics, reference: ReferenceEnergies
) -> Table:
    table = Table(title="data", show_header=False)
    sizes = ", ".join(f"{len(some)} {name}" for name, some in frames.items() if some)
    e0s = "  ".join(f"{s} {e:.4f}" for s, e in zip(statistics.species, statistics.e0s, strict=True))
    with_stress = sum(f.stress is not None for f in frames["train"])
    table.add_row("frames", sizes)
    table.add_row("train frames with stress", f"{with_stress} of {len(frames['train'])}")
    table.add_row("E0, eV", f"{e0s}\n({reference.source})")
    table.add_row("RMS force, eV/Å", f"{statistics.scale:.4f}")
    table.add_row("shift, eV/atom", f"{statistics.shift:.4f}")
    table.add_row("neighbors per atom", f"{statistics.avg_num_neighbors:.1f}")
    return table

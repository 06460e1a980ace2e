"""Labelled graphs, built once and kept on disk."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from torch import Tensor

from e3md.data.problems import DataError, raise_listed
from e3md.data.read import Frame
from e3md.files import DamagedFileError, load_archive, save_archive
from e3md.graph import AtomGraph, batch_graphs
from e3md.neighbors import atoms_to_graph


class Sample(NamedTuple):
    """Graph and labels of one frame, or of a batch; NaN where there is no label."""

    graph: AtomGraph
    energy: Tensor  # (n_frames,) float64 eV
    forces: Tensor  # (n_atoms, 3) float64 eV/Å
    stress: Tensor  # (n_frames, 3, 3) float64 eV/Å³
    weights: Tensor  # (n_frames, 3) float64: of the energy, the forces and the stress in the loss


def build_samples(
    frames: Sequence[Frame],
    species: tuple[str, ...],
    cutoff: float,
    dtype: torch.dtype,
    cache: Path | None,
    title: str,
) -> list[Sample]:
    """Graphs of all frames, read from the cache folder if the same were built before.

    Raises:
        DataError: listing file and frame of structures without a graph, such as coincident atoms.
    """
    path = cache / f"{_fingerprint(frames, species, cutoff, dtype)}.pt" if cache else None
    stored = _read_cache(path, len(frames)) if path and path.is_file() else None
    if stored is not None:
        return stored
    samples, errors = [], []
    silent = not Console().is_terminal
    for frame in track(frames, title, transient=True, disable=silent):
        try:
            samples.append(_sample(frame, species, cutoff, dtype))
        except ValueError as error:
            errors.append(f"{frame.label}: {error}")
    raise_listed(errors)
    if path:
        save_archive(path, [(tuple(s.graph), tuple(s[1:])) for s in samples])
    return samples


def _read_cache(path: Path, n_frames: int) -> list[Sample] | None:
    """What the cache holds; None, with a line, if it cannot be used."""
    try:
        stored = [Sample(AtomGraph(*graph), *labels) for graph, labels in load_archive(path)]
        if len(stored) == n_frames:
            return stored
        problem = f"{path} holds {len(stored)} graphs, not {n_frames}"
    except (DamagedFileError, OSError) as error:
        problem = str(error)
    except (TypeError, ValueError):
        problem = f"{path} holds no graphs of this e3md"
    Console(stderr=True).print(
        f"[yellow]note:[/] {escape(problem)}: graphs are built again", soft_wrap=True
    )
    return None


def _sample(frame: Frame, species: tuple[str, ...], cutoff: float, dtype: torch.dtype) -> Sample:
    graph = atoms_to_graph(frame.atoms, species, cutoff, dtype)
    if len(graph.edge_vec):
        distance, edge = graph.edge_vec.norm(dim=1).min(dim=0)
        if distance < 1e-3:
            i, j = graph.edge_index[:, edge].tolist()
            raise DataError(f"atoms {i} and {j} are {distance:.1e} Å apart")
    stress = torch.full((1, 3, 3), float("nan"), dtype=torch.float64)
    if frame.stress is not None:
        stress[0] = torch.from_numpy(frame.stress)
    energy = torch.tensor([frame.energy], dtype=torch.float64)
    weights = torch.tensor([frame.weights], dtype=torch.float64)
    return Sample(graph, energy, torch.from_numpy(frame.forces), stress, weights)


def _fingerprint(
    frames: Sequence[Frame], species: tuple[str, ...], cutoff: float, dtype: torch.dtype
) -> str:
    digest = hashlib.sha256(repr((species, cutoff, str(dtype), len(frames))).encode())
    for f in frames:
        digest.update(f.atoms.numbers.tobytes() + f.atoms.positions.tobytes())
        digest.update(f.atoms.cell.array.tobytes() + f.atoms.pbc.tobytes())
        digest.update(f.forces.tobytes() + np.float64(f.energy).tobytes())
        digest.update(np.array(f.weights).tobytes())
        digest.update(b"" if f.stress is None else f.stress.tobytes())
    return digest.hexdigest()[:32]


def collate(samples: Sequence[Sample]) -> Sample:
    """One batch of several samples."""
    return Sample(
        graph=batch_graphs([s.graph for s in samples]),
        energy=torch.cat([s.energy for s in samples]),
        forces=torch.cat([s.forces for s in samples]),
        stress=torch.cat([s.stress for s in samples]),
        weights=torch.cat([s.weights for s in samples]),
    )

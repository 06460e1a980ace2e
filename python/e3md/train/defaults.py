"""A configuration for data that comes without one: every choice with its reason."""

import itertools
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from e3md.data.problems import hints_as_options
from e3md.data.read import read_frames
from e3md.files import write_text
from e3md.train.checkpoint import has_begun
from e3md.train.config import ConfigError, DataConfig, load_config
from e3md.train.facts import CUTOFF, STEP_ATOMS, Facts, collect_facts
from e3md.train.prepare import check_files

CONFIG = "config.yaml"
ROOM = 1.2  # batch_edges over the edges of STEP_ATOMS: whole frames never fill a batch
STEPS = 30_000  # of the optimizer: half an hour (molecules) to two hours (liquids) on one core
EPOCHS = (10, 1000)  # at least, at most
QUICK = 0.07  # hours of a first look, without reading and reports
SMALL = {
    "arch": ("nequip", "a small model, for a first look: see that data and labels make sense"),
    "n_layers": (2, "the usual depth is 3"),
    "l_max": (1, "the smallest that knows directions"),
    "channels": (16, "the usual number is 32"),
}
KEPT = ("model.cutoff", "model.zbl")
VALID = (5, 500)  # frames held out: at least, at most


@dataclass(frozen=True)
class Choice:
    """One key of the configuration, as in docs/training.md."""

    key: str
    value: Any
    why: str


def configure(
    data: DataConfig,
    run_dir: Path,
    resume: bool,
    console: Console,
    quick: bool = False,
    hours: float | None = None,
) -> Path:
    """Choose a configuration for the data, say it, and write it to the run folder.

    With `resume`, the one that is there. With `quick`, a small model for a first look. `hours`: that
    it takes.

    Returns:
        The path of the configuration.

    Raises:
        ConfigError: if the folder holds a configuration already, with `resume` one of other data.
        DataError: for frames that cannot be trained on, listed by file and number.
    """
    path = run_dir / CONFIG
    if resume:
        _check_same_data(path, data)
        return path
    began = any(has_begun(folder) for folder in (run_dir, *run_dir.glob("member_*")))
    if path.exists():
        way = f"go on with `e3md train {_quoted(path)} --resume`" if began else ""
        way = way or f"train with it by `e3md train {_quoted(path)}`"
        raise ConfigError(f"{path} is there already: {way}, or choose another folder with -o")
    if began:
        raise ConfigError(f"{run_dir} holds a run already: choose another folder with -o")
    check_files(data)
    with hints_as_options():
        # all, so that no configuration is left behind that names a file which cannot be read
        frames = read_frames([*data.train, *data.valid, *data.test], data.keys)
    facts = collect_facts([frame for frame in frames if frame.file in data.train])
    choices = choose(facts, holds_out=not data.valid)
    run_dir.mkdir(parents=True, exist_ok=True)
    if quick:
        choices = _first_look(choices)
    elif hours:
        choices = _lasting(choices, hours, "as asked for")
    write_text(path, write_yaml(data, facts, choices))
    load_config(path)
    console.print(f"{facts}\n", soft_wrap=True)
    console.print(_table(choices))
    console.print(_how_to_change(path, quick), soft_wrap=True, markup=False, highlight=False)
    return path


def _check_same_data(path: Path, data: DataConfig) -> None:
    """Refuse to resume with other files or keys than the configuration has: it is what counts."""
    known = load_config(path).data
    for name in ("train", "valid", "test"):
        given, written = ([p.resolve() for p in getattr(d, name)] for d in (data, known))
        if given != written:
            option = "--data" if name == "train" else f"--{name}"
            raise ConfigError(
                f"{option}: {_names(given)}, but data.{name} in {path} is {_names(written)}: "
                f"give the same files, or go on with `e3md train {_quoted(path)} --resume`"
            )
    if data.keys != known.keys:
        raise ConfigError(
            f"--energy-key, --forces-key, --stress-key: other keys than in {path}: give the same, "
            f"or go on with `e3md train {_quoted(path)} --resume`"
        )


def _names(paths: list[Path]) -> str:
    return " ".join(str(path) for path in paths) or "none"


def _how_to_change(path: Path, quick: bool) -> str:
    """What to type for a run with other settings; a folder holds one run."""
    folder = path.parent
    names = (folder.with_name(f"{folder.resolve().name}-{k}") for k in itertools.count(2))
    other = next(name for name in names if not name.exists())
    look = f"For a first look in five minutes, add --quick -o {_quoted(other)}.\n"
    return ("" if quick else look) + (
        f"Written to {path}. To train with other settings, edit a copy in a new folder:\n"
        f"  mkdir {_quoted(other)}; cp {_quoted(path)} {_quoted(other)}\n"
        f"  e3md train {_quoted(other / CONFIG)}\n"
    )


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def choose(facts: Facts, holds_out: bool = True) -> list[Choice]:
    """The rules. `holds_out`: no validation file is given."""
    fraction = _held_out(facts.n_frames)
    valid = round(fraction * facts.n_frames) if holds_out else 0
    cutoff = _cutoff(facts)
    scale = (cutoff.value / CUTOFF) ** 3
    batch, steps = _batch(facts, facts.n_frames - valid, scale)
    return [
        *([_valid_choice(fraction, valid, facts)] if holds_out else []),
        *_model(facts),
        cutoff,
        Choice("model.zbl", True, "safety: atoms repel at distances that no frame shows"),
        batch,
        _epochs(steps),
        *_stress(facts),
        Choice("training.seed", 1, "weights, held-out frames, order; another gives a second model"),
        Choice("training.device", *_device(facts)),
        Choice(
            "training.threads",
            facts.threads,
            "cores here, where they help; the same number repeats the run exactly",
        ),
    ]


def _model(facts: Facts) -> list[Choice]:
    """By kind: single molecules, molecules in a periodic box, and bonds without end."""
    if not facts.n_periodic or 0 < facts.molecules < 2:
        return _of_one_molecule()
    if facts.molecules:
        why = "molecules in a box: on water as exact as 2 in half the time, and stable in MD"
        return _of_many_atoms(Choice("model.l_max", 1, why))
    why = "a solid, glass or melt: less error than 1, by 40 % on LiPS; 1 is twice as fast"
    return _of_many_atoms(Choice("model.l_max", 2, why))


def _of_many_atoms(l_max: Choice) -> list[Choice]:
    return [
        Choice("model.arch", "nequip", "equivariant messages: accurate from few frames"),
        Choice("model.n_layers", 3, "the usual depth"),
        l_max,
        Choice("model.channels", 32, "try 64 if errors must fall further"),
    ]


def _of_one_molecule() -> list[Choice]:
    return [
        Choice("model.arch", "mace", "products of many neighbors: learns molecules in fewer steps"),
        Choice("model.n_layers", 2, "the usual depth"),
        Choice("model.l_max", 3, "the usual degree of harmonics"),
        Choice("model.hidden_irreps", "64x0e+64x1o", "64x0e is twice as fast, at more error"),
        Choice("training.learning_rate", 0.01, "the usual one of mace"),
        Choice("training.ema_decay", 0.999, "a long average calms it"),
    ]


def _first_look(choices: list[Choice]) -> list[Choice]:
    """The choices with a small model, for QUICK hours."""
    rest = [c for c in choices if not c.key.startswith("model.") or c.key in KEPT]
    rest = [c for c in rest if c.key not in ("training.learning_rate", "training.ema_decay")]
    small = [Choice(f"model.{key}", *choice) for key, choice in SMALL.items()]
    return _lasting([*small, *rest], QUICK, "a first look")


def _lasting(choices: list[Choice], hours: float, why: str) -> list[Choice]:
    """As many epochs as fit, at a rate that falls at the end, wherever that comes to be."""
    kept = [choice for choice in choices if choice.key != "training.max_epochs"]
    way = "falls in the last fifth: `--resume --hours` prolongs the run from before"
    return [
        *kept,
        Choice("training.hours", hours, why),
        Choice("training.schedule", "stable", way),
    ]


def _held_out(n_frames: int) -> float:
    """A tenth, within bounds, but no more than a fifth."""
    frames = min(max(0.1 * n_frames, VALID[0]), VALID[1], 0.2 * n_frames)
    return round(frames / n_frames, 4)


def _valid_choice(fraction: float, valid: int, facts: Facts) -> Choice:
    why = f"{max(1, valid)} of {facts.n_frames} frames choose the best weights"
    return Choice("data.valid_fraction", fraction, why)


def _cutoff(facts: Facts) -> Choice:
    crowd = f"{facts.neighbors:.0f} neighbors within {CUTOFF:g} Å"
    if facts.n_periodic and facts.neighbors > 80:
        radius = CUTOFF * (60 / facts.neighbors) ** (1 / 3)
        return Choice("model.cutoff", max(4.0, round(2 * radius) / 2), f"dense: {crowd}")
    if facts.n_periodic and facts.neighbors < 15:
        return Choice("model.cutoff", 6.0, f"sparse: {crowd}")
    return Choice("model.cutoff", CUTOFF, crowd)


def _batch(facts: Facts, n_train: int, scale: float) -> tuple[Choice, int]:
    """The size of batches and the steps of an epoch; `scale`: edges per edge within CUTOFF."""
    small, mean, large = facts.edges
    most = max(1, n_train // 20)  # an epoch has 20 steps or more
    frames = max(1, min(most, round(STEP_ATOMS / facts.n_atoms[1])))
    if large <= 2 * max(small, 1):
        atoms = frames * facts.n_atoms[1]
        why = f"{atoms:.0f} atoms per step"
        return Choice("training.batch_size", frames, why), math.ceil(n_train / frames)
    edges = math.ceil(scale * max(ROOM * frames * mean, large))
    why = f"frames of unlike size: {small} to {large} neighbor pairs within {CUTOFF:g} Å"
    steps = math.ceil(ROOM * n_train * scale * mean / edges)
    return Choice("training.batch_edges", edges, why), steps


def _epochs(steps: int) -> Choice:
    epochs = min(max(round(STEPS / steps), EPOCHS[0]), EPOCHS[1])
    why = f"{steps * epochs:,} steps; fewer epochs for a first look, more for the last percent"
    return Choice("training.max_epochs", epochs, why)


def _stress(facts: Facts) -> list[Choice]:
    if not facts.n_stress:
        return []
    why = f"{facts.n_stress} of {facts.n_frames} frames have stress: as heavy as forces"
    return [Choice("training.loss.stress", 1.0, why)]


def _device(facts: Facts) -> tuple[str, str]:
    return ("cuda", "a GPU is here") if facts.cuda else ("cpu", "no GPU that e3md can use")


def write_yaml(data: DataConfig, facts: Facts, choices: list[Choice]) -> str:
    """The configuration of a run in the folder it lies in, reasons as comments."""
    lines = [
        f"# Chosen by `e3md train --data` for {facts}.",
        "# To train with other settings, copy this file to a new folder, edit the copy, and run",
        "# `e3md train` on it; docs/training.md lists all keys.",
        "run_dir: .",
        "data:",
    ]
    for name in ("train", "valid", "test"):
        paths = [str(path.resolve()) for path in getattr(data, name)]
        lines += [f"  {name}: {_inline(paths)}"] if paths else []
    keys = data.keys.model_dump(exclude_none=True)
    lines += [f"  keys: {_inline(keys)}"] if keys else []
    for section in ("data", "model", "training"):
        lines += [f"{section}:"] if section != "data" else []
        for choice in choices:
            head, _, key = choice.key.partition(".")
            if head == section:
                lines.append(f"  {_nested(key, choice.value)}  # {choice.why}")
    return "\n".join(lines) + "\n"


def _nested(key: str, value: Any) -> str:
    """One line for a key, in one level of sections at most."""
    section, _, name = key.rpartition(".")
    return f"{section}: {_inline({name: value})}" if section else f"{name}: {_inline(value)}"


def _inline(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.splitlines()[0]


def _table(choices: list[Choice]) -> Table:
    table = Table("key", "value", "why", title="chosen")
    for choice in choices:
        table.add_row(choice.key, str(choice.value), choice.why)
    return table

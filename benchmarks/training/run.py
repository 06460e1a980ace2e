"""Training speed of e3md beside mace-torch and nequip: same weights, same steps, same losses.

    python benchmarks/training/run.py -o OUTPUT --peers ENVIRONMENTS --data DATA [--make-peers]
        [--systems lips aspirin] [--models mace_64x0e ...] [--steps 20] [--exact]

ENVIRONMENTS: a folder of virtual environments mace and nequip; --make-peers installs them. DATA: a
folder with lips/train_100.xyz.xz and rmd17/aspirin_train.xyz.xz. Rows go to OUTPUT/training.json as
they are measured, those of an earlier run stay; a table in Markdown to the terminal, the loss curves
to OUTPUT/training.png. Times are CPU times of one thread.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from cases import CASES, FRAMES, HERE, SYSTEMS, Case, command, environment, write_setup
from curves import train_both
from environments import PACKAGES, make_environments
from plot import plot

from e3md.bench import processor

COLUMNS = {
    "model": "model", "system": "system", "mode": "peer's mode", "peer_ms": "peer, ms/step",
    "e3md_ms": "e3md, ms/step", "ratio": "ratio", "configurations_per_s": "configurations/s",
    "edges_per_s": "edges/s", "peer_configurations_per_s": "peer, configurations/s",
    "peer_edges_per_s": "peer, edges/s", "loss_difference": "ΔL/L, 20 steps",
}  # fmt: skip


def last_json(arguments: list[str], environment: dict[str, str] | None = None) -> Any:
    """What a script printed last.

    Raises:
        RuntimeError: with the end of what it said, if it fails.
    """
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, cwd=HERE
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def rates(prefix: str, found: dict[str, float], batch_size: int) -> dict[str, float]:
    return {
        f"{prefix}configurations_per_s": batch_size / found["seconds"],
        f"{prefix}edges_per_s": found["edges"] / found["seconds"],
    }


def measure(model: str, system: str) -> list[dict[str, Any]]:
    """One row for each mode of the peer."""
    case, size = CASES[model], SYSTEMS[system].batch_size
    folder = args.output / f"{model}-{system}"
    folder.mkdir(parents=True, exist_ok=True)
    setup = write_setup(case, SYSTEMS[system], args.data, args.steps, folder).resolve()
    curves = train_both(case, setup, args.peers, args.exact)
    print(f"{model}, {system}: losses differ by {curves.difference:.1e}", flush=True)
    numbers = [args.dtype, str(args.batches), str(args.repeats)]
    ours = last_json([sys.executable, str(HERE / "time_e3md.py"), str(setup), *numbers])
    row = {
        "model": model, "system": system, "batch_size": size, "dtype": args.dtype,
        "e3md_ms": 1e3 * ours["seconds"], "edges": ours["edges"], **rates("", ours, size),
        "losses": curves.e3md, "peer_losses": curves.peer, "loss_difference": curves.difference,
        "exact": args.exact,
    }  # fmt: skip
    modes = [mode for mode in case.modes if mode in args.modes]
    return [row | {"mode": m} | time_peer(case, m, setup, ours, size) for m in modes]


def time_peer(
    case: Case, mode: str, setup: Path, ours: dict[str, float], size: int
) -> dict[str, Any]:
    numbers = [args.dtype, mode, str(args.batches), str(args.repeats)]
    try:
        found = last_json(command(case, args.peers, "time", str(setup), *numbers), environment())
    except RuntimeError as error:
        print(f"{case.program} ({mode}) fails: {error}")
        return {"error": str(error)}
    if found["edges"] != ours["edges"]:
        raise RuntimeError(f"{case.program} has {found['edges']} edges, e3md {ours['edges']}")
    return {
        "peer_ms": 1e3 * found["seconds"], "ratio": found["seconds"] / ours["seconds"],
        **rates("peer_", found, size),
    }  # fmt: skip


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = [list(COLUMNS.values()), ["---"] * len(COLUMNS)]
    lines += [[_cell(row.get(key, "")) for key in COLUMNS] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def merge(rows: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """New rows replace those of the same model, system and mode."""
    keys = [(r["model"], r["system"], r["mode"]) for r in new]
    return [r for r in rows if (r["model"], r["system"], r["mode"]) not in keys] + new


parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("-o", "--output", type=Path, required=True)
parser.add_argument("--peers", type=Path, required=True)
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--make-peers", action="store_true")
parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS)
parser.add_argument("--models", nargs="+", default=list(CASES), choices=CASES)
parser.add_argument(
    "--modes", nargs="+", default=["eager", "compile"], help="of peers that have it"
)
parser.add_argument("--steps", type=int, default=20, help="of the loss curves")
parser.add_argument("--exact", action="store_true", help="loss curves without splines")
parser.add_argument("--dtype", default="float32", help="of the times; the curves are in float64")
parser.add_argument("--batches", type=int, default=5, help="of the epoch, timed")
parser.add_argument("--repeats", type=int, default=4, help="of each batch; the least counts")
args = parser.parse_args()
args.output.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)
if args.make_peers:
    make_environments(args.peers, ["mace", "nequip"])
place = {"processor": processor(), "torch": torch.__version__, "peers": PACKAGES}
record = args.output / "training.json"
rows = json.loads(record.read_text())["rows"] if record.is_file() else []
for system in args.systems:
    for model in args.models:
        rows = merge(rows, measure(model, system))
        record.write_text(json.dumps({**place, "rows": rows}, indent=1))
print(f"{place['processor']}, one thread, torch {torch.__version__}, {args.dtype}, CPU times")
print(f"an epoch has {FRAMES} configurations")
print(markdown(rows))
plot(rows, args.output / "training.png")

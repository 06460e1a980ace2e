"""Kernels of edge_conv_radial on this GPU: errors, times, and the variants that were left open.

    python benchmarks/gpu/kernels.py [--sizes 64 512 4096 13824 50653] [--json FILE]
    python benchmarks/gpu/kernels.py --once mace --sizes 4096     (under ncu or compute-sanitizer)

Atoms at random around a lattice, 60 neighbors within 6 Å. Times are medians of float32 kernels by
CUDA events, in µs per atom.
"""

import argparse
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import nvrtc
import torch
from ceilings import ceilings, level, seconds
from driver import Module
from radial import Case, Convolution, Graph, Launcher, Text, convolution
from variants import VARIANTS, Variant

from e3md.neighbors import neighbor_list

CUTOFF, NEIGHBORS = 6.0, 60
OUT = "{0}x0e+{0}x1o+{0}x2e+{0}x3o"
MODELS: dict[str, Convolution] = {
    "mace first": convolution("128x0e", 3, OUT.format(128), ones=True, n_types=2, cutoff=CUTOFF),
    "mace": convolution("128x0e", 3, OUT.format(128), cutoff=CUTOFF),
    "mace 1o": convolution("128x0e+128x1o", 3, OUT.format(128), cutoff=CUTOFF),
    "nequip 32": convolution("32x0e+32x1o+32x2e", 2, "32x0e+32x1o+32x2e", cutoff=CUTOFF),
    "nequip 64": convolution("64x0e+64x1o+64x2e", 2, "64x0e+64x1o+64x2e", cutoff=CUTOFF),
}
LIMITS = {torch.float64: 1e-12, torch.float32: 1e-5}


@cache
def liquid(n_atoms: int, n_types: int) -> Graph:
    """n_atoms: the third power of a number."""
    n = round(n_atoms ** (1 / 3))
    spacing = (4 / 3 * np.pi * CUTOFF**3 / NEIGHBORS) ** (1 / 3)
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = spacing * (places + rng.uniform(-0.15, 0.15, places.shape))
    i, j, _, vec = neighbor_list(positions, np.eye(3) * n * spacing, [True] * 3, CUTOFF)
    types = torch.from_numpy(rng.integers(n_types, size=n**3))
    return Graph(types, torch.from_numpy(np.stack([i, j])), torch.from_numpy(vec), n**3)


class Runner:
    """Compiled kernels of a case on the GPU."""

    def __init__(self, case: Case, variant: Variant) -> None:
        if variant.half:
            tables = case.convolution.tables
            tables = [tables[0].half(), *tables[1:]]
            case = replace(case, convolution=replace(case.convolution, tables=tables))
        self.variant, self.launcher = variant, Launcher(case, variant.text)
        self.module_code = nvrtc.compiled(variant.text.source, level())
        self.module = Module(self.module_code.code)

    def run(self, direction: str) -> None:
        def call(name: str, problem: Any, n_x: int, n_y: int) -> None:
            n_x = -(-self.launcher.numbers["n_local"] // (self.variant.threads // 32))
            if self.variant.half:
                table = self.launcher.tensors["table"].data_ptr()
                problem.table = table + (problem.table - table) // 2
            grid = (n_y, n_x) if self.variant.tiles_first else (n_x, n_y)
            self.module.launch(name, grid, self.variant.threads, problem)

        self.launcher.run(direction, call)

    def microseconds(self, direction: str) -> float:
        return 1e6 * seconds(lambda: self.run(direction)) / self.launcher.numbers["n_local"]

    def usage(self) -> dict[str, Any]:
        return {name: used._asdict() for name, used in self.module_code.usage.items()}


def errors(name: str, n_atoms: int) -> dict[str, float]:
    """Of both dtypes, relative to the largest numbers of the CPU's op in float64."""
    c = MODELS[name]
    case = Case.random(c, liquid(n_atoms, len(c.tables[1])))
    expected, found = case.by_op(), {}
    for dtype in LIMITS:
        runner = Runner(case.to("cuda", dtype), Variant(Text.of(c, dtype)))
        for direction in ("forward", "backward"):
            runner.run(direction)
        found[str(dtype).removeprefix("torch.")] = runner.launcher.results.worst(expected)
    return found


def times(name: str, n_atoms: int) -> dict[str, float]:
    c = MODELS[name]
    case = Case.random(c, liquid(n_atoms, len(c.tables[1]))).to("cuda", torch.float32)
    runner = Runner(case, Variant(Text.of(c, torch.float32)))
    return {d: runner.microseconds(d) for d in ("forward", "backward")}


def variant_times(name: str, n_atoms: int) -> dict[str, dict[str, Any]]:
    c = MODELS[name]
    case = Case.random(c, liquid(n_atoms, len(c.tables[1]))).to("cuda", torch.float32)
    base = Runner(case, Variant(Text.of(c, torch.float32)))
    base.run("forward")
    base.run("backward")
    found: dict[str, dict[str, Any]] = {}
    for title, make in VARIANTS.items():
        if title == "features' gradients stored" and c.dim_in == 0:
            continue
        try:
            runner = Runner(case, make(base.variant.text))
        except (ValueError, RuntimeError) as error:
            found[title] = {"failed": str(error).strip().splitlines()[-1]}
            continue
        for direction in ("forward", "backward"):
            runner.run(direction)
        difference = runner.launcher.results.worst(base.launcher.results)
        found[title] = {
            **{d: runner.microseconds(d) for d in ("forward", "backward")},
            "difference": difference if runner.variant.exact else None,
            "usage": runner.usage(),
        }
    return found


def once(name: str, n_atoms: int) -> None:
    c = MODELS[name]
    case = Case.random(c, liquid(n_atoms, len(c.tables[1]))).to("cuda", torch.float32)
    runner = Runner(case, Variant(Text.of(c, torch.float32)))
    for direction in ("forward", "backward"):
        runner.run(direction)
    torch.cuda.synchronize()


def show_variants(name: str, found: dict[str, dict[str, Any]]) -> None:
    for title, of in found.items():
        if "failed" in of:
            print(f"  {name:11} {title:27} {of['failed']}")
            continue
        usage = of["usage"].values()
        registers = "/".join(str(u["registers"]) for u in usage)
        spilled = sum(u["spilled"] for u in usage)
        difference = "" if of["difference"] is None else f"differs by {of['difference']:.0e}"
        print(
            f"  {name:11} {title:27} {of['forward']:7.4f} {of['backward']:7.4f}  "
            f"{registers} registers, {spilled} bytes spilled  {difference}",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 512, 4096, 13824, 50653])
    parser.add_argument("--variants", type=int, default=13824, help="atoms; 0: none")
    parser.add_argument("--once", choices=MODELS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.once:
        once(args.once, args.sizes[0])
        return 0
    torch.set_num_threads(16)
    report: dict[str, Any] = {
        "card": torch.cuda.get_device_name(), "torch": torch.__version__,
        "nvrtc": nvrtc.version(), "ceilings": ceilings(), "neighbors": NEIGHBORS,
    }  # fmt: skip
    print(f"{report['card']}, torch {report['torch']}, NVRTC {report['nvrtc']}")
    print("  " + ", ".join(f"{name} {value:.0f}" for name, value in report["ceilings"].items()))
    print("errors at 512 atoms, of the largest number; float64, float32")
    report["errors"] = {name: errors(name, 512) for name in MODELS}
    right = True
    for name, found in report["errors"].items():
        right = right and found["float64"] < 1e-12 and found["float32"] < 1e-5
        print(f"  {name:11} {found['float64']:.1e} {found['float32']:.1e}")
    print("µs per atom, forward and backward, by number of atoms")
    report["times"] = {}
    for name in MODELS:
        report["times"][name] = {str(n): times(name, n) for n in args.sizes}
        line = "  ".join(
            f"{n}: {t['forward']:.4f} {t['backward']:.4f}" for n, t in report["times"][name].items()
        )
        print(f"  {name:11} {line}", flush=True)
    if args.variants:
        print(f"variants at {args.variants} atoms: µs per atom, forward and backward")
        report["variants"] = {}
        for name in MODELS:
            report["variants"][name] = variant_times(name, args.variants)
            show_variants(name, report["variants"][name])
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

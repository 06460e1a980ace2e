"""What a GPU makes of every op: right or not against the CPU's kernels, and how long it takes.

    python benchmarks/gpu/first_look.py [--device cuda] [--atoms 500] [--prototype FOLDER]

Models of three architectures are evaluated on the CPU in float64, and each op's largest call is
taken down with its arguments. It is then made on the device in float64 and float32, forward and
backward, and compared. Without a GPU, --device cpu does the same with the references forced. --prototype
compiles the kernels of a folder with gen.py and conv.cuh for this GPU, and prints registers and spills.
"""

import argparse
import copy
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from e3md.bench import default_structure, machine
from e3md.data.statistics import Statistics
from e3md.model import MACEConfig, ModelConfig, NequIPConfig, SchNetConfig, build_model
from e3md.model.architecture import Reach
from e3md.neighbors import atoms_to_graph
from e3md.ops import references

SPECIES = ("Li", "P", "S")
STATISTICS = Statistics(SPECIES, (0.0, 0.0, 0.0), scale=1.0, shift=0.0, avg_num_neighbors=30.0)
MODELS: dict[str, ModelConfig] = {
    "nequip l ≤ 2": NequIPConfig(cutoff=5.0, channels=32, l_max=2, n_layers=3),
    "mace 64x0e+64x1o": MACEConfig(cutoff=5.0, hidden_irreps="64x0e+64x1o", l_max=3),
    "schnet": SchNetConfig(cutoff=5.0),
}
REPEATS = 5


class Call(NamedTuple):
    """One call of an op."""

    op: Any
    arguments: tuple[Any, ...]

    def size(self) -> int:
        return sum(x.numel() for x in tree_leaves(self.arguments) if isinstance(x, Tensor))


class Calls(TorchDispatchMode):
    """The largest call of each op of e3md that has a reference."""

    def __init__(self) -> None:
        super().__init__()
        self.largest: dict[str, Call] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.name()
        if name.startswith("e3md::") and func.has_kernel_for_dispatch_key(
            torch._C.DispatchKey.CompositeExplicitAutograd
        ):
            call = Call(func, args)
            if name not in self.largest or call.size() > self.largest[name].size():
                self.largest[name] = call
        return func(*args, **(kwargs or {}))


def take_down(config: ModelConfig, n_atoms: int) -> dict[str, Call]:
    """Calls of a model as it is trained, exact and with tables."""
    torch.manual_seed(0)
    model = build_model(config, STATISTICS, torch.float64).requires_grad_(False)
    tabulated, learning = copy.deepcopy(model), copy.deepcopy(model)
    tabulated.n_knots = (128, 128)
    tabulated.tabulate(True)
    learning.learn(Reach(1.5, config.cutoff))
    atoms = default_structure(list(SPECIES), n_atoms)
    graph = atoms_to_graph(atoms, SPECIES, config.cutoff, torch.float64)
    calls = Calls()
    with calls:
        for form in (model, tabulated, learning):
            form(graph.types, graph.edge_index, graph.edge_vec, graph.n_atoms)
    print(f"{len(atoms)} atoms, {graph.edge_vec.shape[0] / len(atoms):.0f} neighbors each")
    return calls.largest


def placed(call: Call, device: str, dtype: torch.dtype) -> tuple[Any, ...]:
    """The arguments there; numbers of tables, which have one dimension, stay float64."""

    def move(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        return x.detach().to(device, dtype if x.is_floating_point() and x.dim() > 1 else x.dtype)

    return tree_map(move, call.arguments)


def made(call: Call, device: str, dtype: torch.dtype) -> tuple[list[Tensor], Callable[[], None]]:
    """Result and gradients to features and edges, as float64 of the CPU; and what makes them again."""
    arguments = placed(call, device, dtype)
    inputs = [
        x for x in arguments if isinstance(x, Tensor) and x.is_floating_point() and x.dim() > 1
    ]
    for x in inputs:
        x.requires_grad_()

    def evaluate() -> list[Tensor]:
        out = call.op(*arguments)
        cotangent = torch.linspace(-1, 1, out.numel(), dtype=out.dtype, device=device).view_as(out)
        grads = torch.autograd.grad(out, inputs, cotangent, materialize_grads=True)
        return [out.detach(), *grads]

    def again() -> None:
        evaluate()
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    return [x.cpu().double() for x in evaluate()], again


def milliseconds(function: Callable[[], None]) -> float:
    function()
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return 1e3 * min(times)


def compare(name: str, call: Call, device: str) -> bool:
    """Prints a line per dtype; whether both are right."""
    expected, kernel = made(call, "cpu", torch.float64)
    right = True
    for dtype, limit in ((torch.float64, 1e-11), (torch.float32, 1e-3)):
        with references(device == "cpu"):
            found, again = made(call, device, dtype)
            spent = milliseconds(again)
        errors = [
            float((a - b).abs().max() / b.abs().max().clamp(min=1e-300)) if b.numel() else 0.0
            for a, b in zip(found, expected, strict=True)
        ]
        right = right and max(errors) < limit
        print(
            f"  {name.removeprefix('e3md::'):22} {str(dtype).removeprefix('torch.'):8} "
            f"forward {errors[0]:.0e}, gradients {max(errors[1:]):.0e} of the largest; {spent:8.2f} ms, "
            f"kernel on one core in float64 {milliseconds(kernel):.2f}"
            + ("" if max(errors) < limit else "   WRONG")
        )
    return right


def prototype(folder: Path) -> None:
    """Registers and spills of the prototype's kernels, compiled for this GPU or for sm_90."""
    level = "sm_90"
    if torch.cuda.is_available():
        level = "sm_{}{}".format(*torch.cuda.get_device_capability())
    for kind in ("mace", "nequip"):
        subprocess.run([sys.executable, "gen.py", kind], cwd=folder, check=True)
        command = ["nvcc", "-std=c++17", "-DSTAGE=16", "-DFWD_BLOCKS=4", "-DBWD_BLOCKS=3"]
        command += ["--extended-lambda", "-cubin", f"-arch={level}", "-Xptxas", "-v", f"{kind}.cu"]
        said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        print(f"{kind}, {level}:")
        print(
            "\n".join(
                line for line in said.stderr.splitlines() if "registers" in line or "spill" in line
            )
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--atoms", type=int, default=500)
    parser.add_argument("--prototype", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.cuda.get_device_name() if args.device.startswith("cuda") else "references forced"
    print(f"{machine()}; {args.device}: {device}")
    right = True
    for name, config in MODELS.items():
        print(f"{name}: ", end="")
        for op, call in take_down(config, args.atoms).items():
            right = compare(op, call, args.device) and right
    if args.prototype:
        prototype(args.prototype)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

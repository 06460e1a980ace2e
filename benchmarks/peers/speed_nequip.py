"""Runs with nequip: `build MODEL.ckpt CHANNELS,L_MAX SYMBOLS` or `time MODEL STRUCTURE DTYPE THREADS STEPS`.

A model of either dtype is compiled once by nequip-compile with AOTInductor; nequip 0.19 has no
TorchScript with this torch.
"""

import subprocess
import sys
import warnings
from pathlib import Path

import torch

warnings.simplefilter("ignore")

from ase.data import atomic_numbers  # noqa: E402
from ase.io import read  # noqa: E402
from nequip.data import from_ase  # noqa: E402
from nequip.data.transforms import (  # noqa: E402
    ChemicalSpeciesToAtomTypeMapper,
    NeighborListTransform,
)
from nequip.integrations.ase import NequIPCalculator  # noqa: E402
from nequip.train.lightning import NequIPLightningModule  # noqa: E402
from nequip.utils import get_current_code_versions  # noqa: E402
from nequip.utils.global_state import set_global_state  # noqa: E402
from timing import time_calculator  # noqa: E402


def build(path, size, symbols):
    set_global_state()
    channels, l_max = (int(n) for n in size.split(","))
    names = symbols.split(",")
    for dtype in ("float32", "float64"):
        torch.manual_seed(0)
        module = NequIPLightningModule(
            model={
                "_target_": "nequip.model.NequIPGNNModel",
                "seed": 1,
                "model_dtype": dtype,
                "type_names": names,
                "r_max": 5.0,
                "num_layers": 3,
                "l_max": l_max,
                "parity": False,
                "num_features": channels,
                "radial_mlp_depth": 2,
                "radial_mlp_width": 64,
                "avg_num_neighbors": 30.0,
                "per_type_energy_scales": {name: 1.0 for name in names},
                "per_type_energy_shifts": {name: 0.0 for name in names},
            },
            num_datasets={"train": 1, "val": 1, "test": 1, "predict": 0},
        )
        hyper_parameters = dict(module.hparams)
        hyper_parameters["info_dict"] = {
            "versions": get_current_code_versions(verbose=False),
            "training_module": {"_target_": "nequip.train.NequIPLightningModule"},
        }
        named = path if dtype == "float64" else path.replace(".ckpt", "-float32.ckpt")
        torch.save(
            {
                "state_dict": module.state_dict(), "hyper_parameters": hyper_parameters,
                "pytorch-lightning_version": "2.6.6", "epoch": 0, "global_step": 0, "loops": {},
            },
            named,
        )  # fmt: skip


def compiled(model, dtype, structure, symbols):
    """The checkpoint of the dtype, compiled."""
    checkpoint = model if dtype == "float64" else model.replace(".ckpt", "-float32.ckpt")
    output = Path(f"{checkpoint}.nequip.pt2")
    if not output.is_file():
        example = f"{checkpoint}.example.pt"
        write_example(structure, symbols, example)
        command = [
            str(Path(sys.executable).with_name("nequip-compile")), checkpoint, str(output),
            "--mode", "aotinductor", "--device", "cpu", "--target", "ase", "--data-path", example,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
    return str(output)


def write_example(structure, symbols, path):
    """A structure as nequip-compile takes it: buffers of a scripted module."""
    data = from_ase(read(structure))
    data = ChemicalSpeciesToAtomTypeMapper(model_type_names=symbols)(data)
    data = NeighborListTransform(r_max=5.0)(data)
    module = torch.nn.Module()
    for name, value in data.items():
        if isinstance(value, torch.Tensor):
            module.register_buffer(name, value)
    torch.jit.script(module).save(path)


if sys.argv[1] == "build":
    build(*sys.argv[2:])
else:
    model, structure, dtype, threads, steps = sys.argv[2:]
    atoms = read(structure)
    symbols = sorted(set(atoms.get_chemical_symbols()), key=lambda s: atomic_numbers[s])
    path = compiled(model, dtype, structure, symbols)
    time_calculator(
        lambda: NequIPCalculator.from_compiled_model(
            path, device="cpu", chemical_species_to_atom_type_map={s: s for s in symbols}
        ),
        structure, int(threads), int(steps),
    )  # fmt: skip

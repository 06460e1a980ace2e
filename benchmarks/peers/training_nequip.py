"""nequip, as training.py asks for it; mode "compile" is its torch.compile training."""

import math
import types
import warnings

warnings.simplefilter("ignore")

from nequip.data import AtomicDataDict, from_ase  # noqa: E402
from nequip.data.transforms import (  # noqa: E402
    ChemicalSpeciesToAtomTypeMapper,
    NeighborListTransform,
)
from nequip.model import NequIPGNNModel  # noqa: E402
from nequip.utils.global_state import set_global_state  # noqa: E402
from training import keep_graph, main  # noqa: E402


def build(setup, dtype, mode="eager"):
    set_global_state()
    exact = _model(setup, "float64", "eager")
    model = _model(setup, str(dtype).removeprefix("torch."), mode)
    model.load_state_dict(exact.state_dict())
    return model


def _model(setup, dtype, mode):
    channels, l_max = (int(n) for n in setup["size"].split(","))
    energies = {s: e + setup["shift"] for s, e in zip(setup["species"], setup["e0s"], strict=True)}
    return NequIPGNNModel(
        seed=1, model_dtype=dtype, compile_mode=mode, type_names=setup["species"],
        r_max=setup["cutoff"], num_layers=3, l_max=l_max, parity=False, num_features=channels,
        radial_mlp_depth=2, radial_mlp_width=64, avg_num_neighbors=setup["avg_num_neighbors"],
        per_type_energy_scales={s: setup["scale"] for s in setup["species"]},
        per_type_energy_shifts=energies,
    )  # fmt: skip


def inputs(setup, frames, dtype):
    types_of = ChemicalSpeciesToAtomTypeMapper(model_type_names=setup["species"])
    neighbors = NeighborListTransform(r_max=setup["cutoff"])
    return AtomicDataDict.batched_from_list([neighbors(types_of(from_ase(a))) for a in frames])


def predict(model, given):
    found = model(dict(given))
    return found["total_energy"].squeeze(1), found["forces"]


def extract(model):
    import nequip_model

    nequip_model.load = lambda _: model
    nequip_model.array = keep_graph
    nequip_model.linear_blocks = linear_blocks
    return nequip_model.extract(None, None)


def linear_blocks(module, name, arrays):
    """That of extract/neutral_file.py, with its graph."""
    sizes = [math.prod(instruction.path_shape) for instruction in module.instructions]
    for instruction, weight in zip(module.instructions, module.weight.split(sizes), strict=True):
        block = weight.view(instruction.path_shape) * instruction.path_weight
        arrays[f"{name}.{instruction.i_in}.{instruction.i_out}"] = block


main(types.SimpleNamespace(build=build, inputs=inputs, predict=predict, extract=extract))

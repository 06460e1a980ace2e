"""Files of other programs that are no models to convert: what they are, and what to give instead.

A program leaves more files than its model: checkpoints, weights alone, forms for LAMMPS. They are
told by the class of the object in them or by their keys, never by values, names or words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ByProduct:
    """What a file is, as in "PATH is ...", and what its owner can do."""

    what: str
    instead: str


_MACE = "Give the .model file that mace_run_train wrote: it holds the module that this one was made from"
_SEVENNET = "Give the checkpoint that it was made from (checkpoint_best.pth)"
_NEQUIP = "Give the checkpoint (best.ckpt) or the package (NAME.nequip.zip) that it was made from"
_SCHNETPACK = "Give the model that spktrain wrote at the end of training (best_model)"
_MATGL = "Give the folder that model.save() wrote, with model.json and state.pt"

NO_CONVERTER = {  # top-level package -> the program
    "allegro": "Allegro",
    "alignn": "ALIGNN",
    "chgnet": "CHGNet",
    "deepmd": "DeePMD-kit",
    "fairchem": "fairchem",
    "graph_pes": "graph-pes",
    "metatensor": "metatensor",
    "metatomic": "metatomic",
    "metatrain": "metatrain",
    "mattersim": "MatterSim",
    "nequix": "Nequix in torch",
    "ocpmodels": "fairchem (ocpmodels)",
    "orb_models": "ORB",
    "tensorpotential": "GRACE",
    "torchani": "TorchANI",
    "torchmdnet": "TorchMD-NET",
}
_CLASSES = {  # beginning of the path of a pickled object's class
    "mace.calculators.": ByProduct("a MACE model in its ML-IAP form for LAMMPS", _MACE),
    "nequip.": ByProduct("a pickled module of NequIP (as of its ML-IAP form for LAMMPS)", _NEQUIP),
    "sevenn.": ByProduct(
        "a pickled module of SevenNet (as of its ML-IAP form for LAMMPS)", _SEVENNET
    ),
    "matgl.": ByProduct("a pickled module of matgl", _MATGL),
}
_SCRIPTED = {  # beginning of the path of a TorchScript module's class
    "mace.calculators.": ByProduct("a MACE model in its TorchScript form for LAMMPS", _MACE),
    "mace.": ByProduct("a MACE model compiled to TorchScript (NAME_compiled.model)", _MACE),
    "nequip.": ByProduct(
        "a NequIP model compiled to TorchScript (nequip-compile, nequip-deploy)", _NEQUIP
    ),
    "schnetpack.": ByProduct("a SchNetPack model deployed as TorchScript (spkdeploy)", _SCHNETPACK),
    "matgl.": ByProduct("a matgl model compiled to TorchScript", _MATGL),
}
PARALLEL_SEVENNET = ByProduct(
    "one part of a SevenNet model deployed for parallel LAMMPS",
    f"{_SEVENNET}, or the serial form of the same model (deployed_serial.pt)",
)
NEQUIP_PACKAGE_RENAMED = ByProduct(
    "a package of NequIP under another name",
    "NequIP reads packages by their name: call it NAME.nequip.zip",
)
NEQUIX_TORCH = ByProduct(
    "a Nequix model saved by its torch backend",
    "Give the .nqx file that the JAX backend writes, with numpy arrays behind the JSON line (load the model "
    "with nequix.torch_impl.model and write it with nequix.torch_impl.utils.convert_model_torch_to_jax)",
)
AOT_INDUCTOR = ByProduct(
    "a model compiled for one kind of machine (AOTInductor, .pt2), as by nequip-compile", _NEQUIP
)
_STATES = (  # beginnings of keys that a state dict all has -> what it is
    (
        ("node_embedding.linear.", "interactions.0.", "products.0."),
        "mace-torch",
        _MACE,
    ),
    (("onehot_to_feature_x.linear.",), "SevenNet", _SEVENNET),
    (("representation.", "output_modules."), "SchNetPack", _SCHNETPACK),
    (("data_mean", "model."), "matgl", _MATGL),
    (("sole_model.",), "NequIP", _NEQUIP),
    (("func.",), "NequIP", f"{_NEQUIP}, of NequIP 0.7 or newer"),
)
_WRAPPERS = ("", "module.", "model.", "_orig_mod.")  # that training puts before every key


def no_converter(program: str) -> ByProduct:
    """Of a program that e3md does not read."""
    return ByProduct(
        f"a model of {program}", f"e3md has no converter for {program} (docs/convert.md)"
    )


def of_class(path: str, scripted: bool) -> ByProduct | None:
    """What an object of class `package.module.Class` is, if that is no model to convert."""
    for beginning, found in (_SCRIPTED if scripted else _CLASSES).items():
        if path.startswith(beginning):
            return found
    program = NO_CONVERTER.get(path.partition(".")[0])
    return no_converter(program) if program else None


def of_weights(keys: Iterable[str], stored: str) -> ByProduct | None:
    """Whose weights these are, by the names of their modules; stored: "a checkpoint", "weights"."""
    names = [key for key in keys if isinstance(key, str)]
    for wrapper in _WRAPPERS:
        for beginnings, program, instead in _STATES:
            if all(any(n.startswith(wrapper + b) for n in names) for b in beginnings):
                return ByProduct(f"{stored} of {program}", instead)
    return None


def of_mapping(root: Mapping[Any, Any]) -> ByProduct | None:
    """What a dictionary that torch.save wrote is, if that is no model to convert."""
    for key in ("model", "state_dict", "model_state_dict"):
        inner = root.get(key)
        if not isinstance(inner, Mapping) or not inner:
            continue
        if key == "model" and {"state_dict", "model_args"} <= inner.keys():
            return no_converter("CHGNet")
        found = of_weights(inner, "a checkpoint of training, without the module,")
        if found is not None:
            return found
        if any(str(name).startswith("model.Default.") for name in inner):
            return no_converter("DeePMD-kit")
    if "architecture_name" in root and "model_data" in root:
        return no_converter("metatrain")
    found = of_weights(root, "the weights alone (a state dict)")
    return found or _anonymous(root)


def _anonymous(root: Mapping[Any, Any]) -> ByProduct | None:
    """A dictionary of weights, or one that holds such, of a program that nothing in it tells."""
    inner = next((root[k] for k in ("state_dict", "model", "model_state_dict") if k in root), root)
    if not isinstance(inner, Mapping) or not inner:
        return None
    if not all(isinstance(name, str) and "." in name for name in inner):
        return None
    return ByProduct(
        f"a dictionary of weights of a program that e3md does not know (first: {next(iter(inner))})",
        "Give the whole model that the program wrote; docs/convert.md lists what can be read",
    )
